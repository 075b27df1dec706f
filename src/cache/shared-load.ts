/**
 * One load for all servers that share a tier: the server that gets the claim loads, the others look again until the value is
 * there. The claim expires by itself, so a server that dies holding it delays the others by LOAD_CLAIM_MS at most;
 * after that, or where the tier fails, everyone loads alone.
 */
import type { Millis } from '../schemas/common.js';
import type { CacheEntry } from './cache-entry.js';
import type { SharedTier } from './shared-tier.js';

/** Longer than an ordinary upstream call, far shorter than a request's time. */
export const LOAD_CLAIM_MS = 5_000;
/** First and longest pause between two attempts; the longest bounds what waiting for another server adds. */
const FIRST_PAUSE_MS = 10;
const LONGEST_PAUSE_MS = 100;
/** Part of the caller's time that may pass in waiting for another server. */
const WAIT_SHARE = 0.5;

export interface ClaimedLoad {
  /** Another server has loaded it: use this. */
  readonly fresh: CacheEntry | undefined;
  /** To be called once the load is over; idempotent. */
  release(): void;
}

const noRelease = (): void => undefined;

/** Resolves after `ms`, or at once when the signal aborts. */
const pause = (ms: Millis, signal: AbortSignal | undefined): Promise<void> =>
  new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms).unref();
    signal?.addEventListener('abort', done, { once: true });
  });

export const awaitClaim = async (
  tier: SharedTier,
  key: string,
  {
    deadline,
    signal,
    now,
    monotonic,
  }: {
    /** By the clock of durations. */
    readonly deadline: Millis;
    readonly signal?: AbortSignal | undefined;
    readonly now: () => Millis;
    readonly monotonic: () => Millis;
  },
): Promise<ClaimedLoad> => {
  const startedAt = monotonic();
  const giveUpAt = startedAt + Math.min(LOAD_CLAIM_MS, (deadline - startedAt) * WAIT_SHARE);
  let wait = FIRST_PAUSE_MS;
  while (signal?.aborted !== true) {
    const claim = await tier.claim(key, LOAD_CLAIM_MS);
    if (claim.state === 'unknown') break;
    if (claim.entry !== undefined && now() < claim.entry.freshUntil) {
      if (claim.state === 'mine') claim.release();
      return { fresh: claim.entry, release: noRelease };
    }
    if (claim.state === 'mine') return { fresh: undefined, release: claim.release.bind(claim) };
    if (monotonic() + wait > giveUpAt) {
      tier.distrustClaims();
      break;
    }
    await pause(wait, signal);
    wait = Math.min(wait * 2, LONGEST_PAUSE_MS);
  }
  return { fresh: undefined, release: noRelease };
};
