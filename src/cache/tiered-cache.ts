/**
 * Memory over a shared tier, behind one face. Memory answers at once; the shared tier is asked only where memory has
 * nothing fresh, and its faults cost no caller an answer.
 */
import type { Millis } from '../schemas/common.js';
import { steadyNow } from '../lib/steady-clock.js';
import type { Cache, CacheEntry, CacheHealth } from './cache-entry.js';
import type { MemoryCache, MemoryCacheStats } from './memory-cache.js';
import type { SharedTier, SharedTierStats } from './shared-tier.js';
import { awaitClaim, type ClaimedLoad } from './shared-load.js';

export interface TieredCacheStats {
  readonly memory: MemoryCacheStats;
  /** null without a shared tier. */
  readonly shared: SharedTierStats | null;
}

export interface TieredCache extends Cache {
  /** Memory only, at once. The entry may be stale, never past its `staleUntil`. */
  peek(key: string): CacheEntry | undefined;
  /** Memory at once, the shared tier behind. */
  put(key: string, entry: CacheEntry): void;
  /**
   * The right to load `key`, or the fresh entry that another server has loaded meanwhile. Waits for that server, but
   * not past `deadline`, and never rejects: without a shared tier, or with a broken one, the caller simply loads.
   */
  claim(
    key: string,
    options: { readonly deadline: Millis; readonly signal?: AbortSignal | undefined },
  ): Promise<ClaimedLoad>;
  health(): CacheHealth;
  stats(): TieredCacheStats;
}

export interface TieredCacheDeps {
  readonly memory: MemoryCache;
  /** null: memory alone. */
  readonly redis: SharedTier | null;
  readonly now?: () => Millis;
  /** The clock of durations and deadlines; default: `now` where that is given. */
  readonly monotonic?: () => Millis;
}

export const createTieredCache = (deps: TieredCacheDeps): TieredCache => {
  const { memory, redis, now = Date.now, monotonic = deps.now ?? steadyNow } = deps;
  const startedAt = now();
  /** Keeps what the shared tier had, unless memory has something newer by now. */
  const adopt = (key: string, entry: CacheEntry | undefined): CacheEntry | undefined => {
    const held = memory.peek(key);
    if (entry === undefined || (held !== undefined && held.receivedAt >= entry.receivedAt)) return held;
    memory.put(key, entry);
    return entry;
  };
  const put = (key: string, entry: CacheEntry): void => {
    memory.put(key, entry);
    void redis?.set(key, entry);
  };
  return {
    peek: (key) => memory.peek(key),
    put,
    async get(key) {
      const held = memory.peek(key);
      if (redis === null || (held !== undefined && now() < held.freshUntil)) return held;
      return adopt(key, await redis.get(key));
    },
    async set(key, entry) {
      memory.put(key, entry);
      await redis?.set(key, entry);
    },
    async claim(key, options) {
      if (redis === null) return { fresh: undefined, release: () => undefined };
      const claimed = await awaitClaim(redis, key, { ...options, now, monotonic });
      if (claimed.fresh !== undefined) adopt(key, claimed.fresh);
      return claimed;
    },
    async close() {
      await Promise.all([memory.close(), redis?.close()]);
    },
    health: () =>
      redis?.health() ?? { state: 'disabled', detail: 'Memory only; Redis is turned off.', since: startedAt },
    stats: () => ({ memory: memory.stats(), shared: redis?.stats() ?? null }),
  };
};
