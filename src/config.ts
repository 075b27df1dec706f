/**
 * Settings: the environment, checked once and turned into one frozen object. Every variable is described in its
 * schema; .env.example repeats the descriptions (a test keeps the two in step). Durations are seconds in the
 * environment and milliseconds in Config.
 */
import { isIP } from 'node:net';
import { z } from 'zod';

const seconds = (fallback: number, { min = 0, max = 86_400 } = {}) =>
  z.coerce
    .number('must be a number of seconds')
    .min(min, `must be at least ${min}`)
    .max(max, `must be at most ${max}`)
    .default(fallback)
    .transform((value) => Math.round(value * 1000));

const whole = (fallback: number, { min = 0, max = 1_000_000 } = {}) =>
  z.coerce
    .number('must be a whole number')
    .int('must be a whole number')
    .min(min, `must be at least ${min}`)
    .max(max, `must be at most ${max}`)
    .default(fallback);

const flag = (fallback: boolean) =>
  z
    .string()
    .toLowerCase()
    .pipe(z.enum(['true', 'false', '1', '0', 'yes', 'no', 'on', 'off'], 'must be true or false'))
    .transform((text) => ['true', '1', 'yes', 'on'].includes(text))
    .default(fallback);

const LOG_LEVELS = ['DEBUG', 'INFO', 'WARNING', 'ERROR'] as const;

/** What CCXT may be told about one exchange; anything else could overwrite its methods. */
const exchangeOptions = z.strictObject({
  rateLimit: z.number().min(1).max(60_000).optional(),
  hostname: z
    .string()
    .regex(/^[a-z0-9.-]{1,100}$/i, 'must be a host name')
    .optional(),
  userAgent: z.string().max(200).optional(),
  options: z.record(z.string().regex(/^[A-Za-z][A-Za-z0-9_]*$/), z.json()).optional(),
});
export type ExchangeOptions = z.infer<typeof exchangeOptions>;

const exchangeOptionsByExchange = z
  .string()
  .transform((text, context): unknown => {
    try {
      return JSON.parse(text);
    } catch {
      context.addIssue({
        code: 'custom',
        message: 'must be JSON, for example {"binance":{"rateLimit":100}}',
      });
      return z.NEVER;
    }
  })
  .pipe(z.record(z.string().regex(/^[a-z0-9]+$/), exchangeOptions))
  .default({});

const exchangeIds = z
  .string()
  .transform((text) => [
    ...new Set(
      text
        .split(',')
        .map((id) => id.trim().toLowerCase())
        .filter((id) => id !== ''),
    ),
  ])
  .pipe(
    z
      .array(z.string().regex(/^[a-z0-9_]{1,32}$/, 'must be CCXT exchange ids separated by commas'))
      .min(1, 'must name at least one exchange'),
  )
  .default(['binance', 'kraken', 'coinbasepro']);

const list = (text: string): string[] =>
  text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');

/** What Fastify takes for the address of a proxy: an IP, a network, or a name for some of them. */
const isProxyAddress = (text: string): boolean => {
  if (['loopback', 'linklocal', 'uniquelocal'].includes(text)) return true;
  const [address = '', bits, ...rest] = text.split('/');
  const family = isIP(address);
  if (family === 0 || rest.length > 0) return false;
  return bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128));
};

/** As browsers send it: scheme, host and port, no path. */
const isOrigin = (text: string): boolean => URL.canParse(text) && new URL(text).origin === text;

const isProxyUrl = (text: string): boolean =>
  text === '' || (URL.canParse(text) && /^https?:$/.test(new URL(text).protocol));

const environment = z.object({
  APP_ENV: z
    .enum(['development', 'test', 'production'], 'must be development, test or production')
    .default('development')
    .describe('development prints readable logs on a terminal; production logs JSON'),
  LOG_LEVEL: z
    .string()
    .toUpperCase()
    .pipe(z.enum(LOG_LEVELS, `must be one of ${LOG_LEVELS.join(', ')}`))
    .default('INFO')
    .describe('DEBUG, INFO, WARNING or ERROR'),
  ACCESS_LOG: z
    .enum(['all', 'upstream', 'errors'], 'must be all, upstream or errors')
    .default('upstream')
    .describe(
      'which requests get a log line: all; those that failed, were slow or reached a venue; failures only',
    ),
  PORT: whole(8000, { min: 0, max: 65_535 }).describe('TCP port to listen on; 0 takes a free one'),
  HOST: z.string().min(1).default('0.0.0.0').describe('address to listen on'),
  TRUST_PROXY: z
    .string()
    .refine(
      (text) =>
        /^(true|false|\d{1,3})$/i.test(text) || text.split(',').every((item) => isProxyAddress(item.trim())),
      'must be false, true, a number of hops, or IP addresses and networks separated by commas',
    )
    .default('false')
    .describe('false, true, a number of hops, or addresses of proxies whose X-Forwarded-For is believed'),
  CORS_ORIGIN: z
    .string()
    .refine(
      (text) => text.trim() === '*' || list(text).every(isOrigin),
      'must be * or origins such as https://app.example, without a path, separated by commas',
    )
    .default('*')
    .describe('origins whose pages may read answers: *, or a list separated by commas, or empty for none'),
  CLIENT_RATE_LIMIT_REQUESTS: whole(0, { max: 10_000_000 }).describe(
    'requests a client address may make per CLIENT_RATE_LIMIT_WINDOW; 0 is off',
  ),
  CLIENT_RATE_LIMIT_WINDOW: seconds(60, { min: 1 }).describe('window of the client limit, in seconds'),
  REDIS_ENABLED: flag(true).describe('use Redis as the second cache tier; without it memory alone serves'),
  REDIS_URL: z
    .url({ protocol: /^rediss?$/, error: 'must look like redis://host:6379/0' })
    .default('redis://localhost:6379/0')
    .describe('where Redis is'),
  CACHE_MAX_MB: whole(128, { min: 1, max: 65_536 }).describe('bound of the in-memory cache, in MB'),
  TICKER_CACHE_TTL: seconds(2).describe('how long a ticker is fresh, in seconds'),
  ORDERBOOK_CACHE_TTL: seconds(1).describe('how long an order book is fresh, in seconds'),
  TRADES_CACHE_TTL: seconds(1).describe('how long recent trades are fresh, in seconds'),
  OHLCV_CACHE_TTL: seconds(300).describe(
    'how long candles are fresh, in seconds; an open candle lives shorter',
  ),
  STALE_IF_ERROR: seconds(300).describe(
    'how old an answer may be that is served, marked STALE, while a venue fails',
  ),
  CMC_API_KEY: z.string().default('').describe('CoinMarketCap key; empty turns the fallback off'),
  CMC_API_URL: z
    .url({ protocol: /^https?$/, error: 'must be an http(s) URL' })
    .default('https://pro-api.coinmarketcap.com/v1')
    .describe('CoinMarketCap API, with or without its version'),
  ENABLED_EXCHANGES: exchangeIds.describe('CCXT exchange ids, separated by commas'),
  EXCHANGE_OPTIONS: exchangeOptionsByExchange.describe(
    'JSON by exchange with rateLimit, hostname, userAgent and options for CCXT',
  ),
  EXCHANGE_WORKERS: z
    .union([z.literal('auto'), z.literal('').transform(() => 'auto' as const), whole(0, { max: 64 })])
    .default('auto')
    .describe('worker threads for the venues: auto, or a number; 0 runs them in the serving thread'),
  RATE_LIMIT_REQUESTS: whole(100, { min: 1 }).describe(
    'requests an exchange gets at most per RATE_LIMIT_WINDOW',
  ),
  RATE_LIMIT_WINDOW: seconds(60, { min: 1 }).describe('window of that budget, in seconds'),
  MAX_RETRIES: whole(3, { max: 20 }).describe('further attempts after a failed upstream call'),
  INITIAL_BACKOFF: seconds(1).describe('upper bound of the first wait between attempts, in seconds'),
  MAX_BACKOFF: seconds(60).describe('upper bound of any wait between attempts, in seconds'),
  BACKOFF_MULTIPLIER: z.coerce
    .number('must be a number')
    .min(1, 'must be at least 1')
    .max(10, 'must be at most 10')
    .default(2)
    .describe('growth of that bound per attempt'),
  UPSTREAM_TIMEOUT: seconds(8, { min: 0.05, max: 120 }).describe(
    'one upstream attempt with its body, in seconds',
  ),
  REQUEST_TIMEOUT: seconds(20, { min: 0.1, max: 300 }).describe(
    'an answer with all its attempts, waits and pages, in seconds',
  ),
  TICKER_DELTA_THRESHOLD: z.coerce
    .number('must be a fraction')
    .min(0, 'must be at least 0')
    .max(1, 'must be at most 1')
    .default(0.001)
    .describe('fraction that last must move before a stream event is sent; 0 sends every tick'),
  STREAM_HEARTBEAT_INTERVAL: seconds(30, { min: 0.1, max: 3600 }).describe('seconds between heartbeats'),
  STREAM_MAX_CONNECTIONS: whole(10_000, { min: 1 }).describe('open SSE and WebSocket connections at most'),
  STREAM_LINGER: seconds(10, { max: 3600 }).describe('seconds an upstream feed outlives its last client'),
  STREAM_IDLE_TIMEOUT: seconds(30, { min: 0.1, max: 3600 }).describe(
    'seconds of upstream silence after which the venue is asked over REST',
  ),
  SANDBOX: z
    .string()
    .regex(
      /^(true|false|1|0|https?:\/\/[^\s]{1,200})$/i,
      'must be true, false or the URL of a running sandbox',
    )
    .default('false')
    .describe(
      'true: simulated venues inside the process, no network; or the URL of one started by npm run sandbox',
    ),
});

type Environment = z.output<typeof environment>;

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
