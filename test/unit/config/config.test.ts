import { availableParallelism } from 'node:os';
import { describe, expect, test } from 'vitest';
import { ConfigError, loadConfig } from '../../../src/config/config.js';

/** The message of the refusal. */
const MB = 1024 * 1024;

const refusal = (env: Record<string, string>, known?: ReadonlySet<string>): string => {
  try {
    loadConfig(env, known);
  } catch (error) {
    if (error instanceof ConfigError) return error.message;
    throw error;
  }
  throw new Error('nothing was refused');
};

test('without any variable the defaults of the contract hold', () => {
  expect(loadConfig({})).toEqual({
    env: 'development',
    logLevel: 'info',
    accessLog: 'upstream',
    port: 8000,
    host: '0.0.0.0',
    allowedHosts: null,
    metricsPort: null,
    trustProxy: false,
    corsOrigins: true,
    overloadDelayMs: 400,
    clientRateLimit: { requests: 0, windowMs: 60_000 },
    redis: { enabled: true, url: 'redis://localhost:6379/0' },
    serverId: '',
    bus: { namespace: 'default', egress: '', leaseMs: 1200, history: 1000, historyBytes: 64 * MB },
    localHistory: { events: 1000, bytes: 64 * MB },
    cacheMaxBytes: 128 * 1024 * 1024,
    ttl: { tickerMs: 2000, orderbookMs: 1000, tradesMs: 1000, ohlcvMs: 300_000, staleIfErrorMs: 300_000 },
    coinMarketCap: { apiKey: '', url: 'https://pro-api.coinmarketcap.com/v1' },
    enabledExchanges: ['binance', 'kraken', 'coinbasepro'],
    exchangeOptions: {},
    access: {
      mode: 'off',
      // Where there is no data folder there is no store for keys either.
      store: { kind: 'none' },
      anonymousPlan: null,
      syncIntervalMs: 1000,
      maxStaleMs: 300_000,
      ticketTtlMs: 30_000,
      adminApi: false,
      metricsAuth: false,
      publicUrl: null,
      oauth: {
        issuers: [],
        audiences: [],
        algorithms: ['RS256', 'PS256', 'ES256', 'EdDSA'],
        clockSkewMs: 30_000,
        scopePrefix: '',
        planClaim: null,
        defaultPlan: 'default',
        introspection: null,
      },
    },
    dashboard: { enabled: true, watch: '', frameAncestors: "'none'" },
    udf: true,
    graphql: {
      enabled: true,
      limits: { depth: 8, fields: 200, aliases: 30, cost: 1000, batch: 1 },
      persisted: 'auto',
      documents: '',
      introspection: 'all',
      ui: true,
    },
    serverProcesses: 1,
    exchangeWorkers: 'auto',
    budget: { requests: 100, windowMs: 60_000 },
    retry: { maxRetries: 3, initialBackoffMs: 1000, maxBackoffMs: 60_000, multiplier: 2 },
    upstreamTimeoutMs: 8000,
    requestTimeoutMs: 20_000,
    shutdownNoticeMs: 300,
    stream: {
      deltaThreshold: 0.001,
      heartbeatMs: 30_000,
      maxConnections: 10_000,
      maxPerClient: 5_000,
      lingerMs: 10_000,
      idleTimeoutMs: 30_000,
    },
    store: {
      // Where there is no home there is no data folder.
      location: { kind: 'none' },
      settleMs: 10_000,
      maxBytes: 10 * 1024 ** 3,
      minFreeBytes: 512 * 1024 ** 2,
      retentionMs: 0,
    },
    backfill: { series: [], budgetShare: 0.3, api: false },
    sandbox: false,
    sandboxControl: false,
    proxy: { https: '', http: '', no: '' },
  });
});

test('a config cannot be changed, however deep', () => {
  const config = loadConfig({});
  expect(Object.isFrozen(config)).toBe(true);
  expect(Object.isFrozen(config.ttl)).toBe(true);
  expect(Object.isFrozen(config.enabledExchanges)).toBe(true);
});

const ORIGINS = 'must be * or origins such as https://app.example, without a path, separated by commas';
const HOPS = 'must be false, true, a number of hops, or IP addresses and networks separated by commas';
const PROXY_FORM = 'must be an http(s) URL such as http://proxy:3128, a password in it percent-encoded';
const SANDBOX_FORM = 'must be true, false or the URL of a running sandbox, without credentials, ? and #';
const REDIS_FORM = 'must look like redis://host:6379/0, a password in it percent-encoded';

describe('what is refused, word for word', () => {
  test.each([
    [{ PORT: '65536' }, 'PORT: must be at most 65535, not "65536"'],
    [{ PORT: '80.5' }, 'PORT: must be a whole number, not "80.5"'],
    [{ PORT: 'http' }, 'PORT: must be a whole number, not "http"'],
    [{ PORT: '0x1F90' }, 'PORT: must be a whole number, not "0x1F90"'],
    [{ PORT: '8e3' }, 'PORT: must be a whole number, not "8e3"'],
    [{ PORT: '8_000' }, 'PORT: must be a whole number, not "8_000"'],
    [{ PORT: '٨٠٠٠' }, 'PORT: must be a whole number, not "٨٠٠٠"'],
    [{ TICKER_CACHE_TTL: 'Infinity' }, 'TICKER_CACHE_TTL: must be a number of seconds, not "Infinity"'],
    [{ TICKER_CACHE_TTL: '2s' }, 'TICKER_CACHE_TTL: must be a number of seconds, not "2s"'],
    [{ TICKER_CACHE_TTL: '1e1' }, 'TICKER_CACHE_TTL: must be a number of seconds, not "1e1"'],
    [{ APP_ENV: 'prod' }, 'APP_ENV: must be development, test or production, not "prod"'],
    [{ LOG_LEVEL: 'loud' }, 'LOG_LEVEL: must be one of DEBUG, INFO, WARNING, ERROR, not "loud"'],
    [{ ACCESS_LOG: 'some' }, 'ACCESS_LOG: must be all, upstream or errors, not "some"'],
    [{ REDIS_ENABLED: 'maybe' }, 'REDIS_ENABLED: must be true or false, not "maybe"'],
    [{ REDIS_URL: 'http://localhost' }, `REDIS_URL: ${REDIS_FORM}`],
    [{ REDIS_URL: 'redis://:100%@host' }, `REDIS_URL: ${REDIS_FORM}`],
    [{ BUS: 'nats' }, 'BUS: must be auto, none or redis, not "nats"'],
    [{ BUS: 'redis', REDIS_ENABLED: 'false' }, 'BUS: redis needs REDIS_ENABLED=true'],
    [{ BUS_NAMESPACE: 'a b' }, 'BUS_NAMESPACE: must be 1 to 32 letters, digits, _ or -, not "a b"'],
    [{ SERVER_ID: 'a-b' }, 'SERVER_ID: must be up to 32 letters, digits or _, not "a-b"'],
    [{ EGRESS_ID: 'a/b' }, 'EGRESS_ID: must be up to 64 letters, digits, _, . or -, not "a/b"'],
    [{ REDIS_URL: 'redis://host/zero' }, `REDIS_URL: ${REDIS_FORM}`],
    [{ REDIS_URL: 'localhost:6379' }, `REDIS_URL: ${REDIS_FORM}`],
    [{ CMC_API_URL: 'ftp://x' }, 'CMC_API_URL: must be an http(s) URL without credentials, ? and #'],
    [{ CMC_API_URL: 'https://x/v1?a=1' }, 'CMC_API_URL: must be an http(s) URL without credentials, ? and #'],
    [{ TICKER_CACHE_TTL: '-1' }, 'TICKER_CACHE_TTL: must be at least 0, not "-1"'],
    [{ OHLCV_CACHE_TTL: 'long' }, 'OHLCV_CACHE_TTL: must be a number of seconds, not "long"'],
    [{ UPSTREAM_TIMEOUT: '0.01' }, 'UPSTREAM_TIMEOUT: must be at least 0.05, not "0.01"'],
    [{ BACKOFF_MULTIPLIER: '0.5' }, 'BACKOFF_MULTIPLIER: must be at least 1, not "0.5"'],
    [{ BACKOFF_MULTIPLIER: 'two' }, 'BACKOFF_MULTIPLIER: must be a number, not "two"'],
    [{ TICKER_DELTA_THRESHOLD: '2' }, 'TICKER_DELTA_THRESHOLD: must be at most 1, not "2"'],
    [{ RATE_LIMIT_REQUESTS: '0' }, 'RATE_LIMIT_REQUESTS: must be at least 1, not "0"'],
    [{ SHUTDOWN_NOTICE: '31' }, 'SHUTDOWN_NOTICE: must be at most 30, not "31"'],
    [
      { EXCHANGE_WORKERS: 'many' },
      'EXCHANGE_WORKERS: must be auto or a whole number from 0 to 64, not "many"',
    ],
    [{ SERVER_PROCESSES: '0' }, 'SERVER_PROCESSES: must be auto or a whole number from 1 to 64, not "0"'],
    [{ EXCHANGE_WORKERS: '65' }, 'EXCHANGE_WORKERS: must be auto or a whole number from 0 to 64, not "65"'],
    [{ ENABLED_EXCHANGES: ' , ' }, 'ENABLED_EXCHANGES: must name at least one exchange, not ","'],
    [{ TRUST_PROXY: 'banana' }, `TRUST_PROXY: ${HOPS}, not "banana"`],
    [{ TRUST_PROXY: '::1, 10.0.0.0/99' }, `TRUST_PROXY: ${HOPS}, not "::1, 10.0.0.0/99"`],
    [{ CORS_ORIGIN: 'https://a.example/app' }, `CORS_ORIGIN: ${ORIGINS}, not "https://a.example/app"`],
    [{ CORS_ORIGIN: 'https://a.example, *' }, `CORS_ORIGIN: ${ORIGINS}, not "https://a.example, *"`],
    [{ HTTPS_PROXY: 'user:secret@proxy:1' }, `HTTPS_PROXY: ${PROXY_FORM}`],
    [{ HTTPS_PROXY: 'http://u:50%@proxy:1' }, `HTTPS_PROXY: ${PROXY_FORM}`],
    [{ http_proxy: 'proxy 1' }, `HTTP_PROXY: ${PROXY_FORM}`],
    [{ SANDBOX: 'yes please' }, `SANDBOX: ${SANDBOX_FORM}, not "yes please"`],
    [{ SANDBOX: 'https://h/p?x=1' }, `SANDBOX: ${SANDBOX_FORM}, not "https://h/p?x=1"`],
    [{ SANDBOX: 'ftp://h' }, `SANDBOX: ${SANDBOX_FORM}, not "ftp://h"`],
    [
      { EXCHANGE_OPTIONS: '{half' },
      'EXCHANGE_OPTIONS: must be JSON, for example {"binance":{"rateLimit":100}}',
    ],
    [{ EXCHANGE_OPTIONS: '[1]' }, 'EXCHANGE_OPTIONS: must be a JSON object by exchange id'],
    [
      { EXCHANGE_OPTIONS: '{"Binance":{}}' },
      'EXCHANGE_OPTIONS.Binance: must be an exchange id in lower case',
    ],
    // Never repeated: it is a secret.
    [{ CMC_API_KEY: 'key\nkey' }, 'CMC_API_KEY: must be printable ASCII without spaces'],
    // Credentials in the wrong setting are not repeated either.
    [{ SANDBOX: 'http://u:secret@h' }, `SANDBOX: ${SANDBOX_FORM}`],
    [{ PORT: 'redis://:secret@h' }, 'PORT: must be a whole number'],
    [{ PORT: '9'.repeat(100) }, `PORT: must be a whole number, not "${'9'.repeat(60)}…"`],
  ])('%j', (env, fault) => {
    expect(refusal(env)).toBe(`The settings are not usable:\n  - ${fault}`);
  });

  test('every fault at once, names that CCXT does not know beside the others', () => {
    const message = refusal(
      {
        PORT: '-1',
        MAX_RETRIES: 'x',
        ENABLED_EXCHANGES: 'binance,nowhere,krakn',
        EXCHANGE_OPTIONS: '{"binnance":{"rateLimit":100}}',
      },
      new Set(['binance', 'kraken']),
    );
    expect(message.split('\n')).toEqual([
      'The settings are not usable:',
      '  - PORT: must be at least 0, not "-1"',
      '  - MAX_RETRIES: must be a whole number, not "x"',
      '  - ENABLED_EXCHANGES: nowhere is not an exchange that CCXT knows',
      '  - ENABLED_EXCHANGES: krakn is not an exchange that CCXT knows; did you mean kraken?',
      '  - EXCHANGE_OPTIONS: binnance is not an exchange that CCXT knows; did you mean binance?',
    ]);
  });

  test.each([
    '{"binance":{"fetch":"x"}}',
    '{"binance":{"rateLimit":0}}',
    '[]',
    '{"binance":{"hostname":"a/b"}}',
  ])('EXCHANGE_OPTIONS=%s', (EXCHANGE_OPTIONS) => {
    expect(refusal({ EXCHANGE_OPTIONS })).toMatch(/^The settings are not usable:\n {2}- EXCHANGE_OPTIONS/);
  });
});

test('a prototype in EXCHANGE_OPTIONS reaches nobody', () => {
  const text = '{"__proto__":{"a":1},"binance":{"options":{"__proto__":{"a":1}}}}';
  const { exchangeOptions } = loadConfig({ EXCHANGE_OPTIONS: text });
  expect(exchangeOptions).toEqual({ binance: { options: {} } });
  expect(Object.getPrototypeOf(exchangeOptions['binance']?.options)).toBe(Object.prototype);
});

describe('what is understood', () => {
  test.each([
    [{ LOG_LEVEL: 'warning' }, { logLevel: 'warn' }],
    [{ TRUST_PROXY: 'TRUE' }, { trustProxy: true }],
    [{ TRUST_PROXY: '2' }, { trustProxy: 2 }],
    [{ TRUST_PROXY: '10.0.0.0/8, ::1' }, { trustProxy: ['10.0.0.0/8', '::1'] }],
    [{ TRUST_PROXY: 'loopback,fd00::/8' }, { trustProxy: ['loopback', 'fd00::/8'] }],
    [{ CORS_ORIGIN: '' }, { corsOrigins: [] }],
    [{ CORS_ORIGIN: ' * ' }, { corsOrigins: true }],
    [
      { CORS_ORIGIN: 'https://a.example, https://b.example' },
      { corsOrigins: ['https://a.example', 'https://b.example'] },
    ],
    [{ ENABLED_EXCHANGES: ' Binance,,KRAKEN,binance ' }, { enabledExchanges: ['binance', 'kraken'] }],
    [{ SERVER_PROCESSES: '64' }, { serverProcesses: 64 }],
    [{ SERVER_PROCESSES: 'Auto' }, { serverProcesses: availableParallelism() }],
    [{ EXCHANGE_WORKERS: '0' }, { exchangeWorkers: 0 }],
    [{ TICKER_CACHE_TTL: '0.25' }, { ttl: expect.objectContaining({ tickerMs: 250 }) }],
    [{ PORT: '' }, { port: 8000 }],
    [{ PORT: ' ' }, { port: 8000 }],
    [{ PORT: ' 9000\t' }, { port: 9000 }],
    [{ TICKER_CACHE_TTL: ' ' }, { ttl: expect.objectContaining({ tickerMs: 2000 }) }],
    [{ TICKER_CACHE_TTL: '.5' }, { ttl: expect.objectContaining({ tickerMs: 500 }) }],
    [
      { APP_ENV: 'Production', ACCESS_LOG: 'ALL' },
      { env: 'production', accessLog: 'all' },
    ],
    [{ BUS: 'none' }, { bus: null }],
    [{ BUS: 'auto', REDIS_ENABLED: 'false' }, { bus: null }],
    [
      { BUS: 'auto' },
      {
        serverId: '',
        bus: { namespace: 'default', egress: '', leaseMs: 1200, history: 1000, historyBytes: 64 * MB },
      },
    ],
    [
      { BUS: 'redis', BUS_NAMESPACE: 'blue', SERVER_ID: 'a_1', EGRESS_ID: 'nat.1', BUS_LEASE: '4' },
      {
        serverId: 'a_1',
        bus: { namespace: 'blue', egress: 'nat.1', leaseMs: 4000, history: 1000, historyBytes: 64 * MB },
      },
    ],
    [{ REDIS_ENABLED: ' No ' }, { redis: { enabled: false } }],
    [{ TRUST_PROXY: 'off' }, { trustProxy: false }],
    [{ TRUST_PROXY: 'Yes' }, { trustProxy: true }],
    [{ TRUST_PROXY: '1' }, { trustProxy: 1 }],
    [{ TRUST_PROXY: '0' }, { trustProxy: false }],
    [{ CORS_ORIGIN: '  ' }, { corsOrigins: [] }],
    [
      { CORS_ORIGIN: 'http://localhost:3000/, https://App.Example:443' },
      { corsOrigins: ['http://localhost:3000', 'https://app.example'] },
    ],
    [{ EXCHANGE_WORKERS: 'Auto' }, { exchangeWorkers: 'auto' }],
    [{ SHUTDOWN_NOTICE: '0' }, { shutdownNoticeMs: 0 }],
    [{ SANDBOX: 'TRUE' }, { sandbox: true }],
    [{ SANDBOX: 'yes' }, { sandbox: true }],
    [{ SANDBOX: 'off' }, { sandbox: false }],
    [
      { HTTPS_PROXY: '', https_proxy: 'http://proxy:1' },
      { proxy: { https: 'http://proxy:1', http: '', no: '' } },
    ],
    [{ NO_PROXY: ' ', no_proxy: 'a.example' }, { proxy: { https: '', http: '', no: 'a.example' } }],
    [{ REDIS_URL: ' rediss://u:p%25@h:1/2 ' }, { redis: { url: 'rediss://u:p%25@h:1/2' } }],
    [{ SANDBOX: 'http://127.0.0.1:9900/' }, { sandbox: 'http://127.0.0.1:9900' }],
    [{ https_proxy: 'http://proxy:1' }, { proxy: { https: 'http://proxy:1', http: '', no: '' } }],
    [{ CMC_API_KEY: ' key-1\n' }, { coinMarketCap: { apiKey: 'key-1' } }],
    [
      { EXCHANGE_OPTIONS: '{"binance":{"rateLimit":100,"hostname":"api.example","options":{"x":[1]}}}' },
      { exchangeOptions: { binance: { rateLimit: 100, hostname: 'api.example', options: { x: [1] } } } },
    ],
  ])('%j', (env, expected) => {
    expect(loadConfig(env)).toMatchObject(expected);
  });
});
