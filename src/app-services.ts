/**
 * The part of app.ts that constructs services from the settings; apart for its length only. Drivers are imported when
 * they are needed, so that a start without Redis, CoinMarketCap or sandbox does not pay for them.
 */
import type { Config } from './config.js';
import { createMemoryCache } from './services/cache/memory-cache.js';
import type { SharedTier } from './services/cache/shared-tier.js';
import { createTieredCache, type TieredCache } from './services/cache/tiered-cache.js';
import type { CoinMarketCapClient } from './services/coinmarketcap/coinmarketcap-api.js';
import { listExchangeIds } from './services/exchange/ccxt/loader.js';
import { withCircuitBreaker } from './services/exchange/discipline/circuit-breaker.js';
import { withEnding } from './services/exchange/discipline/ending-client.js';
import { withRetry } from './services/exchange/discipline/retrying-client.js';
import type { ExchangeClient } from './services/exchange/exchange-client.js';
import { byExchangeId, createExchangeNames, type ExchangeNames } from './services/exchange/exchange-names.js';
import type { WorkerStats } from './services/exchange/worker/venue-worker.js';
import type { Log } from './services/log.js';
import { createMarketData, type MarketDataService } from './services/market-data.js';
import type { LiveTickers, MarketData } from './services/market-data-api.js';
import { createMetrics, type Metrics } from './services/metrics/metrics.js';
import { createUpstreamMeter } from './services/metrics/upstream-meter.js';
import { createLoadGauge, type LoadGauge } from './services/load-gauge.js';
import { createLog } from './services/pino-log.js';
import { createConnections, type Connections } from './services/stream/connection/connections.js';
import type { StreamHub } from './services/stream/hub-api.js';
import { createHub } from './services/stream/hub.js';
import { VERSION } from './version.js';

/** What stands in another's place; tests give some, the server gives its log. */
export interface ServiceOverrides {
  readonly log?: Log;
  /** Milliseconds since the epoch. */
  readonly now?: () => number;
  readonly random?: () => number;
  /** The raw client: circuit breaker and retry still wrap it. */
  readonly exchangeClient?: ExchangeClient;
  /** CCXT ids that exist. */
  readonly knownExchangeIds?: readonly string[];
  readonly cache?: TieredCache;
  /** The second tier, instead of the Redis of the settings; null: none. */
  readonly redis?: SharedTier | null;
  readonly coinMarketCap?: CoinMarketCapClient | null;
  readonly marketData?: MarketData;
  readonly hub?: StreamHub & LiveTickers;
  readonly loadGauge?: LoadGauge;
}

export interface Services {
  readonly log: Log;
  readonly now: () => number;
  readonly names: ExchangeNames;
  readonly exchanges: ExchangeClient;
  readonly cache: TieredCache;
  readonly marketData: MarketData;
  readonly hub: StreamHub & LiveTickers;
  readonly connections: Connections;
  readonly gauge: LoadGauge;
  /** `inFlight`: requests being answered now. */
  metrics(inFlight: () => number): Metrics;
  readonly sandbox: boolean;
  /** Starts the worker threads, so that the first caller need not wait for them; idempotent. */
  start(): void;
  /** Nobody waits for an exchange (or CoinMarketCap) any longer: such calls reject with `shutting_down`. */
  giveUpCalls(): void;
  /** In reverse order of construction: users before what they use. Never rejects. */
  close(): Promise<void>;
}

const USER_AGENT = `mcp-crypto-data-server/${VERSION}`;

type Own = (name: string, close: () => Promise<void> | void) => void;

/** URL of the simulated venues; null for the real ones. */
const startSandbox = async (config: Config, own: Own): Promise<string | null> => {
  if (typeof config.sandbox === 'string') return config.sandbox;
  if (!config.sandbox) return null;
  const { startSandbox: start } = await import('./sandbox/sandbox.js');
  const sandbox = await start();
  own('sandbox', () => sandbox.close());
  return sandbox.url;
};

interface Base {
  readonly config: Config;
  readonly log: Log;
  readonly now: () => number;
  readonly names: ExchangeNames;
  readonly sandboxUrl: string | null;
}

interface RawClient {
  readonly client: ExchangeClient;
  readonly workers: () => readonly WorkerStats[];
  /** Starts what else would start with the first call. */
  readonly start: () => void;
}

/** One worker pool, or the very same client in this thread where EXCHANGE_WORKERS=0. */
const createRawClient = async ({ config, log, now, names, sandboxUrl }: Base): Promise<RawClient> => {
  const clientOptions = {
    exchangeOptions: byExchangeId(config.exchangeOptions),
    budget: config.budget,
    upstreamTimeoutMs: config.upstreamTimeoutMs,
    proxy: config.proxy,
    sandboxUrl,
    userAgent: USER_AGENT,
  };
  const exchanges = names.exchangeIds;
  if (config.exchangeWorkers === 0) {
    const { createCcxtClient } = await import('./services/exchange/ccxt/ccxt-client.js');
    const { openWatch } = await import('./services/exchange/ccxt/watch.js');
    const client = createCcxtClient({ ...clientOptions, exchanges, log, now, openWatch });
    return { client, workers: () => [], start: () => undefined };
  }
  const { createSupervisor } = await import('./services/exchange/worker/supervisor.js');
  const supervisor = createSupervisor({
    workers: config.exchangeWorkers,
    exchanges,
    clientOptions,
    log,
    now,
  });
  return {
    client: supervisor,
    workers: () => supervisor.stats(),
    start: () => {
      supervisor.start();
    },
  };
};

const createSharedTier = async ({ config, log, now }: Base): Promise<SharedTier | null> => {
  if (!config.redis.enabled) return null;
  const { createRedisCache } = await import('./services/cache/redis-cache.js');
  return createRedisCache({ url: config.redis.url, log, now });
};

/** scheme://host/path at the sandbox, which tells its venues apart by the first segment of the path. */
const sandboxed = (url: string, sandboxUrl: string | null): string => {
  if (sandboxUrl === null) return url;
  const { host, pathname } = new URL(url);
  return `${sandboxUrl}/${host}${pathname}`;
};

const createCoinMarketCap = async ({
  config,
  log,
  now,
  sandboxUrl,
}: Base): Promise<CoinMarketCapClient | null> => {
  const { apiKey, url } = config.coinMarketCap;
  if (apiKey === '') return null;
  const { createCoinMarketCapClient } = await import('./services/coinmarketcap/coinmarketcap-client.js');
  return createCoinMarketCapClient({
    apiKey,
    url: sandboxed(url, sandboxUrl),
    proxy: sandboxUrl === null ? config.proxy : { https: '', http: '', no: '' },
    userAgent: USER_AGENT,
    reuseMs: config.ttl.staleIfErrorMs,
    log,
    now,
  });
};

export const buildServices = async (config: Config, overrides: ServiceOverrides = {}): Promise<Services> => {
  const { now = Date.now, random = Math.random } = overrides;
  const log = overrides.log ?? (await createLog(config));
  const closers: { readonly name: string; readonly close: () => Promise<void> | void }[] = [];
  const own: Own = (name, close) => closers.push({ name, close });
  const names = createExchangeNames({
    enabled: config.enabledExchanges,
    knownIds: overrides.knownExchangeIds ?? listExchangeIds(),
  });
  const sandbox = config.sandbox !== false;
  const sandboxUrl = await startSandbox(config, own);
  const base: Base = { config, log, now, names, sandboxUrl };

  const gauge = overrides.loadGauge ?? createLoadGauge();
  own('load gauge', () => {
    gauge.close();
  });
  const {
    client: raw,
    workers,
    start,
  } = overrides.exchangeClient === undefined
    ? await createRawClient(base)
    : { client: overrides.exchangeClient, workers: () => [], start: () => undefined };
  own('exchanges', () => raw.close());
  // Measured inside: each attempt counts by itself, and a refusal by the circuit is none.
  const upstream = createUpstreamMeter();
  const guarded = withCircuitBreaker(upstream.measure(raw), { now, log });
  const observe: typeof upstream.retried = (retry) => {
    upstream.retried(retry);
  };
  const exchanges = withEnding(withRetry(guarded, { settings: config.retry, now, random, observe }));
  const cache =
    overrides.cache ??
    createTieredCache({
      memory: createMemoryCache({ maxBytes: config.cacheMaxBytes, now }),
      redis: overrides.redis === undefined ? await createSharedTier(base) : overrides.redis,
      now,
    });
  own('cache', () => cache.close());
  const coinMarketCap =
    overrides.coinMarketCap === undefined ? await createCoinMarketCap(base) : overrides.coinMarketCap;
  own('CoinMarketCap', () => coinMarketCap?.close());

  // Streams ask for their first ticker over REST; REST is answered from live streams.
  const hub: StreamHub & LiveTickers =
    overrides.hub ??
    createHub({
      exchanges,
      marketData: () => marketData,
      settings: config.stream,
      sandbox,
      log,
      now,
      random,
    });
  const { ttl, requestTimeoutMs } = config;
  const ownMarketData = (): MarketData & Partial<MarketDataService> => {
    const deps = {
      names,
      cache,
      exchanges,
      coinMarketCap,
      live: hub,
      ttl,
      requestTimeoutMs,
      sandbox,
      log,
      now,
    };
    const service = createMarketData(deps);
    own('market data', () => {
      service.close();
    });
    return service;
  };
  const marketData: MarketData & Partial<MarketDataService> = overrides.marketData ?? ownMarketData();
  const { stats } = marketData;
  own('hub', () => hub.close());
  const { maxConnections, heartbeatMs } = config.stream;
  const connections = createConnections({ maxConnections, heartbeatMs, sandbox, now, log });
  own('stream connections', () => connections.close());

  const metrics = (inFlight: () => number): Metrics =>
    createMetrics({
      version: VERSION,
      upstream,
      now,
      sources: {
        inFlight,
        lagMs: () => gauge.lagMs(),
        ...(stats === undefined ? {} : { marketData: stats }),
        cache: () => cache.stats(),
        coinMarketCap: () => coinMarketCap?.stats() ?? null,
        exchanges: () => exchanges.health(),
        workers,
        hub: () => hub.stats(),
        connections: () => connections.stats(),
      },
    });

  return {
    log,
    now,
    names,
    exchanges,
    cache,
    marketData,
    hub,
    connections,
    gauge,
    metrics,
    sandbox,
    start,
    giveUpCalls() {
      exchanges.giveUp();
      coinMarketCap?.close().catch(() => undefined);
    },
    async close() {
      for (const { name, close } of closers.splice(0).reverse()) {
        try {
          await close();
        } catch (error) {
          log.warn({ service: name, err: error }, 'a service did not close cleanly');
        }
      }
    },
  };
};
