/** Cache entries for tests. */
import { etagOf } from '../../src/cache/etag.js';
import type { CacheEntry } from '../../src/cache/cache-entry.js';

/** Fresh for 2 s and usable for 300 s after `receivedAt`, unless told otherwise. */
export const entryOf = (text: string, receivedAt: number, more: Partial<CacheEntry> = {}): CacheEntry => {
  const body = Buffer.from(text);
  return {
    body,
    etag: etagOf(body),
    receivedAt,
    freshUntil: receivedAt + 2_000,
    staleUntil: receivedAt + 300_000,
    source: 'binance; via=rest',
    closesAt: null,
    ...more,
  };
};
