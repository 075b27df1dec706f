/** How often wrong credentials came from an address: from the 21st within a minute on, no new one of it is verified. */
import { AppError } from '../errors.js';
import type { Millis } from '../schemas/common.js';
import { createClientLimiter, type LimitState, type SharableLimiter } from './client-limiter.js';

const MAX_FAILURES = 20;
const WINDOW_MS = 60_000;
/** Addresses remembered at most, about 100 bytes each; beyond it the longest known are forgotten. */
const MAX_ADDRESSES = 50_000;
/** One more than is let through: the failure that is too many is told to the others like those before it. */
const RULE = { requests: MAX_FAILURES + 1, windowMs: WINDOW_MS };

export interface FailedAttempts {
  /** Counts one failure of `client`; gives what refuses it where there were too many. */
  add(client: string): AppError | null;
  /** The same without counting. */
  barred(client: string): AppError | null;
  /** To be shared with other processes. */
  readonly limiter: SharableLimiter;
}

/** `now`: the clock of durations. `shared`: what is counted is kept for `limiter.takeUnshared`. */
export const createFailedAttempts = (now: () => Millis, shared = false): FailedAttempts => {
  const limiter = createClientLimiter({ ...RULE, shared, maxKeys: MAX_ADDRESSES });
  // Beside the addresses of other limiters, with which they are shared.
  const keyOf = (client: string): string => `failed ${client}`;
  const refusalOf = ({ remaining, resetAt }: LimitState, at: Millis): AppError | null => {
    if (remaining > 0) return null;
    const detail = `More than ${MAX_FAILURES} requests with wrong credentials within ${WINDOW_MS / 1000} seconds.`;
    return new AppError('too_many_auth_failures', detail, { retryAfterMs: resetAt - at });
  };
  return {
    limiter,
    add(client) {
      const at = now();
      return refusalOf(limiter.hit(keyOf(client), at), at);
    },
    barred(client) {
      const at = now();
      return refusalOf(limiter.look(keyOf(client), at), at);
    },
  };
};
