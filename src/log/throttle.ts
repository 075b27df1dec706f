/** Limits log lines of one sort per window and reports the number left out, so that requests cannot flood the log. */
import type { Millis } from '../schemas/common.js';
import type { Log } from './log.js';

/** Lines of one sort per window; the rest are counted. */
const MAX_LINES = 10;
const WINDOW_MS = 10_000;
/** Number of sorts counted in a window. Callers use few sorts, so normal traffic never reaches it. */
const MAX_SORTS = 500;

export interface ThrottleOptions {
  readonly log: Log;
  readonly now: () => Millis;
  /** The line that tells how many of a sort were left out. */
  readonly summary: string;
}

export interface Throttle {
  /** true: a line of this sort may be written. */
  admits(sort: string): boolean;
  /** Logs how many lines were left out in this window, and begins a new one. */
  tellSuppressed(): void;
}

export const createThrottle = ({ log, now, summary }: ThrottleOptions): Throttle => {
  const seen = new Map<string, number>();
  let windowEnd = 0;
  const tellSuppressed = (): void => {
    for (const [sort, count] of seen)
      if (count > MAX_LINES) log.warn({ sort, suppressed: count - MAX_LINES }, summary);
    seen.clear();
  };
  return {
    tellSuppressed,
    admits(sort) {
      const at = now();
      if (at >= windowEnd) {
        tellSuppressed();
        windowEnd = at + WINDOW_MS;
      }
      const count = (seen.get(sort) ?? 0) + 1;
      if (count > 1 || seen.size < MAX_SORTS) seen.set(sort, count);
      return count <= MAX_LINES;
    },
  };
};
