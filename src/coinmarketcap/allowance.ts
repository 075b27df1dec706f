/** How often CoinMarketCap may be asked: a budget of our own, and pauses after refusals and failures. */
import { AppError } from '../errors.js';
import type { Millis } from '../schemas/common.js';

/** The smallest plan's limit. */
export const REQUESTS_PER_MINUTE = 30;
const WINDOW_MS = 60_000;
const FIRST_BACKOFF_MS = 1_000;
const LONGEST_BACKOFF_MS = 60_000;

export interface Allowance {
  /** Counts one request. Throws AppError (`upstream_budget_exhausted`, `upstream_rate_limited`) instead of waiting. */
  take(): void;
  succeeded(): void;
  /** null: exponential back-off with jitter; 0: no pause. */
  failed(pauseMs: Millis | null): void;
  /** By the clock of `now`; null: nothing is held back. */
  readonly pausedUntil: Millis | null;
}

export const createAllowance = ({
  now,
  random,
}: {
  /** The clock of durations: monotonic. */
  readonly now: () => Millis;
  readonly random: () => number;
}): Allowance => {
  /** Instants of the requests within the window, oldest first; bounded by the budget. */
  const taken: Millis[] = [];
  let pausedUntil = 0;
  let failures = 0;
  const upstream = { exchange: 'coinmarketcap' };

  return {
    take() {
      const at = now();
      if (at < pausedUntil)
        throw new AppError('upstream_rate_limited', 'CoinMarketCap is not asked for the moment.', {
          retryAfterMs: pausedUntil - at,
          upstream,
        });
      while (taken[0] !== undefined && taken[0] <= at - WINDOW_MS) taken.shift();
      if (taken.length >= REQUESTS_PER_MINUTE)
        throw new AppError('upstream_budget_exhausted', 'The request budget for CoinMarketCap is used up.', {
          retryAfterMs: (taken[0] ?? at) + WINDOW_MS - at,
          upstream,
        });
      taken.push(at);
    },
    succeeded() {
      failures = 0;
    },
    failed(pauseMs) {
      if (pauseMs === 0) return;
      const bound = Math.min(FIRST_BACKOFF_MS * 2 ** failures, LONGEST_BACKOFF_MS);
      failures += 1;
      // Half of it fixed, so that a failing service is never asked at once again.
      const pause = pauseMs ?? (bound / 2) * (1 + random());
      pausedUntil = Math.max(pausedUntil, now() + pause);
    },
    get pausedUntil() {
      return now() < pausedUntil ? pausedUntil : null;
    },
  };
};
