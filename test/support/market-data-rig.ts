/** A market-data service over a fake venue and, where wanted, a real Redis. */
import { vi } from 'vitest';
import { createMemoryCache } from '../../src/cache/memory-cache.js';
import { createRedisCache } from '../../src/cache/redis-cache.js';
import { createTieredCache, type TieredCache } from '../../src/cache/tiered-cache.js';
import type { CoinMarketCapClient } from '../../src/coinmarketcap/coinmarketcap-api.js';
import { createExchangeNames } from '../../src/exchanges/exchange-names.js';
import { createAdmission, keyPrefix } from '../../src/market-data/cache-keys.js';
import { createMarketData, type MarketDataService } from '../../src/market-data/market-data.js';
import type { LiveTickers, MarketQuery } from '../../src/market-data/market-data-api.js';
import { createFakeExchangeClient, type FakeExchangeClient } from './fake-exchange-client.js';
import { recordingLog } from './recording-log.js';

export const TTL = {
  tickerMs: 2_000,
  orderbookMs: 1_000,
  tradesMs: 1_000,
  ohlcvMs: 300_000,
  staleIfErrorMs: 300_000,
};

export interface RigOptions {
  readonly redisUrl?: string;
  readonly commandTimeoutMs?: number;
  /** What Redis holds is judged as the app does: bodies must be whole ones of their kind. */
  readonly judged?: boolean;
  readonly now?: () => number;
  readonly ttl?: typeof TTL;
  readonly coinMarketCap?: CoinMarketCapClient;
  readonly live?: LiveTickers;
  readonly sandbox?: boolean;
  readonly requestTimeoutMs?: number;
  readonly enabled?: readonly string[];
  /** A venue shared with another rig. */
  readonly exchanges?: FakeExchangeClient;
}

export interface Rig {
  readonly marketData: MarketDataService;
  readonly exchanges: FakeExchangeClient;
  readonly cache: TieredCache;
  readonly log: ReturnType<typeof recordingLog>;
  close(): Promise<void>;
}

export const createRig = (options: RigOptions = {}): Rig => {
  const {
    now = Date.now,
    redisUrl,
    commandTimeoutMs = 50,
    enabled = ['binance', 'kraken', 'coinbasepro'],
  } = options;
  const log = recordingLog();
  const exchanges = options.exchanges ?? createFakeExchangeClient(now);
  const { ttl = TTL, sandbox = false } = options;
  const admit = options.judged === true ? createAdmission({ prefix: keyPrefix(sandbox), ttl }) : undefined;
  const redis =
    redisUrl === undefined
      ? null
      : createRedisCache({ url: redisUrl, log, now, commandTimeoutMs, ...(admit && { admit }) });
  const cache = createTieredCache({ memory: createMemoryCache({ maxBytes: 8_000_000, now }), redis, now });
  const marketData = createMarketData({
    names: createExchangeNames({
      enabled,
      knownIds: ['binance', 'binanceus', 'bitfinex', 'kraken', 'coinbaseexchange', 'coinbase', 'okx'],
    }),
    cache,
    exchanges,
    coinMarketCap: options.coinMarketCap ?? null,
    live: options.live ?? null,
    ttl,
    requestTimeoutMs: options.requestTimeoutMs ?? 20_000,
    sandbox,
    log,
    now,
  });
  return {
    marketData,
    exchanges,
    cache,
    log,
    async close() {
      marketData.close();
      await cache.close();
    },
  };
};

export const untilRedisIs = (rig: Rig, state: 'ok' | 'degraded', timeout = 20_000): Promise<void> =>
  vi.waitFor(
    () => {
      const found = rig.cache.health();
      if (found.state !== state) throw new Error(`Redis is ${found.state} (${found.detail}), not ${state}`);
    },
    { timeout, interval: 10 },
  );

export const tickerOf = (symbol: string, exchange = 'binance'): MarketQuery => ({
  kind: 'ticker',
  exchange,
  symbol,
});
