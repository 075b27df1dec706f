/** A cache tier that several servers share, and the right to load a key on behalf of all of them. */
import type { Millis } from '../schemas/common.js';
import type { Cache, CacheEntry, CacheHealth } from './cache-entry.js';

/** The answer to a request for the right to load one key. */
export type LoadClaim =
  /** The caller loads; `release` is idempotent, never rejects and is called when the value has been set. */
  | { readonly state: 'mine'; readonly entry: CacheEntry | undefined; release(): void }
  /** Another server loads at this moment. */
  | { readonly state: 'theirs'; readonly entry: CacheEntry | undefined }
  /** The tier cannot tell: load without it. */
  | { readonly state: 'unknown' };

export interface SharedTierStats {
  readonly hits: number;
  readonly misses: number;
  /** Look-ups that failed or missed their deadline. */
  readonly failures: number;
  /** Values that were not what this version writes. */
  readonly corrupt: number;
  /** Entries and claims that Redis took, and those that it refused or did not take in time. */
  readonly writes: number;
  readonly writeFailures: number;
}

/** What becomes of an entry that another server or program wrote; undefined: it is not one that this server would write. */
export type AdmitEntry = (key: string, entry: CacheEntry) => CacheEntry | undefined;

export interface SharedTier extends Cache {
  /** One round trip: tries to take the right to load `key` for `holdMs`, and reads the entry, if fresh. Never rejects. */
  claim(key: string, holdMs: Millis): Promise<LoadClaim>;
  /** A caller waited for another server's value in vain: do without claims for a while. */
  distrustClaims(): void;
  health(): CacheHealth;
  stats(): SharedTierStats;
}
