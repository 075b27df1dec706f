/** The first tier: least recently used entries within a bound of bytes, answered at once. */
import { LRUCache } from 'lru-cache';
import type { Millis } from '../schemas/common.js';
import { isFromLater, type Cache, type CacheEntry } from './cache-entry.js';

/** What an entry costs besides its body and key: two objects, two strings and the list's own links. */
const ENTRY_OVERHEAD_BYTES = 400;

export interface MemoryCacheStats {
  readonly entries: number;
  readonly bytes: number;
  readonly maxBytes: number;
  readonly evictions: number;
}

export interface MemoryCache extends Cache {
  /** As `get`, without a promise. */
  peek(key: string): CacheEntry | undefined;
  /** As `set`, without a promise. An entry larger than the whole cache is not kept. */
  put(key: string, entry: CacheEntry): void;
  stats(): MemoryCacheStats;
}

/** `maxBytes`: bound of bodies, keys and an estimate of their overhead together. */
export const createMemoryCache = ({
  maxBytes,
  now = Date.now,
}: {
  readonly maxBytes: number;
  readonly now?: () => Millis;
}): MemoryCache => {
  let evictions = 0;
  // No TTL in here: an entry's own times, read with the injected clock, decide; reading never renews them.
  const entries = new LRUCache<string, CacheEntry>({
    maxSize: maxBytes,
    sizeCalculation: (entry, key) => entry.body.length + 2 * key.length + ENTRY_OVERHEAD_BYTES,
    dispose: (_entry, _key, reason) => {
      if (reason === 'evict') evictions += 1;
    },
  });
  const peek = (key: string): CacheEntry | undefined => {
    const entry = entries.get(key);
    if (entry === undefined) return undefined;
    const at = now();
    if (at < entry.staleUntil && !isFromLater(entry, at)) return entry;
    entries.delete(key);
    return undefined;
  };
  const put = (key: string, entry: CacheEntry): void => {
    entries.set(key, entry);
  };
  return {
    peek,
    put,
    get: (key) => Promise.resolve(peek(key)),
    set(key, entry) {
      put(key, entry);
      return Promise.resolve();
    },
    close() {
      entries.clear();
      return Promise.resolve();
    },
    stats: () => ({ entries: entries.size, bytes: entries.calculatedSize, maxBytes, evictions }),
  };
};
