/**
 * Settings: the environment (config/environment.ts), checked once and turned into one frozen object. Durations are
 * seconds in the environment and milliseconds in Config.
 */
import { accessFaults, accessSettings, type AccessSettings } from './access-settings.js';
import { environment, type Environment } from './environment.js';
import { graphqlSettings, type GraphqlSettings } from './graphql-settings.js';
import { PROXY_VARIABLES } from './setting-names.js';
import {
  backfillEntries,
  storeLocation,
  type BackfillEntry,
  type StoreLocation,
  type Variables,
} from './store-settings.js';
import {
  exchangeIds,
  exchangeOptionsByExchange,
  flagOf,
  isLoopback,
  isProxyUrl,
  list,
  originOf,
  type ExchangeOptions,
} from './values.js';
import { nearestNames } from '../lib/edit-distance.js';

export type { ExchangeOptions, Variables };

/** How upstream attempts are spaced; all in milliseconds. */
interface RetrySettings {
  readonly maxRetries: number;
  readonly initialBackoffMs: number;
  readonly maxBackoffMs: number;
  readonly multiplier: number;
}

export interface Config {
  readonly env: Environment['APP_ENV'];
  readonly logLevel: 'debug' | 'info' | 'warn' | 'error';
  readonly accessLog: Environment['ACCESS_LOG'];
  readonly port: number;
  readonly host: string;
  /** Hosts that requests may name beside this machine's own; null: any. */
  readonly allowedHosts: readonly string[] | null;
  /** null: /metrics is served on `port`. */
  readonly metricsPort: number | null;
  readonly trustProxy: boolean | number | string[];
  /** true: every origin. */
  readonly corsOrigins: true | readonly string[];
  /** Mean event loop delay from which requests are refused; 0: never. */
  readonly overloadDelayMs: number;
  /** requests 0: off. */
  readonly clientRateLimit: { readonly requests: number; readonly windowMs: number };
  readonly redis: { readonly enabled: boolean; readonly url: string };
  /** '': a random one. */
  readonly serverId: string;
  /** How servers act as one; null: each alone. */
  readonly bus: {
    readonly namespace: string;
    /** A server that was not heard of for so long may be dead. */
    readonly leaseMs: number;
    /** Events of trades that are kept of a topic. */
    readonly history: number;
    /** Of the events that are kept of all topics that this server feeds. */
    readonly historyBytes: number;
    /** '': by the proxy. */
    readonly egress: string;
  } | null;
  /** The same of processes that share feeds without Redis. */
  readonly localHistory: { readonly events: number; readonly bytes: number };
  readonly cacheMaxBytes: number;
  readonly ttl: {
    readonly tickerMs: number;
    readonly orderbookMs: number;
    readonly tradesMs: number;
    readonly ohlcvMs: number;
    readonly staleIfErrorMs: number;
  };
  readonly coinMarketCap: { readonly apiKey: string; readonly url: string };
  /** As written, lower case, without repetitions; may hold the alias coinbasepro. */
  readonly enabledExchanges: readonly string[];
  readonly exchangeOptions: Readonly<Record<string, ExchangeOptions>>;
  /** Processes that serve clients; 1: this one does all. */
  readonly serverProcesses: number;
  readonly exchangeWorkers: number | 'auto';
  readonly budget: { readonly requests: number; readonly windowMs: number };
  readonly retry: RetrySettings;
  readonly upstreamTimeoutMs: number;
  readonly requestTimeoutMs: number;
  /** How long readiness is off before connections end. */
  readonly shutdownNoticeMs: number;
  readonly stream: {
    readonly deltaThreshold: number;
    readonly heartbeatMs: number;
    readonly maxConnections: number;
    /** Of one client. */
    readonly maxPerClient: number;
    readonly lingerMs: number;
    readonly idleTimeoutMs: number;
  };
  /** false; true: start one inside; a URL: use that one. */
  readonly sandbox: boolean | string;
  /** Whether the sandbox inside has its control API. */
  readonly sandboxControl: boolean;
  readonly store: {
    readonly location: StoreLocation;
    readonly settleMs: number;
    readonly maxBytes: number;
    readonly minFreeBytes: number;
    /** 0: everything is kept. */
    readonly retentionMs: number;
  };
  readonly backfill: {
    readonly series: readonly BackfillEntry[];
    readonly budgetShare: number;
    /** Callers may start and cancel backfills. */
    readonly api: boolean;
  };
  readonly access: AccessSettings;
  readonly graphql: GraphqlSettings;
  /** The page. */
  readonly dashboard: {
    readonly enabled: boolean;
    /** `exchange:symbol`, separated by commas. */
    readonly watch: string;
    /** As Content-Security-Policy's directive of this name has it. */
    readonly frameAncestors: string;
  };
  /** Whether TradingView's protocol is served. */
  readonly udf: boolean;
  /** For REST and WebSocket to the venues, from the usual variables in either case. */
  readonly proxy: { readonly https: string; readonly http: string; readonly no: string };
}

/** All faults of the environment in one message, a line each. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  constructor(readonly faults: readonly string[]) {
    super(`The settings are not usable:\n${faults.map((fault) => `  - ${fault}`).join('\n')}`);
  }
}

const PINO_LEVELS = { DEBUG: 'debug', INFO: 'info', WARNING: 'warn', ERROR: 'error' } as const;

const trustProxy = (text: string): Config['trustProxy'] => {
  // Before the flags: 1 is one hop here. No hop at all is nobody to trust.
  if (/^\d+$/.test(text)) return Number(text) === 0 ? false : Number(text);
  return flagOf(text) ?? list(text);
};

const sandboxSetting = (text: string): boolean | string => flagOf(text) ?? text.replace(/\/+$/, '');

/** What is bound to this machine alone is asked for by this machine's names, or by the address that it is bound to. */
const allowedHosts = (text: string, host: string): Config['allowedHosts'] => {
  if (text === '*') return null;
  const named = list(text);
  const own = isLoopback(host) && host !== '::1' ? [host] : [];
  return named.length === 0 && !isLoopback(host) ? null : [...named, ...own];
};

const toConfig = (e: Environment, proxy: Config['proxy'], env: Variables): Config => ({
  env: e.APP_ENV,
  logLevel: PINO_LEVELS[e.LOG_LEVEL],
  accessLog: e.ACCESS_LOG,
  port: e.PORT,
  host: e.HOST,
  allowedHosts: allowedHosts(e.ALLOWED_HOSTS, e.HOST),
  metricsPort: e.METRICS_PORT === '' ? null : e.METRICS_PORT,
  trustProxy: trustProxy(e.TRUST_PROXY),
  corsOrigins: e.CORS_ORIGIN === '*' ? true : list(e.CORS_ORIGIN).map((item) => originOf(item) ?? item),
  overloadDelayMs: e.OVERLOAD_DELAY,
  clientRateLimit: { requests: e.CLIENT_RATE_LIMIT_REQUESTS, windowMs: e.CLIENT_RATE_LIMIT_WINDOW },
  redis: { enabled: e.REDIS_ENABLED, url: e.REDIS_URL },
  serverId: e.SERVER_ID,
  bus:
    e.BUS === 'none' || (e.BUS === 'auto' && !e.REDIS_ENABLED)
      ? null
      : {
          ...{ namespace: e.BUS_NAMESPACE, egress: e.EGRESS_ID, leaseMs: e.BUS_LEASE },
          ...{ history: e.BUS_HISTORY, historyBytes: e.BUS_MEMORY_MB * 1024 * 1024 },
        },
  localHistory: { events: e.BUS_HISTORY, bytes: e.BUS_MEMORY_MB * 1024 * 1024 },
  cacheMaxBytes: e.CACHE_MAX_MB * 1024 * 1024,
  ttl: {
    tickerMs: e.TICKER_CACHE_TTL,
    orderbookMs: e.ORDERBOOK_CACHE_TTL,
    tradesMs: e.TRADES_CACHE_TTL,
    ohlcvMs: e.OHLCV_CACHE_TTL,
    staleIfErrorMs: e.STALE_IF_ERROR,
  },
  coinMarketCap: { apiKey: e.CMC_API_KEY, url: e.CMC_API_URL },
  enabledExchanges: e.ENABLED_EXCHANGES,
  exchangeOptions: e.EXCHANGE_OPTIONS,
  serverProcesses: e.SERVER_PROCESSES,
  exchangeWorkers: e.EXCHANGE_WORKERS,
  budget: { requests: e.RATE_LIMIT_REQUESTS, windowMs: e.RATE_LIMIT_WINDOW },
  retry: {
    maxRetries: e.MAX_RETRIES,
    initialBackoffMs: e.INITIAL_BACKOFF,
    maxBackoffMs: e.MAX_BACKOFF,
    multiplier: e.BACKOFF_MULTIPLIER,
  },
  upstreamTimeoutMs: e.UPSTREAM_TIMEOUT,
  requestTimeoutMs: e.REQUEST_TIMEOUT,
  shutdownNoticeMs: e.SHUTDOWN_NOTICE,
  stream: {
    deltaThreshold: e.TICKER_DELTA_THRESHOLD,
    heartbeatMs: e.STREAM_HEARTBEAT_INTERVAL,
    maxConnections: e.STREAM_MAX_CONNECTIONS,
    maxPerClient:
      e.STREAM_MAX_PER_CLIENT === ''
        ? Math.max(1, Math.floor(e.STREAM_MAX_CONNECTIONS / 2))
        : e.STREAM_MAX_PER_CLIENT,
    lingerMs: e.STREAM_LINGER,
    idleTimeoutMs: e.STREAM_IDLE_TIMEOUT,
  },
  store: {
    location: storeLocation(e.STORE_URL, env, sandboxSetting(e.SANDBOX) !== false),
    settleMs: e.STORE_SETTLE,
    maxBytes: e.STORE_MAX_GB * 1024 ** 3,
    minFreeBytes: e.STORE_MIN_FREE_MB * 1024 ** 2,
    retentionMs: e.STORE_RETENTION,
  },
  backfill: { series: e.BACKFILL, budgetShare: e.BACKFILL_BUDGET_SHARE, api: e.BACKFILL_API },
  access: accessSettings(e, env),
  sandbox: sandboxSetting(e.SANDBOX),
  sandboxControl: e.SANDBOX_CONTROL,
  graphql: graphqlSettings(e),
  dashboard: {
    enabled: e.DASHBOARD,
    watch: e.DASHBOARD_WATCH,
    frameAncestors: e.DASHBOARD_FRAME_ANCESTORS,
  },
  udf: e.UDF,
  proxy,
});

const deepFreeze = <T extends object>(value: T): T => {
  for (const member of Object.values(value))
    if (typeof member === 'object' && member !== null) deepFreeze(member);
  return Object.freeze(value);
};

/** Their values, or parts of them, may be secret: no message repeats them. */
const MAY_BE_SECRET: ReadonlySet<string> = new Set([
  ...['CMC_API_KEY', 'CMC_API_URL', 'EXCHANGE_OPTIONS', 'REDIS_URL', 'STORE_URL', ...PROXY_VARIABLES],
  ...['AUTH_STORE', 'OAUTH_INTROSPECTION_URL', 'OAUTH_INTROSPECTION_CLIENT_SECRET'],
]);
/** A bad value is repeated up to this many characters. */
const MAX_SHOWN_LENGTH = 60;

/** What is set, without the blanks around it. Empty is unset, but that CORS_ORIGIN alone then names no origin. */
const givenSettings = (env: Variables): Record<string, string> => {
  const given: Record<string, string> = {};
  for (const [name, value] of Object.entries(env)) {
    const text = value?.trim() ?? '';
    if (text !== '' || (name === 'CORS_ORIGIN' && value !== undefined)) given[name] = text;
  }
  return given;
};

/** `, not "x"`: the value that was refused, where it may be shown. */
const refused = (name: string, given: Readonly<Record<string, string>>): string => {
  const value = given[name];
  // A URL with credentials, put into the wrong setting by mistake.
  if (value === undefined || MAY_BE_SECRET.has(name) || value.includes('@')) return '';
  const shown = value.length > MAX_SHOWN_LENGTH ? `${value.slice(0, MAX_SHOWN_LENGTH)}…` : value;
  return `, not ${JSON.stringify(shown)}`;
};

/** Told beside the other faults, not after they were mended. */
const unknownExchangeFaults = (
  given: Readonly<Record<string, string>>,
  known: ReadonlySet<string>,
): string[] => {
  const named = {
    ENABLED_EXCHANGES: exchangeIds.safeParse(given['ENABLED_EXCHANGES']).data ?? [],
    EXCHANGE_OPTIONS: Object.keys(exchangeOptionsByExchange.safeParse(given['EXCHANGE_OPTIONS']).data ?? {}),
    BACKFILL: (backfillEntries.safeParse(given['BACKFILL']).data ?? []).map(({ exchange }) => exchange),
  };
  return Object.entries(named).flatMap(([setting, ids]) =>
    ids
      .filter((id) => !known.has(id))
      .map((id) => {
        const meant = nearestNames(id, known);
        const hint = meant.length > 0 ? `; did you mean ${meant.join(', ')}?` : '';
        return `${setting}: ${id} is not an exchange that CCXT knows${hint}`;
      }),
  );
};

/**
 * The environment as a Config. Blanks around a value are cut; an empty variable counts as unset. `knownExchanges`, where
 * given, is the allow-list of exchange names; throws ConfigError with every fault at once.
 */
export const loadConfig = (env: Variables, knownExchanges?: ReadonlySet<string>): Config => {
  const given = givenSettings(env);
  const result = environment.safeParse(given);
  const faults = result.success
    ? []
    : result.error.issues.map(({ path: [name, ...rest], message }) => {
        const setting = String(name);
        return `${[setting, ...rest.map(String)].join('.')}: ${message}${refused(setting, given)}`;
      });
  if (knownExchanges !== undefined) faults.push(...unknownExchangeFaults(given, knownExchanges));
  const [https, http, no] = PROXY_VARIABLES.map((name) => given[name] ?? given[name.toLowerCase()] ?? '');
  const proxy = { https: https ?? '', http: http ?? '', no: no ?? '' };
  for (const [name, url] of [
    ['HTTPS_PROXY', proxy.https],
    ['HTTP_PROXY', proxy.http],
  ] as const)
    if (url !== '' && !isProxyUrl(url))
      faults.push(
        `${name}: must be an http(s) URL such as http://proxy:3128, a password in it percent-encoded`,
      );
  if (result.success) faults.push(...accessFaults(result.data, env));
  if (result.data?.BUS === 'redis' && !result.data.REDIS_ENABLED)
    faults.push('BUS: redis needs REDIS_ENABLED=true');
  if (!result.success || faults.length > 0) throw new ConfigError(faults);
  return deepFreeze(toConfig(result.data, proxy, env));
};
