/**
 * One client limit for several servers: each counts by itself, so that no request waits, and exchanges its counts with
 * the others in the background. Until a server has heard of the others it goes by what it knows: together they let
 * through at most the limit, and what they admit within a round and a reply's way. While nobody can be asked, each
 * counts for itself; what it counted in windows that still run is told afterwards.
 */
import type { Millis } from '../schemas/common.js';
import type { SharableLimiter, SharedCount, Unshared } from './client-limiter.js';

/** How often counts are exchanged. */
const ROUND_MS: Millis = 100;
/** Clients per round: what is left waits for the next one, so that a flood of addresses costs a bounded time. */
const MAX_CLIENTS_A_ROUND = 2_000;

/** Where servers add up what they counted. */
export interface SharedCounts {
  /** false: nobody to ask at the moment. */
  readonly isUp: boolean;
  /** Adds the hits; gives each key's total, in the same order, undefined where it could not be told. Never rejects. */
  add(counted: readonly Unshared[]): Promise<readonly (SharedCount | undefined)[]>;
  close(): Promise<void>;
}

export interface LimitSharingDeps {
  readonly limiters: readonly SharableLimiter[];
  readonly counts: SharedCounts;
  readonly now: () => Millis;
  /** Counts are exchanged so long after there are some, instead of at intervals: for a way that is short. */
  readonly soonMs?: Millis | undefined;
}

export interface LimitSharing {
  /** Ends the exchange and closes the counts. */
  close(): Promise<void>;
}

/** Exchanges counts until it is closed. */
export const shareClientLimit = ({ limiters, counts, now, soonMs }: LimitSharingDeps): LimitSharing => {
  let running = false;
  const round = async (): Promise<void> => {
    if (running || !counts.isUp) return;
    const taken: Unshared[] = [];
    for (const limiter of limiters)
      taken.push(...limiter.takeUnshared(MAX_CLIENTS_A_ROUND - taken.length, now()));
    if (taken.length === 0) return;
    running = true;
    // What could not be told is dropped, not told again: it may have been counted, and nobody is to be charged twice.
    const totals = await counts.add(taken);
    const at = now();
    taken.forEach((unshared, index) => {
      const total = totals[index];
      if (total !== undefined) unshared.settle(total, at);
    });
    running = false;
  };
  let soon: NodeJS.Timeout | undefined;
  let closed = false;
  const roundIn = (ms: Millis): void => {
    if (closed) return;
    soon ??= setTimeout(() => {
      soon = undefined;
      void round().then(() => {
        // What came meanwhile, or found a round running, or nobody to be told.
        if (limiters.some((limiter) => limiter.hasUnshared)) roundIn(counts.isUp ? ms : ROUND_MS);
      });
    }, ms).unref();
  };
  if (soonMs !== undefined) for (const limiter of limiters) limiter.onUnshared = () => roundIn(soonMs);
  const timer = soonMs === undefined ? setInterval(() => void round(), ROUND_MS).unref() : undefined;
  return {
    close() {
      closed = true;
      for (const limiter of limiters) limiter.onUnshared = null;
      clearTimeout(soon);
      clearInterval(timer);
      return counts.close();
    },
  };
};
