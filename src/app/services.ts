/** Constructs the services from the settings. app.ts builds the server on them. */
import { busPlaceOf, createCluster, named } from './cluster.js';
import {
  createAccess,
  createCoinMarketCap,
  createSharedTier,
  openStore,
  storeOpened,
  startSandbox,
  type Own,
} from './drivers.js';
import { ledgerSettings } from './ledger-settings.js';
import { buildExchanges, exchangesOfPart } from './exchanges.js';
import type { ServerPart } from './server-part.js';
import type { Access } from '../access/access.js';
import type { Membership } from '../cluster/membership.js';
import type { Config } from '../config/config.js';
import { createMemoryCache } from '../cache/memory-cache.js';
import type { SharedTier } from '../cache/shared-tier.js';
import { createTieredCache, type TieredCache } from '../cache/tiered-cache.js';
import type { CoinMarketCapClient } from '../coinmarketcap/coinmarketcap-api.js';
import { listExchangeIds } from '../exchanges/ccxt/loader.js';
import type { ExchangeClient } from '../exchanges/exchange-client.js';
import { createExchangeNames, type ExchangeNames } from '../exchanges/exchange-names.js';
import { createLedger, type Ledger, type LedgerStats } from '../ledger/ledger.js';
import type { StoreHandle } from '../ledger/store-status.js';
import type { Log } from '../log/log.js';
import { createMarketData, type MarketDataService } from '../market-data/market-data.js';
import type { AnswersAtHand, LiveTickers, ManyTickers, MarketData } from '../market-data/market-data-api.js';
import { createMetrics, type Metrics } from '../metrics/metrics.js';
import { createLoadGauge, type LoadGauge } from '../http/limits/load-gauge.js';
import { steadyNow } from '../lib/steady-clock.js';
import { createLog } from '../log/pino-log.js';
import type { Place } from '../processes/place.js';
import { createConnections, type Connections } from '../streams/clients/connections.js';
import { checkSpacingOf, createLocalFeeds } from '../streams/feed/local-feeds.js';
import type { HubOptions, StreamHub } from '../streams/hub-api.js';
import { createHub } from '../streams/hub.js';
import { VERSION } from '../config/version.js';

/**
 * The worker threads start this long after the server listens, or with the first call: a start costs more CPU than the
 * rest of the start-up, and where there is one core the first health checks would wait for it.
 */
const WORKERS_START_AFTER_MS = 100;

/** Replacements of single services: tests give some, the server gives its log. */
export interface ServiceOverrides {
  readonly log?: Log;
  /** Milliseconds since the epoch. */
  readonly now?: () => number;
  /** The clock of durations and deadlines; default: `now` where that is given. */
  readonly monotonic?: () => number;
  readonly random?: () => number;
  /** Number of unhandled rejections in this process so far; for the metrics. */
  readonly unhandledRejections?: () => number;
  /** The raw client: circuit breaker and retry still wrap it. */
  readonly exchangeClient?: ExchangeClient;
  /** CCXT ids that exist. */
  readonly knownExchangeIds?: readonly string[];
  readonly cache?: TieredCache;
  /** The second tier, instead of the Redis of the settings; null: none. */
  readonly redis?: SharedTier | null;
  readonly coinMarketCap?: CoinMarketCapClient | null;
  readonly marketData?: MarketData & ManyTickers & Partial<AnswersAtHand>;
  readonly hub?: StreamHub & LiveTickers;
  readonly loadGauge?: LoadGauge;
  /** The candle store, instead of the one of the settings; null: none. */
  readonly store?: StoreHandle | null;
  /** Who may ask, instead of what the settings say; null: everybody. */
  readonly access?: Access | null;
  /** How long a read of a shared store may take, in milliseconds; default 50. */
  readonly storeReadMs?: number;
  /** This process is one of several that serve; default: it does all by itself. */
  readonly place?: Place;
}

export interface Services {
  readonly log: Log;
  readonly now: () => number;
  readonly monotonic: () => number;
  readonly names: ExchangeNames;
  readonly exchanges: ExchangeClient;
  readonly cache: TieredCache;
  readonly marketData: MarketData & ManyTickers & Partial<AnswersAtHand>;
  readonly hub: StreamHub & LiveTickers;
  /** null: no candles are kept. */
  readonly ledger: Ledger | null;
  /** The store that the ledger uses; null without a ledger. */
  readonly store: StoreHandle | null;
  /** Of the store, whichever process tends it; null without one. */
  ledgerStats(): LedgerStats | null;
  /** null: everybody may ask everything. */
  readonly access: Access | null;
  /** null: this server acts alone. */
  readonly cluster: Membership | null;
  /** null: this process does all by itself. */
  readonly part: ServerPart | null;
  readonly connections: Connections;
  readonly gauge: LoadGauge;
  /** `inFlight`: requests being answered now. */
  metrics(inFlight: () => number): Metrics;
  readonly sandbox: boolean;
  /** Starts the worker threads soon, so that the first request does not wait for them; idempotent. */
  start(): void;
  /** Aborts every call to an exchange or CoinMarketCap: it rejects with `shutting_down`. */
  giveUpCalls(): void;
  /** Closes in reverse order of construction. Never rejects. */
  close(): Promise<void>;
}

const feedOf =
  (ledger: Ledger): NonNullable<HubOptions['onCandles']> =>
  ({ exchange, symbol, interval }, candles, receivedAt) => {
    if (interval !== undefined) ledger.recordFeed({ exchange, symbol, interval }, candles, receivedAt);
  };

export const buildServices = async (
  settings: Config,
  overrides: ServiceOverrides = {},
): Promise<Services> => {
  const config = named(settings);
  const { now = Date.now, monotonic = overrides.now ?? steadyNow, random = Math.random } = overrides;
  const log = overrides.log ?? (await createLog(config));
  const closers: { readonly name: string; readonly close: () => Promise<void> | void }[] = [];
  const own: Own = (name, close) => closers.push({ name, close });
  const names = createExchangeNames({
    enabled: config.enabledExchanges,
    knownIds: overrides.knownExchangeIds ?? listExchangeIds(),
  });
  const sandbox = config.sandbox !== false;
  const sandboxUrl = await startSandbox(config, own);
  const base = { config, log, now, monotonic, names, sandboxUrl, bus: busPlaceOf(config) };
  const { place } = overrides;
  const part =
    place === undefined
      ? null
      : await import('./server-part.js').then(({ openServerPart }) => openServerPart(place, base, own));
  // Mostly waits for its thread and its disk, while everything else is made.
  const givenStore = part === null ? overrides.store : part.store;
  const opening = givenStore === undefined ? openStore(base, own) : Promise.resolve(givenStore);
  opening.catch(() => undefined);

  const gauge = overrides.loadGauge ?? createLoadGauge(config.overloadDelayMs);
  own('load gauge', () => {
    gauge.close();
  });
  const { exchanges, upstream, workers, start } =
    part === null ? await buildExchanges(base, overrides, random) : exchangesOfPart(part);
  let starting: NodeJS.Timeout | undefined;
  own('exchanges', () => {
    clearTimeout(starting);
    return exchanges.close();
  });
  const cache =
    overrides.cache ??
    createTieredCache({
      memory: createMemoryCache({ maxBytes: config.cacheMaxBytes, now }),
      redis: overrides.redis === undefined ? await createSharedTier(base) : overrides.redis,
      now,
      monotonic,
    });
  own('cache', () => cache.close());
  const givenClient = part === null ? overrides.coinMarketCap : part.coinMarketCap;
  const coinMarketCap = givenClient === undefined ? await createCoinMarketCap(base) : givenClient;
  own('CoinMarketCap', () => coinMarketCap?.close());

  const access =
    overrides.access === undefined ? await createAccess(base, own, part?.notices) : overrides.access;
  const handle = await opening;
  const ledger =
    handle === null
      ? null
      : createLedger({
          handle,
          exchanges,
          enabled: names.exchangeIds,
          sharedReadMs: overrides.storeReadMs,
          isTended: part !== null,
          settings: ledgerSettings(config, names),
          log,
          now,
          monotonic,
        });
  if (ledger !== null) own('candle ledger', () => ledger.close());

  // The two depend on each other: streams get their first ticker over REST, and REST is answered from live streams.
  const local = createLocalFeeds({
    exchanges,
    serverId: config.serverId,
    idleTimeoutMs: config.stream.idleTimeoutMs,
    // Each process checks its own feeds: together no more often than one would.
    checkSpacingMs: checkSpacingOf(config.budget) * (part === null ? 1 : config.serverProcesses),
    log,
    now,
    monotonic,
    random,
  });
  const {
    membership: cluster,
    feeds,
    shared,
  } = await createCluster(base, { local, random, part, topics: () => hub.stats().topics });
  own('cluster', () => cluster?.close());
  const hub: StreamHub & LiveTickers =
    overrides.hub ??
    createHub({
      exchanges,
      feeds,
      marketData: () => marketData,
      ...(ledger === null ? {} : { onCandles: feedOf(ledger) }),
      settings: config.stream,
      sandbox,
      log,
      now,
      monotonic,
    });
  part?.tellFeeds(() => hub.stats().feeds);
  const { ttl, requestTimeoutMs } = config;
  const ownMarketData = (): MarketDataService => {
    const service = createMarketData({
      ...{ names, cache, exchanges, coinMarketCap, ledger, live: hub },
      ...{ ttl, requestTimeoutMs, sandbox, log, now, monotonic },
    });
    own('market data', () => {
      service.close();
    });
    return service;
  };
  const marketData: MarketData & ManyTickers & Partial<MarketDataService> =
    overrides.marketData ?? ownMarketData();
  const { stats } = marketData;
  own('hub', async () => {
    await shared?.handOver();
    await hub.close();
    shared?.close();
  });
  const { maxConnections, maxPerClient, heartbeatMs } = config.stream;
  const connections = createConnections({
    maxConnections,
    maxPerClient,
    takePlaces: part?.takePlaces,
    heartbeatMs,
    sandbox,
    now,
    monotonic,
    log,
  });
  own('stream connections', () => connections.close());

  const ofVenues = {
    coinMarketCap: () => coinMarketCap?.stats() ?? null,
    exchanges: () => exchanges.health(),
    sharesBudgets: base.bus !== null,
    workers,
  };
  const metrics = (inFlight: () => number): Metrics => {
    const own = createMetrics({
      version: VERSION,
      upstream,
      sources: {
        // What the feeder has is counted there.
        ...(part === null ? ofVenues : {}),
        unhandledRejections: overrides.unhandledRejections ?? (() => 0),
        inFlight,
        lagMs: () => gauge.lagMs(),
        ...(stats === undefined ? {} : { marketData: stats }),
        cache: () => cache.stats(),
        cacheHealth: () => cache.health(),
        ledger: () => ledger?.stats() ?? null,
        // That a server of several processes is with the others, its primary counts.
        bus:
          cluster === null
            ? null
            : { membership: part === null ? cluster : null, feeds: () => shared?.stats ?? null },
        hub: () => hub.stats(),
        connections: () => connections.stats(),
        access: () => ({ mode: config.access.mode, isServing: access?.isServing() ?? null }),
      },
    });
    if (part === null) return own;
    void part.tellMetrics(() => own.text());
    return { ...own, text: () => part.metrics().catch(() => own.text()) };
  };

  const close = async (): Promise<void> => {
    for (const { name, close: end } of closers.splice(0).reverse()) {
      try {
        await end();
      } catch (error) {
        log.warn({ service: name, err: error }, 'a service did not close cleanly');
      }
    }
  };
  if (givenStore === undefined && handle !== null) {
    try {
      await storeOpened(handle);
    } catch (thrown) {
      await close();
      throw thrown;
    }
  }

  return {
    log,
    now,
    monotonic,
    names,
    exchanges,
    cache,
    marketData,
    hub,
    ledger,
    store: handle,
    ledgerStats: () => part?.ledgerStats() ?? ledger?.stats() ?? null,
    access,
    cluster,
    part,
    connections,
    gauge,
    metrics,
    sandbox,
    start() {
      starting ??= setTimeout(start, WORKERS_START_AFTER_MS).unref();
      cluster?.start();
      shared?.start();
      ledger?.start();
    },
    giveUpCalls() {
      exchanges.giveUp();
      coinMarketCap?.close().catch(() => undefined);
    },
    close,
  };
};
