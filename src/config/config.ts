/**
 * Settings: the environment (config/environment.ts), checked once and turned into one frozen object. Durations are
 * seconds in the environment and milliseconds in Config.
 */
import { environment, type Environment } from './environment.js';
import { exchangeIds, exchangeOptionsByExchange, list, type ExchangeOptions } from './values.js';

export type { ExchangeOptions };

/** How upstream attempts are spaced; all in milliseconds. */
export interface RetrySettings {
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
  readonly trustProxy: boolean | number | string[];
  /** true: every origin. */
  readonly corsOrigins: true | readonly string[];
  /** requests 0: off. */
  readonly clientRateLimit: { readonly requests: number; readonly windowMs: number };
  readonly redis: { readonly enabled: boolean; readonly url: string };
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
  readonly exchangeWorkers: number | 'auto';
  readonly budget: { readonly requests: number; readonly windowMs: number };
  readonly retry: RetrySettings;
  readonly upstreamTimeoutMs: number;
  readonly requestTimeoutMs: number;
  readonly stream: {
    readonly deltaThreshold: number;
    readonly heartbeatMs: number;
    readonly maxConnections: number;
    readonly lingerMs: number;
    readonly idleTimeoutMs: number;
  };
  /** false; true: start one inside; a URL: use that one. */
  readonly sandbox: boolean | string;
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

const isProxyUrl = (text: string): boolean =>
  text === '' || (URL.canParse(text) && /^https?:$/.test(new URL(text).protocol));

const PINO_LEVELS = { DEBUG: 'debug', INFO: 'info', WARNING: 'warn', ERROR: 'error' } as const;

const trustProxy = (text: string): Config['trustProxy'] => {
  if (text === '' || text.toLowerCase() === 'false') return false;
  if (text.toLowerCase() === 'true') return true;
  if (/^\d+$/.test(text)) return Number(text);
  return text.split(',').map((address) => address.trim());
};

const sandboxSetting = (text: string): boolean | string =>
  /^https?:/i.test(text) ? text.replace(/\/+$/, '') : /^(true|1)$/i.test(text);

const toConfig = (e: Environment, proxy: Config['proxy']): Config => ({
  env: e.APP_ENV,
  logLevel: PINO_LEVELS[e.LOG_LEVEL],
  accessLog: e.ACCESS_LOG,
  port: e.PORT,
  host: e.HOST,
  trustProxy: trustProxy(e.TRUST_PROXY),
  corsOrigins: e.CORS_ORIGIN.trim() === '*' ? true : list(e.CORS_ORIGIN),
  clientRateLimit: { requests: e.CLIENT_RATE_LIMIT_REQUESTS, windowMs: e.CLIENT_RATE_LIMIT_WINDOW },
  redis: { enabled: e.REDIS_ENABLED, url: e.REDIS_URL },
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
  stream: {
    deltaThreshold: e.TICKER_DELTA_THRESHOLD,
    heartbeatMs: e.STREAM_HEARTBEAT_INTERVAL,
    maxConnections: e.STREAM_MAX_CONNECTIONS,
    lingerMs: e.STREAM_LINGER,
    idleTimeoutMs: e.STREAM_IDLE_TIMEOUT,
  },
  sandbox: sandboxSetting(e.SANDBOX),
  proxy,
});

const deepFreeze = <T extends object>(value: T): T => {
  for (const member of Object.values(value))
    if (typeof member === 'object' && member !== null) deepFreeze(member);
  return Object.freeze(value);
};

/** Name and description of every setting; .env.example is tested against it. */
export const SETTINGS: readonly { readonly name: string; readonly description: string }[] = Object.entries(
  environment.shape,
).map(([name, schema]) => ({ name, description: schema.description ?? '' }));

/**
 * The environment as a Config. An empty variable counts as unset. `knownExchanges`, where given, is the allow-list of
 * exchange names; throws ConfigError with every fault at once.
 */
export const loadConfig = (
  env: Readonly<Record<string, string | undefined>>,
  knownExchanges?: ReadonlySet<string>,
): Config => {
  const given = Object.fromEntries(
    Object.entries(env).filter(([, value]) => value !== undefined && value !== ''),
  );
  // CORS_ORIGIN alone means something when it is empty: no origin at all.
  if (env['CORS_ORIGIN'] === '') given['CORS_ORIGIN'] = '';
  const result = environment.safeParse(given);
  const faults = result.success
    ? []
    : result.error.issues.map((issue) => `${issue.path.map(String).join('.')}: ${issue.message}`);
  // Told beside the other faults, not after they were mended.
  const named = {
    ENABLED_EXCHANGES: exchangeIds.safeParse(given['ENABLED_EXCHANGES']).data ?? [],
    EXCHANGE_OPTIONS: Object.keys(exchangeOptionsByExchange.safeParse(given['EXCHANGE_OPTIONS']).data ?? {}),
  };
  for (const [setting, ids] of Object.entries(named))
    for (const id of ids)
      if (knownExchanges?.has(id) === false)
        faults.push(`${setting}: ${id} is not an exchange that CCXT knows`);
  const proxy = {
    https: env['HTTPS_PROXY'] ?? env['https_proxy'] ?? '',
    http: env['HTTP_PROXY'] ?? env['http_proxy'] ?? '',
    no: env['NO_PROXY'] ?? env['no_proxy'] ?? '',
  };
  // A proxy's URL may carry a password: it is not repeated.
  if (!isProxyUrl(proxy.https)) faults.push('HTTPS_PROXY: must be an http(s) URL');
  if (!isProxyUrl(proxy.http)) faults.push('HTTP_PROXY: must be an http(s) URL');
  if (!result.success || faults.length > 0) throw new ConfigError(faults);
  return deepFreeze(toConfig(result.data, proxy));
};
