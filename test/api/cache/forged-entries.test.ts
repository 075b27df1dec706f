/** Another user of the same Redis writes what he likes: what is read stays small, short-lived and in form. */
import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { CacheEntry } from '../../../src/cache/cache-entry.js';
import { encodeEntry } from '../../../src/cache/entry-codec.js';
import { AppError } from '../../../src/errors.js';
import type { MarketQuery } from '../../../src/market-data/market-data-api.js';
import { entryOf } from '../../support/cache-entries.js';
import { venueAnswer } from '../../support/fake-exchange-client.js';
import { createRig, tickerOf, untilRedisIs, type Rig } from '../../support/market-data-rig.js';
import { startRedis, type RedisServer } from '../../support/redis-server.js';
import { startTcpProxy, type TcpProxy } from '../../support/tcp-proxy.js';

const DAY_MS = 86_400_000;
const KEY = 'mcds:v1:ticker:binance:BTC/USDT';
const CANDLES_KEY = 'mcds:v1:ohlcv:binance:1m:1:latest:now:BTC/USDT';
const CANDLES: MarketQuery = {
  kind: 'ohlcv',
  exchange: 'binance',
  symbol: 'BTC/USDT',
  interval: '1m',
  limit: 1,
};
const TICKER = { exchange: 'binance', symbol: 'BTC/USDT', bid: 1, ask: 2, last: 1.5, timestamp: 1, raw: {} };

let server: RedisServer;
let proxy: TcpProxy;
let rig: Rig;
let other: Redis;
let ahead: number;
const now = (): number => Date.now() + ahead;

beforeAll(async () => {
  server = await startRedis();
  proxy = await startTcpProxy(server.port);
  other = new Redis(server.url);
});
afterAll(async () => {
  other.disconnect();
  await proxy.close();
  await server.stop();
});
beforeEach(async () => {
  await other.flushall();
  proxy.tamper = null;
  ahead = 0;
  const redisUrl = `redis://127.0.0.1:${proxy.port}`;
  rig = createRig({ redisUrl, commandTimeoutMs: 5_000, now, judged: true });
  await untilRedisIs(rig, 'ok');
});
afterEach(() => rig.close());

const forge = (key: string, text: string, more: Partial<CacheEntry> = {}) =>
  other.set(key, encodeEntry(key, entryOf(text, now(), more)));

it('a value of 64 MB is not downloaded', async () => {
  await other.setrange(KEY, 64 * 1024 * 1024, 'x');
  let bytes = 0;
  proxy.tamper = (chunk) => {
    bytes += chunk.length;
    return chunk;
  };
  expect((await rig.marketData.get(tickerOf('BTC/USDT'))).cache).toBe('MISS');
  // It is looked at twice: before the claim and with it.
  expect(bytes).toBeLessThan(3 * 1024 * 1024);
});

describe('an entry that says it is good for a day', () => {
  const times = () => ({ freshUntil: now() + DAY_MS, staleUntil: now() + DAY_MS });

  it('is fresh no longer than a ticker of this server', async () => {
    await forge(KEY, JSON.stringify(TICKER), times());
    const { cache, freshUntil, receivedAt } = await rig.marketData.get(tickerOf('BTC/USDT'));
    expect(cache).toBe('HIT');
    expect(freshUntil - receivedAt).toBe(2_000);
    ahead += 2_001;
    expect((await rig.marketData.get(tickerOf('BTC/USDT'))).cache).toBe('MISS');
  });

  it('stands in for a failing exchange no longer than STALE_IF_ERROR', async () => {
    await forge(KEY, JSON.stringify(TICKER), times());
    rig.exchanges.answer = () => Promise.reject(new AppError('upstream_unavailable', 'down'));
    ahead += 299_000;
    expect((await rig.marketData.get(tickerOf('BTC/USDT'))).cache).toBe('STALE');
    ahead += 2_000;
    await expect(rig.marketData.get(tickerOf('BTC/USDT'))).rejects.toMatchObject({
      code: 'upstream_unavailable',
    });
  });

  it.each([
    ['open candles of a minute', { closesAt: Date.now() + DAY_MS }, 2_000],
    ['closed candles', { closesAt: null }, 300_000],
  ])('is fresh no longer than %s of this server', async (_name, more, life) => {
    const candles = [{ timestamp: 1, open: 1, high: 1, low: 1, close: 1, volume: 1, closed: true }];
    const body = { exchange: 'binance', symbol: 'BTC/USDT', interval: '1m', candles };
    await forge(CANDLES_KEY, JSON.stringify(body), { ...times(), ...more });
    const { cache, freshUntil, receivedAt } = await rig.marketData.get(CANDLES);
    expect(cache).toBe('HIT');
    expect(freshUntil - receivedAt).toBe(life);
  });
});

it('an entry from the future is not served', async () => {
  const receivedAt = now() + 3_600_000;
  const times = { receivedAt, freshUntil: receivedAt + 2_000, staleUntil: receivedAt + 300_000 };
  await forge(KEY, JSON.stringify(TICKER), times);
  expect((await rig.marketData.get(tickerOf('BTC/USDT'))).cache).toBe('MISS');
});

it.each([
  ['no JSON', '<html>'],
  ['cut JSON', JSON.stringify(TICKER).slice(0, -1)],
  ['null', 'null'],
  ['the body of another kind', '{"exchange":"binance","symbol":"BTC/USDT","trades":[]}'],
  ['a price that is text', JSON.stringify({ ...TICKER, last: '1.5' })],
  ['a ticker of another exchange', JSON.stringify({ ...TICKER, exchange: 'kraken' })],
])('a sound entry whose body is %s is never served', async (_name, text) => {
  await forge(KEY, text);
  const { cache, body } = await rig.marketData.get(tickerOf('BTC/USDT'));
  expect(cache).toBe('MISS');
  expect(body.toString()).toBe(venueAnswer({ ...tickerOf('BTC/USDT') }, now()).body.toString());
  expect(rig.cache.stats().shared?.corrupt).toBeGreaterThan(0);
  expect(rig.log.warnings()).toEqual([
    'Redis holds values that this version did not write; they count as misses',
  ]);
});
