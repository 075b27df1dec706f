/** How often wrong credentials came from an address: from the 21st within a minute on, no new one of it is verified. */
import { AppError } from '../errors.js';
import type { Millis } from '../schemas/common.js';

const MAX_FAILURES = 20;
const WINDOW_MS = 60_000;
/** Addresses remembered at most, about 100 bytes each; beyond it the longest known are forgotten. */
const MAX_ADDRESSES = 50_000;

interface Window {
  count: number;
  readonly endsAt: Millis;
}

export interface FailedAttempts {
  /** Counts one failure of `client`; gives what refuses it where there were too many. */
  add(client: string): AppError | null;
  /** The same without counting. */
  barred(client: string): AppError | null;
}

/** `now`: the clock of durations. */
export const createFailedAttempts = (now: () => Millis): FailedAttempts => {
  const windows = new Map<string, Window>();
  const open = (client: string, at: Millis): Window => {
    windows.delete(client);
    // In the order of their beginnings, and so of their ends.
    for (const [oldest, { endsAt }] of windows) {
      if (endsAt > at && windows.size < MAX_ADDRESSES) break;
      windows.delete(oldest);
    }
    const window = { count: 0, endsAt: at + WINDOW_MS };
    windows.set(client, window);
    return window;
  };
  const running = (client: string, at: Millis): Window | undefined => {
    const window = windows.get(client);
    return window !== undefined && window.endsAt > at ? window : undefined;
  };
  const refusalOf = ({ count, endsAt }: Window, at: Millis): AppError | null => {
    if (count <= MAX_FAILURES) return null;
    const detail = `More than ${MAX_FAILURES} requests with wrong credentials within ${WINDOW_MS / 1000} seconds.`;
    return new AppError('too_many_auth_failures', detail, { retryAfterMs: endsAt - at });
  };
  return {
    add(client) {
      const at = now();
      const window = running(client, at) ?? open(client, at);
      window.count += 1;
      return refusalOf(window, at);
    },
    barred(client) {
      const at = now();
      const window = running(client, at);
      return window === undefined ? null : refusalOf(window, at);
    },
  };
};
