/** Metrics of the data path: answers by source, the tiers of the cache, CoinMarketCap. */
import type { CacheHealth } from '../cache/cache-entry.js';
import type { TieredCacheStats } from '../cache/tiered-cache.js';
import type { CoinMarketCapStats } from '../coinmarketcap/coinmarketcap-api.js';
import type { MarketDataStats } from '../market-data/market-data.js';
import type { Registry, Sample } from './families.js';

export const addMarketData = (registry: Registry, stats: () => MarketDataStats): void => {
  registry.addCounter({
    name: 'market_answers_total',
    help: 'Market answers for HTTP, streams and MCP by kind and cache state; repeated HTTP answers from the response cache are in http_cache_answers_total alone.',
    labels: ['kind', 'cache'],
    samples: () =>
      Object.entries(stats().answers).flatMap(([kind, byState]) =>
        Object.entries(byState).map(([cache, count]): Sample => [count, { kind, cache }]),
      ),
  });
  registry.addCounter({
    name: 'market_fallbacks_total',
    help: 'Answers that CoinMarketCap gave in place of an exchange.',
    samples: () => [[stats().fallbacks]],
  });
  registry.addCounter({
    name: 'market_failures_total',
    help: 'Market requests that ended in an error.',
    samples: () => [[stats().failures]],
  });
  registry.addGauge({
    name: 'market_flights',
    help: 'Upstream loads under way, each shared by all who want the same.',
    samples: () => [[stats().flights]],
  });
};

export const addCache = (registry: Registry, stats: () => TieredCacheStats): void => {
  const memory = () => stats().memory;
  registry.addGauge({
    name: 'cache_entries',
    help: 'Answers in the memory cache.',
    samples: () => [[memory().entries]],
  });
  registry.addGauge({
    name: 'cache_bytes',
    help: 'Bytes in the memory cache.',
    samples: () => [[memory().bytes]],
  });
  registry.addGauge({
    name: 'cache_max_bytes',
    help: 'Bound of the memory cache (CACHE_MAX_MB).',
    samples: () => [[memory().maxBytes]],
  });
  registry.addCounter({
    name: 'cache_evictions_total',
    help: 'Answers that the memory cache gave up for room.',
    samples: () => [[memory().evictions]],
  });
  // Without Redis the family exists without samples.
  registry.addCounter({
    name: 'redis_cache_lookups_total',
    help: 'Look-ups in Redis by outcome: hit, miss, corrupt, failure.',
    labels: ['outcome'],
    samples: () => {
      const { shared } = stats();
      if (shared === null) return [];
      return [
        [shared.hits, { outcome: 'hit' }],
        [shared.misses, { outcome: 'miss' }],
        [shared.corrupt, { outcome: 'corrupt' }],
        [shared.failures, { outcome: 'failure' }],
      ];
    },
  });
  registry.addCounter({
    name: 'redis_cache_writes_total',
    help: 'Entries and claims written to Redis by outcome: ok, failure.',
    labels: ['outcome'],
    samples: () => {
      const { shared } = stats();
      if (shared === null) return [];
      return [
        [shared.writes, { outcome: 'ok' }],
        [shared.writeFailures, { outcome: 'failure' }],
      ];
    },
  });
};

/** While Redis is known to be unreachable no commands are sent, so none fail; its state is a gauge. */
export const addRedisState = (registry: Registry, health: () => CacheHealth): void => {
  registry.addGauge({
    name: 'redis_up',
    help: '1 while Redis serves and takes writes, 0 while it does not; absent where it is not enabled.',
    samples: () => {
      const { state } = health();
      return state === 'disabled' ? [] : [[state === 'ok' ? 1 : 0]];
    },
  });
};

export const addCoinMarketCap = (registry: Registry, stats: () => CoinMarketCapStats | null): void => {
  registry.addCounter({
    name: 'coinmarketcap_requests_total',
    help: 'Finished requests to CoinMarketCap (currencies, quotes, history) by outcome: ok, failed.',
    labels: ['outcome'],
    samples: () => {
      const counted = stats();
      if (counted === null) return [];
      return [
        [counted.succeeded, { outcome: 'ok' }],
        [counted.failures, { outcome: 'failed' }],
      ];
    },
  });
  registry.addCounter({
    name: 'coinmarketcap_quotes_reused_total',
    help: 'Quotes that were answered from those of the last minute.',
    samples: () => {
      const counted = stats();
      return counted === null ? [] : [[counted.reused]];
    },
  });
  registry.addGauge({
    name: 'coinmarketcap_paused_until_timestamp_seconds',
    help: 'Until when CoinMarketCap is not asked, in seconds since the epoch; 0 when it may be asked.',
    samples: () => [[(stats()?.pausedUntil ?? 0) / 1000]],
  });
};
