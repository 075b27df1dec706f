/** Retry: the decision is a pure function of the fault; the loop only carries it out. All times in milliseconds. */
import { sleep } from './deadline.js';

export interface Backoff {
  readonly maxRetries: number;
  readonly initialBackoffMs: number;
  readonly maxBackoffMs: number;
  readonly multiplier: number;
}

interface Fault {
  readonly retryable: boolean;
  /** The earliest wait after which asking again makes sense, where the venue or this server named one. */
  readonly retryAfterMs?: number | undefined;
}

export interface RetryQuestion {
  readonly error: Fault;
  /** Attempts made so far, at least 1. */
  readonly attempt: number;
  readonly settings: Backoff;
  readonly deadline: number;
  readonly now: number;
  /** In [0, 1). */
  readonly random: number;
}

/** What must be left for the attempt after a wait that was asked for: with less it could only run out of time. */
export const LEAST_ATTEMPT_MS = 250;

/** The wait before the next attempt, or null where there is to be none. */
export type RetryDecision = number | null;

/**
 * Exponential back-off with full jitter: anything from nothing to a bound that grows per attempt, but never less than
 * the venue asked for. No attempt where it could only start at or after the deadline; nor, after a wait that somebody
 * asked for, shortly before it: who would wait that long in vain is better told at once when to come back.
 */
export const decideRetry = ({
  error,
  attempt,
  settings,
  deadline,
  now,
  random,
}: RetryQuestion): RetryDecision => {
  if (!error.retryable || attempt > settings.maxRetries) return null;
  const bound = Math.min(
    settings.maxBackoffMs,
    settings.initialBackoffMs * settings.multiplier ** (attempt - 1),
  );
  const asked = error.retryAfterMs ?? 0;
  const wait = Math.max(random * bound, asked);
  const needed = asked > 0 ? LEAST_ATTEMPT_MS : 0;
  return now + wait + needed < deadline ? wait : null;
};

/**
 * Calls `attempt` until it resolves or `decide` says to stop; then (or when `signal` aborts during a wait) rejects with
 * the latest error.
 */
export const retry = async <T>(
  attempt: () => Promise<T>,
  decide: (error: unknown, attempts: number) => RetryDecision,
  signal?: AbortSignal,
): Promise<T> => {
  for (let attempts = 1; ; attempts += 1) {
    try {
      return await attempt();
    } catch (error) {
      const wait = signal?.aborted === true ? null : decide(error, attempts);
      if (wait === null) throw error;
      const waited = await sleep(wait, signal).then(
        () => true,
        () => false,
      );
      if (!waited) throw error;
    }
  }
};
