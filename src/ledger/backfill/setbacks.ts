/** Back-off after failures, by exchange and by job: longer with each failure in a row. */
import type { Millis } from '../../schemas/common.js';
import type { Wait } from './backfill-budget.js';

const FIRST_MS: Millis = 5_000;
const MOST_MS: Millis = 60_000;
/** Shortest back-off. */
const LEAST_MS: Millis = 250;

interface Setback {
  readonly until: Millis;
  readonly reason: string;
  readonly failures: number;
}

export interface Setbacks {
  /** `ms`: what the fault itself says. */
  failed(key: string, reason: string, ms?: Millis): void;
  ended(key: string): void;
  /** null: there is nothing to wait for. */
  of(key: string): Wait | null;
}

export const createSetbacks = (monotonic: () => Millis): Setbacks => {
  // Bounded by exchanges and open jobs: entries of ended jobs are deleted.
  const setbacks = new Map<string, Setback>();
  return {
    failed(key, reason, ms) {
      const failures = (setbacks.get(key)?.failures ?? 0) + 1;
      const wait = ms ?? FIRST_MS * 2 ** (failures - 1);
      const until = monotonic() + Math.min(Math.max(wait, LEAST_MS), MOST_MS);
      setbacks.set(key, { until, reason, failures });
    },
    ended(key) {
      setbacks.delete(key);
    },
    of(key) {
      const setback = setbacks.get(key);
      if (setback === undefined) return null;
      const ms = setback.until - monotonic();
      return ms <= 0 ? null : { ms, reason: setback.reason };
    },
  };
};
