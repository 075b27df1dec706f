/** The same promises, kept by memory, by Redis and by both together. */
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import type { Cache } from '../../../src/cache/cache-entry.js';
import { createMemoryCache } from '../../../src/cache/memory-cache.js';
import { createRedisCache } from '../../../src/cache/redis-cache.js';
import type { SharedTier } from '../../../src/cache/shared-tier.js';
import { createTieredCache } from '../../../src/cache/tiered-cache.js';
import { silentLog } from '../../../src/log/log.js';
import { entryOf } from '../../support/cache-entries.js';
import { startRedis, type RedisServer } from '../../support/redis-server.js';

let server: RedisServer;
let at: number;
const now = (): number => at;
beforeAll(async () => {
  server = await startRedis();
});
afterAll(() => server.stop());

const memory = () => createMemoryCache({ maxBytes: 4_000_000, now });
const redis = async (): Promise<SharedTier> => {
  const cache = createRedisCache({ url: server.url, log: silentLog, now, commandTimeoutMs: 5_000 });
  await vi.waitFor(() => expect(cache.health().state).toBe('ok'), { timeout: 10_000 });
  return cache;
};

describe.each<[string, () => Promise<Cache>]>([
  ['memory', () => Promise.resolve(memory())],
  ['Redis', redis],
  ['memory over Redis', async () => createTieredCache({ memory: memory(), redis: await redis(), now })],
])('the cache contract over %s', (name, create) => {
  let cache: Cache;
  let key: string;
  let count = 0;
  const open = async (): Promise<void> => {
    at = Date.now();
    count += 1;
    key = `test:${name}:${count}`;
    cache = await create();
  };
  afterEach(() => cache.close());

  it('gives back exactly what was set', async () => {
    await open();
    const entry = entryOf('{"exchange":"binance","symbol":"BTC/USDT"}', at, { closesAt: at + 50_000 });
    await cache.set(key, entry);
    expect(await cache.get(key)).toEqual(entry);
  });

  it('knows nothing of a key that was never set, whatever it is called', async () => {
    await open();
    for (const unknown of [key, '__proto__', 'constructor', '', 'a\r\nb', 'ключ'])
      expect(await cache.get(unknown)).toBeUndefined();
  });

  it('keeps entries under odd names apart', async () => {
    await open();
    const names = ['__proto__', 'a b', 'a\r\nGET b', 'ключ'].map((odd) => `${key}:${odd}`);
    for (const odd of names) await cache.set(odd, entryOf(odd, at));
    for (const odd of names) expect((await cache.get(odd))?.body.toString()).toBe(odd);
  });

  it('serves the latest of several values', async () => {
    await open();
    await cache.set(key, entryOf('first', at));
    await cache.set(key, entryOf('second', at + 1));
    at += 1;
    expect((await cache.get(key))?.body.toString()).toBe('second');
  });

  it('still has an entry after its freshness, until it may not even be served stale', async () => {
    await open();
    const entry = entryOf('x', at);
    await cache.set(key, entry);
    at = entry.staleUntil - 1;
    expect(await cache.get(key)).toEqual(entry);
    at = entry.staleUntil;
    expect(await cache.get(key)).toBeUndefined();
  });

  it('is not renewed by reading', async () => {
    await open();
    const entry = entryOf('x', at);
    await cache.set(key, entry);
    for (let i = 0; i < 5; i++) {
      at += 59_000;
      expect((await cache.get(key))?.staleUntil).toBe(entry.staleUntil);
    }
    at = entry.staleUntil + 1;
    expect(await cache.get(key)).toBeUndefined();
  });

  it('holds bodies of every size and byte', async () => {
    await open();
    const bytes = Buffer.from(Array.from({ length: 300_000 }, (_, i) => i % 256));
    for (const size of [0, 1, 255, 300_000]) {
      await cache.set(key, { ...entryOf('', at), body: bytes.subarray(0, size), etag: `"${size}"` });
      expect((await cache.get(key))?.body.equals(bytes.subarray(0, size))).toBe(true);
    }
  });

  it('answers many callers at once', async () => {
    await open();
    const keys = Array.from({ length: 200 }, (_, i) => `${key}:${i}`);
    await Promise.all(keys.map((one) => cache.set(one, entryOf(one, at))));
    const found = await Promise.all(keys.map((one) => cache.get(one)));
    expect(found.map((entry) => entry?.body.toString())).toEqual(keys);
  });

  it('misses, and does not reject, once it is closed', async () => {
    await open();
    await cache.set(key, entryOf('x', at));
    await cache.close();
    expect(await cache.get(key)).toBeUndefined();
    await expect(cache.set(key, entryOf('y', at))).resolves.toBeUndefined();
  });
});
