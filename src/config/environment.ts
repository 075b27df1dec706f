/**
 * Every variable of the environment that is a setting, described where it is checked; .env.example repeats
 * the descriptions (a test keeps it in step), and `npm run docs` writes them into docs/configuration.md.
 */
import { availableParallelism } from 'node:os';
import { z } from 'zod';
import { AUTH_MODES } from '../schemas/access.js';
import { backfillEntries, storeUrl } from './store-settings.js';
import {
  exchangeIds,
  exchangeOptionsByExchange,
  flag,
  flagOf,
  fraction,
  frameAncestors,
  isHostName,
  isPlainHttpUrl,
  isProxyAddress,
  isRedisUrl,
  list,
  originOf,
  planName,
  seconds,
  tokenAlgorithms,
  watchedMarkets,
  whole,
  word,
} from './values.js';

const LOG_LEVELS = ['DEBUG', 'INFO', 'WARNING', 'ERROR'] as const;

/** What each variable may be, its default and its meaning. */
export const environment = z.object({
  APP_ENV: word(['development', 'test', 'production'], 'must be development, test or production')
    .default('development')
    .describe('development prints readable logs on a terminal; production logs JSON'),
  LOG_LEVEL: z
    .string()
    .toUpperCase()
    .pipe(z.enum(LOG_LEVELS, `must be one of ${LOG_LEVELS.join(', ')}`))
    .default('INFO')
    .describe('DEBUG, INFO, WARNING or ERROR'),
  ACCESS_LOG: word(['all', 'upstream', 'errors'], 'must be all, upstream or errors')
    .default('upstream')
    .describe(
      'which requests get a log line: all; those that failed, were slow or reached a venue; failures only',
    ),
  PORT: whole(8000, { min: 0, max: 65_535 }).describe('TCP port to listen on; 0 takes a free one'),
  HOST: z.string().min(1).default('0.0.0.0').describe('address to listen on; :: takes IPv6 and IPv4'),
  TRUST_PROXY: z
    .string()
    .refine(
      (text) =>
        flagOf(text) !== undefined ||
        /^\d{1,3}$/.test(text) ||
        text.split(',').every((item) => isProxyAddress(item.trim())),
      'must be false, true, a number of hops, or IP addresses and networks separated by commas',
    )
    .default('false')
    .describe('false, true, a number of hops, or addresses of proxies whose X-Forwarded-For is believed'),
  CORS_ORIGIN: z
    .string()
    .refine(
      (text) => text === '*' || list(text).every((item) => originOf(item) !== undefined),
      'must be * or origins such as https://app.example, without a path, separated by commas',
    )
    .default('*')
    .describe('origins whose pages may read answers: *, or a list separated by commas, or empty for none'),
  ALLOWED_HOSTS: z
    .string()
    .refine(
      (text) => text === '*' || list(text).every(isHostName),
      'must be host names such as data.example.com, without a port, separated by commas, or *',
    )
    .default('')
    .describe(
      "Host names that requests may come for, beside this machine's own; empty: any, but on a loopback HOST only its own; *: any",
    ),
  METRICS_PORT: z
    .union([z.literal(''), whole(0, { max: 65_535 })])
    .default('')
    .describe('TCP port of its own for /metrics, on the same HOST; empty: /metrics is served on PORT'),
  CLIENT_RATE_LIMIT_REQUESTS: whole(0, { max: 10_000_000 }).describe(
    'requests a client address may make per CLIENT_RATE_LIMIT_WINDOW; 0 is off',
  ),
  CLIENT_RATE_LIMIT_WINDOW: seconds(60, { min: 1 }).describe('window of the client limit, in seconds'),
  OVERLOAD_DELAY: seconds(0.4, { max: 60 }).describe(
    'seconds that answers may be late on average over a second before new requests are refused as overloaded; 0 is off',
  ),
  SHUTDOWN_NOTICE: seconds(0.3, { max: 30 }).describe(
    'seconds that readiness is off before connections end, so that a load balancer can look',
  ),
  REDIS_ENABLED: flag(true).describe('use Redis as the second cache tier; without it memory alone serves'),
  REDIS_URL: z
    .string()
    .refine(isRedisUrl, 'must look like redis://host:6379/0, a password in it percent-encoded')
    .default('redis://localhost:6379/0')
    .describe('where Redis is'),
  BUS: word(['auto', 'none', 'redis'], 'must be auto, none or redis')
    .default('auto')
    .describe(
      'redis: servers on one Redis share one feed a stream and one budget a venue; none: each alone; auto: redis where REDIS_ENABLED',
    ),
  BUS_NAMESPACE: z
    .string()
    .regex(/^[A-Za-z0-9_-]{1,32}$/, 'must be 1 to 32 letters, digits, _ or -')
    .default('default')
    .describe('servers of the same namespace on the same Redis are one cluster'),
  BUS_LEASE: seconds(1.2, { min: 1.2, max: 60 }).describe(
    'seconds without a sign of life after which other servers take over the streams of one; the same on all servers',
  ),
  BUS_HISTORY: whole(1000, { min: 1, max: 10_000 }).describe(
    'trade events of a stream that the cluster keeps for clients that come back',
  ),
  BUS_MEMORY_MB: whole(64, { min: 1, max: 65_536 }).describe(
    'MB for the events of one server, in Redis or its primary process; beyond them fewer are kept of each stream',
  ),
  SERVER_ID: z
    .string()
    .regex(/^[A-Za-z0-9_]{0,32}$/, 'must be up to 32 letters, digits or _')
    .default('')
    .describe('name of this server in its cluster, different for each; empty: a random one'),
  EGRESS_ID: z
    .string()
    .regex(/^[A-Za-z0-9_.-]{0,64}$/, 'must be up to 64 letters, digits, _, . or -')
    .default('')
    .describe(
      'servers that reach the venues from the same address, and so share a budget; empty: those with the same proxy',
    ),
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
  CMC_API_KEY: z
    .string()
    .trim()
    .regex(/^[!-~]*$/, 'must be printable ASCII without spaces')
    .default('')
    .describe('CoinMarketCap key; empty turns the fallback off'),
  CMC_API_URL: z
    .string()
    .refine(isPlainHttpUrl, 'must be an http(s) URL without credentials, ? and #')
    .default('https://pro-api.coinmarketcap.com/v1')
    .describe('CoinMarketCap API, with or without its version'),
  ENABLED_EXCHANGES: exchangeIds.describe('CCXT exchange ids, separated by commas'),
  EXCHANGE_OPTIONS: exchangeOptionsByExchange.describe(
    'JSON by exchange with rateLimit, hostname, userAgent and options for CCXT',
  ),
  SERVER_PROCESSES: z
    .string()
    .toLowerCase()
    .regex(/^(auto|[1-9]|[1-5]\d|6[0-4])$/, 'must be auto or a whole number from 1 to 64')
    .transform((text) => (text === 'auto' ? availableParallelism() : Number(text)))
    .default(1)
    .describe(
      'processes that serve clients, beside one that asks the venues: a number, or auto for one a core; 1: one process does all',
    ),
  EXCHANGE_WORKERS: z
    .string()
    .toLowerCase()
    .regex(/^(auto|[0-5]?\d|6[0-4])$/, 'must be auto or a whole number from 0 to 64')
    .transform((text) => (text === 'auto' ? text : Number(text)))
    .default('auto')
    .describe('worker threads for the venues: auto, or a number; 0 runs them in the serving thread'),
  RATE_LIMIT_REQUESTS: whole(100, { min: 1 }).describe(
    'requests an exchange gets at most per RATE_LIMIT_WINDOW',
  ),
  RATE_LIMIT_WINDOW: seconds(60, { min: 1 }).describe('window of that budget, in seconds'),
  MAX_RETRIES: whole(3, { max: 20 }).describe('further attempts after a failed upstream call'),
  INITIAL_BACKOFF: seconds(1).describe('upper bound of the first wait between attempts, in seconds'),
  MAX_BACKOFF: seconds(60).describe('upper bound of any wait between attempts, in seconds'),
  BACKOFF_MULTIPLIER: fraction(2, 'must be a number', { min: 1, max: 10 }).describe(
    'growth of that bound per attempt',
  ),
  UPSTREAM_TIMEOUT: seconds(8, { min: 0.05, max: 120 }).describe(
    'one upstream attempt with its body, in seconds',
  ),
  REQUEST_TIMEOUT: seconds(20, { min: 0.1, max: 300 }).describe(
    'an answer with all its attempts, waits and pages, in seconds',
  ),
  TICKER_DELTA_THRESHOLD: fraction(0.001, 'must be a fraction', { min: 0, max: 1 }).describe(
    'fraction that last must move before a stream event is sent; 0 sends every tick',
  ),
  STREAM_HEARTBEAT_INTERVAL: seconds(30, { min: 0.1, max: 3600 }).describe('seconds between heartbeats'),
  STREAM_MAX_CONNECTIONS: whole(10_000, { min: 1 }).describe('open SSE and WebSocket connections at most'),
  STREAM_MAX_PER_CLIENT: z
    .union([z.literal(''), whole(0, { min: 1 })])
    .default('')
    .describe(
      'open SSE and WebSocket connections of one client address at most; empty: half of STREAM_MAX_CONNECTIONS',
    ),
  STREAM_LINGER: seconds(10, { max: 3600 }).describe('seconds an upstream feed outlives its last client'),
  STREAM_IDLE_TIMEOUT: seconds(30, { min: 0.1, max: 3600 }).describe(
    'seconds of upstream silence after which the venue is asked over REST',
  ),
  STORE_URL: storeUrl.describe(
    "where candles are kept: sqlite:<file>, postgres://user@host/database or none; empty: a file in the user's data folder",
  ),
  STORE_SETTLE: seconds(10, { max: 3600 }).describe(
    'seconds after the end of its period from which a candle is taken for settled and kept',
  ),
  STORE_MAX_GB: fraction(10, 'must be a number of GB', { min: 0.0001, max: 1_000_000 }).describe(
    'bound of the store, in GB; beyond it nothing is written',
  ),
  STORE_MIN_FREE_MB: whole(512, { max: 1_000_000_000 }).describe(
    'free space that the store leaves on its disk, in MB',
  ),
  STORE_RETENTION: seconds(0, { max: 10_000_000_000 }).describe(
    'seconds after which candles are forgotten; 0 keeps everything',
  ),
  BACKFILL: backfillEntries.describe(
    'series that are kept complete, as exchange:symbol:interval:from, separated by commas',
  ),
  BACKFILL_BUDGET_SHARE: fraction(0.3, 'must be a number above 0, at most 1', {
    min: 0.000_001,
    max: 1,
  }).describe("part of an exchange's budget that fetching history may use"),
  BACKFILL_API: flag(false).describe('callers may start and cancel backfills'),
  AUTH_MODE: word(AUTH_MODES, 'must be off, optional or required')
    .default('off')
    .describe(
      'who may ask: off, everybody; optional, everybody, and keys with limits of their own; required, keys only',
    ),
  AUTH_STORE: storeUrl.describe(
    'where keys are kept: sqlite:<file> or postgres://user@host/database; empty: beside the candles',
  ),
  AUTH_ANONYMOUS_PLAN: planName
    .default('')
    .describe(
      'plan of callers without a key, with AUTH_MODE=optional; empty: no plan, only the client limit',
    ),
  AUTH_SYNC_INTERVAL: seconds(1, { min: 1, max: 60 }).describe(
    'seconds within which a change that another process made to keys takes effect here at the latest',
  ),
  AUTH_MAX_STALE: seconds(300, { max: 86_400 }).describe(
    'seconds that keys are served from memory while their store does not answer',
  ),
  AUTH_TICKET_TTL: seconds(30, { min: 1, max: 300 }).describe('seconds that a ticket can be used'),
  ADMIN_API: flag(false).describe(
    'keys and plans can be administered over /v1/admin, by keys with the scope admin',
  ),
  METRICS_AUTH: flag(false).describe('/metrics asks for a key with the scope metrics:read'),
  PUBLIC_URL: z
    .string()
    .refine(
      (text) => text === '' || isPlainHttpUrl(text),
      'must be an http(s) URL without credentials, ? and #',
    )
    .default('')
    .describe(
      'address under which clients reach this server, e.g. https://data.example.com; needed for OAuth',
    ),
  OAUTH_ISSUER: z
    .string()
    .default('')
    .describe('issuers whose tokens are accepted, as https URLs separated by commas; empty: no tokens'),
  OAUTH_AUDIENCE: z
    .string()
    .default('')
    .describe('audiences that a token may be for, separated by commas; empty: PUBLIC_URL and PUBLIC_URL/mcp'),
  OAUTH_ALGORITHMS: tokenAlgorithms
    .default('RS256,PS256,ES256,EdDSA')
    .describe('signature algorithms that a token may have, separated by commas'),
  OAUTH_CLOCK_SKEW: seconds(30, { max: 300 }).describe("seconds that an issuer's clock may be off"),
  OAUTH_SCOPE_PREFIX: z.string().max(200).default('').describe("cut from the front of a token's scopes"),
  OAUTH_PLAN_CLAIM: z
    .string()
    .max(200)
    .default('')
    .describe('claim of a token that names its plan; empty: none does'),
  OAUTH_DEFAULT_PLAN: planName.default('default').describe('plan of a token that names none'),
  OAUTH_INTROSPECTION_URL: z
    .string()
    .default('')
    .describe('where opaque tokens are asked about (RFC 7662); empty: they are refused'),
  OAUTH_INTROSPECTION_CLIENT_ID: z.string().max(500).default('').describe('who asks there'),
  OAUTH_INTROSPECTION_CLIENT_SECRET: z.string().max(500).default('').describe('the secret of who asks there'),
  GRAPHQL: flag(true).describe('serve /graphql, /graphiql and /schema.graphql'),
  GRAPHQL_MAX_DEPTH: whole(8, { min: 1, max: 50 }).describe('fields within fields of a GraphQL document'),
  GRAPHQL_MAX_FIELDS: whole(200, { min: 1, max: 1000 }).describe(
    'fields of a GraphQL document, fragments expanded',
  ),
  GRAPHQL_MAX_ALIASES: whole(30, { max: 1000 }).describe('aliases of a GraphQL document, fragments expanded'),
  GRAPHQL_MAX_COST: whole(1000, { min: 1, max: 1_000_000 }).describe(
    'units that a GraphQL operation may cost; a ticker is 1',
  ),
  GRAPHQL_MAX_BATCH: whole(1, { min: 1, max: 100 }).describe(
    'operations in one GraphQL request; 1: no batches',
  ),
  GRAPHQL_PERSISTED: word(['off', 'auto', 'only'], 'must be off, auto or only')
    .default('auto')
    .describe(
      'persisted queries: off; auto, clients register them; only, those of GRAPHQL_DOCUMENTS and no others',
    ),
  GRAPHQL_DOCUMENTS: z
    .string()
    .default('')
    .describe('JSON file of persisted queries: {"<sha256 in hex>": "<text>"}'),
  GRAPHQL_INTROSPECTION: word(['auto', 'on', 'off'], 'must be auto, on or off')
    .default('auto')
    .describe('questions about the GraphQL schema; auto: not of anonymous callers when APP_ENV=production'),
  GRAPHQL_UI: word(['auto', 'on', 'off'], 'must be auto, on or off')
    .default('auto')
    .describe('serve /graphiql; auto: not when APP_ENV=production'),
  DASHBOARD: flag(true).describe('serve the page at /dashboard/, to which / sends browsers'),
  DASHBOARD_WATCH: watchedMarkets.describe(
    'markets that the page watches until somebody chooses others, as binance:BTC/USDT, separated by commas',
  ),
  DASHBOARD_FRAME_ANCESTORS: frameAncestors.describe(
    'pages that may show the page in a frame: none, self, or origins separated by commas',
  ),
  UDF: flag(true).describe(
    "serve /udf/*, /widgets.json and /apps.json, for TradingView's libraries and OpenBB",
  ),
  SANDBOX: z
    .string()
    .max(250, 'must be at most 250 characters')
    .refine(
      (text) => flagOf(text) !== undefined || isPlainHttpUrl(text),
      'must be true, false or the URL of a running sandbox, without credentials, ? and #',
    )
    .default('false')
    .describe(
      'true: simulated venues inside the process, no network; or the URL of one started by npm run sandbox',
    ),
  SANDBOX_CONTROL: flag(false).describe(
    'with SANDBOX=true: open the control API of the sandbox inside, by which any local program can act on it',
  ),
});

export type Environment = z.output<typeof environment>;
