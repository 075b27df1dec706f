/** What the data path tells: answers and where they came from, the cache's tiers, CoinMarketCap. */
import type { Registry } from 'prom-client';
import type { Millis } from '../schemas/common.js';
import type { TieredCacheStats } from '../cache/tiered-cache.js';
import type { CoinMarketCapStats } from '../coinmarketcap/coinmarketcap-api.js';
import type { MarketDataStats } from '../market-data/market-data.js';
import { addCounter, addGauge, type Sample } from './families.js';

export const addMarketData = (registry: Registry, stats: () => MarketDataStats): void => {
  addCounter(registry, {
    name: 'market_answers_total',
    help: 'Market answers for HTTP, streams and MCP by kind and cache state; repeated HTTP answers that the hot path gives are in http_cache_answers_total alone.',
    labels: ['kind', 'cache'],
    samples: () =>
      Object.entries(stats().answers).flatMap(([kind, byState]) =>
        Object.entries(byState).map(([cache, count]): Sample => [count, { kind, cache }]),
      ),
  });
  addCounter(registry, {
    name: 'market_fallbacks_total',
    help: 'Answers that CoinMarketCap gave in place of an exchange.',
    samples: () => [[stats().fallbacks]],
  });
  addCounter(registry, {
    name: 'market_failures_total',
    help: 'Market requests that ended in an error.',
    samples: () => [[stats().failures]],
  });
  addGauge(registry, {
    name: 'market_flights',
    help: 'Upstream loads under way, each shared by all who want the same.',
    samples: () => [[stats().flights]],
  });
};

export const addCache = (registry: Registry, stats: () => TieredCacheStats): void => {
  const memory = () => stats().memory;
  addGauge(registry, {
    name: 'cache_entries',
    help: 'Answers in the memory cache.',
    samples: () => [[memory().entries]],
  });
  addGauge(registry, {
    name: 'cache_bytes',
    help: 'Bytes in the memory cache.',
    samples: () => [[memory().bytes]],
  });
  addGauge(registry, {
    name: 'cache_max_bytes',
    help: 'Bound of the memory cache (CACHE_MAX_MB).',
    samples: () => [[memory().maxBytes]],
  });
  addCounter(registry, {
    name: 'cache_evictions_total',
    help: 'Answers that the memory cache gave up for room.',
    samples: () => [[memory().evictions]],
  });
  // Without Redis the family is there and empty.
  addCounter(registry, {
    name: 'redis_cache_operations_total',
    help: 'What became of look-ups and commands in Redis: hit, miss, failure, corrupt.',
    labels: ['outcome'],
    samples: () => {
      const { shared } = stats();
      if (shared === null) return [];
      return [
        [shared.hits, { outcome: 'hit' }],
        [shared.misses, { outcome: 'miss' }],
        [shared.failures, { outcome: 'failure' }],
        [shared.corrupt, { outcome: 'corrupt' }],
      ];
    },
  });
};

export const addCoinMarketCap = (
  registry: Registry,
  stats: () => CoinMarketCapStats | null,
  now: () => Millis,
): void => {
  addCounter(registry, {
    name: 'coinmarketcap_quotes_total',
    help: 'Calls for CoinMarketCap data by outcome: requested, failed, reused.',
    labels: ['outcome'],
    samples: () => {
      const counted = stats();
      if (counted === null) return [];
      return [
        [counted.requests, { outcome: 'requested' }],
        [counted.failures, { outcome: 'failed' }],
        [counted.reused, { outcome: 'reused' }],
      ];
    },
  });
  addGauge(registry, {
    name: 'coinmarketcap_paused_seconds',
    help: 'Seconds until CoinMarketCap may be asked again; 0 when it may.',
    samples: () => [[Math.max(0, ((stats()?.pausedUntil ?? 0) - now()) / 1000)]],
  });
};
