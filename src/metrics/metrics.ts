/** Collects all metrics at each scrape. */
import { untilLoaded } from '../lib/once.js';
import type { Millis } from '../schemas/common.js';
import type { CacheHealth } from '../cache/cache-entry.js';
import type { TieredCacheStats } from '../cache/tiered-cache.js';
import type { CoinMarketCapStats } from '../coinmarketcap/coinmarketcap-api.js';
import type { ExchangeHealth } from '../exchanges/exchange-client.js';
import type { WorkerStats } from '../exchanges/worker/venue-worker.js';
import type { LedgerStats } from '../ledger/ledger.js';
import type { MarketDataStats } from '../market-data/market-data.js';
import type { ConnectionStats } from '../streams/clients/connections.js';
import type { HubStats } from '../streams/hub-api.js';
import {
  addAccessState,
  createAccessMeter,
  type AccessedAnswer,
  type AccessState,
} from './access-families.js';
import { createAnswerMeter, type CountedAnswer } from './answer-meter.js';
import { addCache, addCoinMarketCap, addMarketData, addRedisState } from './data-families.js';
import type { Registry } from './families.js';
import { addConnections, addHub } from './stream-families.js';
import { addBus, addSharedBudgets, type BusSource } from './bus-families.js';
import { addLedger } from './ledger-families.js';
import { addProcesses } from './process-families.js';
import { createGraphqlMeter, type GraphqlMeter } from './graphql-meter.js';
import { createMcpMeter } from './mcp-meter.js';
import type { UpstreamMeter } from './upstream-meter.js';
import { addExchanges, addWorkers } from './venue-families.js';

/** Prometheus' text format, https://prometheus.io/docs/instrumenting/exposition_formats/ */
const CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

/** Called at each scrape; synchronous, from memory. */
export interface MetricsSources {
  /** Number of unhandled rejections in this process, without the workers. */
  readonly unhandledRejections: () => number;
  /** Requests being answered. */
  readonly inFlight: () => number;
  /** Mean lateness of the serving thread's timers over the last second. */
  readonly lagMs: () => Millis;
  readonly marketData: () => MarketDataStats;
  readonly cache: () => TieredCacheStats;
  readonly cacheHealth: () => CacheHealth;
  /** null without a key. */
  readonly coinMarketCap: () => CoinMarketCapStats | null;
  /** Of the outermost client, which knows the circuits. */
  readonly exchanges: () => readonly ExchangeHealth[];
  /** Whether their budgets are shared with other servers; default: they are not. */
  readonly sharesBudgets: boolean;
  /** Empty where the exchanges are served in this thread. */
  readonly workers: () => readonly WorkerStats[];
  /** null: no candles are kept. */
  readonly ledger: () => LedgerStats | null;
  /** null: this server acts alone. */
  readonly bus: BusSource | null;
  readonly hub: () => HubStats;
  readonly connections: () => ConnectionStats;
  readonly access: () => AccessState;
  /** How often each process of the server was replaced; of its primary. */
  readonly processRestarts: () => ReadonlyMap<string, number>;
}

export interface MetricsOptions {
  /** The product's version. */
  readonly version: string;
  readonly upstream: UpstreamMeter;
  /** What is left out is not exported. */
  readonly sources: Partial<MetricsSources>;
}

export interface Metrics {
  /** Value of the Content-Type header. */
  readonly contentType: string;
  /** Counts one answer; never throws. */
  recordAnswer(answer: CountedAnswer & AccessedAnswer): void;
  /** Counts one call of an MCP tool; `outcome`: `ok`, or an error's code. */
  recordMcpCall(tool: string, outcome: string): void;
  /** Counts what GraphQL clients asked. */
  readonly graphql: Omit<GraphqlMeter, 'register'>;
  /** All metrics in Prometheus' text format. */
  text(): Promise<string>;
}

/** Asks each source once a scrape, however many families it has: what is counted over thousands of topics takes long. */
const askedOnce = () => {
  const answers = new Map<() => unknown, unknown>();
  return {
    of<T>(source: () => T): () => T {
      return () => {
        if (!answers.has(source)) answers.set(source, source());
        return answers.get(source) as T;
      };
    },
    forget: () => answers.clear(),
  };
};

type AskedOnce = ReturnType<typeof askedOnce>;

/** What the services count by themselves. */
const addSources = (
  registry: Registry,
  { version, sources, once }: Pick<MetricsOptions, 'version' | 'sources'> & { once: AskedOnce },
): void => {
  registry.addGauge({
    name: 'build_info',
    help: 'Always 1; the version is the label.',
    labels: ['version'],
    samples: () => [[1, { version }]],
  });
  const {
    unhandledRejections,
    inFlight,
    lagMs,
    marketData,
    cache,
    cacheHealth,
    coinMarketCap,
    exchanges,
    sharesBudgets,
    workers,
    ledger,
    bus,
    hub,
    connections,
    access,
    processRestarts,
  } = sources;
  if (unhandledRejections !== undefined)
    registry.addCounter({
      name: 'unhandled_rejections_total',
      help: 'Rejections that nobody handled in the serving thread: bugs, each with its line in the log.',
      samples: () => [[unhandledRejections()]],
    });
  if (inFlight !== undefined)
    registry.addGauge({
      name: 'http_requests_in_flight',
      help: 'Requests being answered now, without streams.',
      samples: () => [[inFlight()]],
    });
  if (lagMs !== undefined)
    registry.addGauge({
      name: 'event_loop_lag_seconds',
      help: "Mean lateness of the serving thread's timers over the last second.",
      samples: () => [[lagMs() / 1000]],
    });
  if (marketData !== undefined) addMarketData(registry, marketData);
  if (cache !== undefined) addCache(registry, cache);
  if (cacheHealth !== undefined) addRedisState(registry, cacheHealth);
  if (coinMarketCap !== undefined) addCoinMarketCap(registry, coinMarketCap);
  if (exchanges !== undefined) addExchanges(registry, exchanges);
  if (exchanges !== undefined && sharesBudgets === true) addSharedBudgets(registry, exchanges);
  if (workers !== undefined) addWorkers(registry, workers);
  if (ledger !== undefined) addLedger(registry, ledger);
  if (bus !== undefined && bus !== null)
    addBus(registry, { membership: bus.membership, feeds: once.of(bus.feeds) });
  if (hub !== undefined) addHub(registry, once.of(hub));
  if (connections !== undefined) addConnections(registry, connections);
  if (access !== undefined) addAccessState(registry, access);
  if (processRestarts !== undefined) addProcesses(registry, processRestarts);
};

export const createMetrics = ({ version, upstream, sources }: MetricsOptions): Metrics => {
  const answers = createAnswerMeter();
  const accessed = createAccessMeter();
  const mcp = createMcpMeter();
  const graphql = createGraphqlMeter();
  const once = askedOnce();
  const registryOf = untilLoaded(async () => {
    const { createRegistry } = await import('./prometheus.js');
    const registry = createRegistry();
    for (const meter of [answers, accessed, mcp, graphql, upstream]) meter.register(registry);
    addSources(registry, { version, sources, once });
    return registry;
  });

  return {
    contentType: CONTENT_TYPE,
    recordAnswer(answer) {
      answers.record(answer);
      accessed.record(answer);
    },
    recordMcpCall: (tool, outcome) => mcp.record(tool, outcome),
    graphql,
    async text() {
      const registry = await registryOf();
      once.forget();
      return registry.text().finally(() => once.forget());
    },
  };
};
