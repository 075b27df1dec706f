// The errors that the documentation shows are the ones that the server gives: each is provoked, then compared.
import { once } from 'node:events';
import { mkdtempSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { request, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import type { FastifyInstance } from 'fastify';
import { WebSocket } from 'ws';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { buildApp } from '../../../src/app/app.js';
import { loadConfig } from '../../../src/config/config.js';
import { AppError, ERROR_CODES, type ErrorCode } from '../../../src/errors.js';
import { ADVICE } from '../../../src/http/openapi/advice.js';
import { isErrorCode, toProblem } from '../../../src/http/problems/problem.js';
import type { Fault } from '../../../src/sandbox/faults.js';
import { startSandbox, type Sandbox } from '../../../src/sandbox/sandbox.js';
import type { Problem } from '../../../src/schemas/problem.js';
import { silentLog } from '../../../src/log/log.js';
import { calmGauge, startTestApp } from '../../support/app.js';

const TICKER = '/v1/markets/ticker?exchange=binance&symbol=BTC/USDT';
const tickerOf = (exchange: string, symbol: string): string =>
  `/v1/markets/ticker?exchange=${exchange}&symbol=${symbol}`;

let sandbox: Sandbox;
beforeAll(async () => {
  sandbox = await startSandbox({ marketsPerVenue: 60, ticksPerSecond: 0, weightLimit: Infinity });
});
afterAll(() => sandbox.close());

const open: { close(): Promise<unknown> }[] = [];
afterEach(async () => {
  sandbox.control.clearFaults();
  for (const one of open.splice(0)) await one.close();
});

/** The whole app over the sandbox's venues, without workers. */
const venueApp = async (env: Readonly<Record<string, string>> = {}): Promise<FastifyInstance> => {
  const config = loadConfig({
    SANDBOX: sandbox.url,
    EXCHANGE_WORKERS: '0',
    REDIS_ENABLED: 'false',
    ENABLED_EXCHANGES: 'binance,kraken,coinbaseexchange,bitflyer',
    // CCXT's own spacing of a second a request would be most of the time.
    EXCHANGE_OPTIONS: '{"kraken":{"rateLimit":1}}',
    TICKER_CACHE_TTL: '0',
    STALE_IF_ERROR: '0',
    MAX_RETRIES: '0',
    ...env,
  });
  const app = await buildApp(config, { log: silentLog, loadGauge: calmGauge });
  open.push(app);
  return app;
};

const fakeApp = async (...args: Parameters<typeof startTestApp>) => {
  const rig = await startTestApp(...args);
  open.push(rig.app);
  return rig;
};

const problemAt = async (app: FastifyInstance, url: string): Promise<Problem> =>
  (await app.inject(url)).json<Problem>();

/** `fault` is committed once the markets are there, so that it strikes the question and not what goes before it. */
const withFault = async (
  venue: 'binance' | 'kraken' | 'coinbaseexchange',
  fault: Fault,
): Promise<Problem> => {
  const app = await venueApp({
    UPSTREAM_TIMEOUT: fault.type === 'hang' ? '2' : '20',
    REQUEST_TIMEOUT: '60',
  });
  expect((await app.inject(`/v1/markets?exchange=${venue}`)).statusCode).toBe(200);
  sandbox.control.setFault({ venue, match: 'ticker', fault });
  return problemAt(app, tickerOf(venue, venue === 'binance' ? 'BTC/USDT' : 'BTC/USD'));
};

const listen = async (app: FastifyInstance): Promise<number> => {
  await app.listen({ port: 0, host: '127.0.0.1' });
  return (app.server.address() as AddressInfo).port;
};

const overHttp = async (
  port: number,
  headers: Record<string, string> = {},
  path = TICKER,
): Promise<Problem> => {
  const asked = request({ port, path, headers, agent: false }).end();
  const [response] = (await once(asked, 'response')) as [IncomingMessage];
  return JSON.parse(await text(response)) as Problem;
};

/** What a client is told on whose connection Node gives up with `code`. */
const givenUpBy = async (app: FastifyInstance, code: string): Promise<Problem> => {
  const port = await listen(app);
  app.server.once('connection', (socket) => {
    app.server.emit('clientError', Object.assign(new Error('given up'), { code }), socket);
  });
  return overHttp(port);
};

/** As venues answer behind a content delivery network. */
const MAINTENANCE: Fault = {
  type: 'status',
  status: 503,
  retryAfter: 60,
  body: '<html><title>Scheduled maintenance</title></html>',
  headers: { 'content-type': 'text/html' },
};
const busy = { ...calmGauge, overloaded: () => true };

/** Of keys, tokens and plans: test/api/access/error-examples.test.ts. */
const OF_ACCESS = [
  'credential_in_url',
  'unauthenticated',
  'invalid_credentials',
  'credentials_expired',
  'credentials_revoked',
  'ticket_invalid',
  'insufficient_scope',
  'plan_forbids',
  'quota_exceeded',
  'too_many_auth_failures',
  'auth_unavailable',
] as const satisfies readonly ErrorCode[];
type Provoked = Exclude<ErrorCode, (typeof OF_ACCESS)[number]>;
const isProvoked = (code: ErrorCode): code is Provoked => !(OF_ACCESS as readonly ErrorCode[]).includes(code);

/** What GraphQL tells of a document, in the words of a problem. */
const graphqlFault = async (query: unknown): Promise<Problem> => {
  const { app } = await fakeApp({ STORE_URL: 'none' });
  const payload = JSON.stringify(query);
  const headers = { 'content-type': 'application/json' };
  const answer = await app.inject({ method: 'POST', url: '/graphql', headers, payload });
  const [error] = answer.json<{
    errors: { message: string; extensions: { code: ErrorCode; request_id: string } }[];
  }>().errors;
  if (error === undefined) throw new Error('no error');
  const { code, request_id } = error.extensions;
  return toProblem(new AppError(code, error.message), { url: '/graphql', requestId: request_id });
};
const UNKNOWN_HASH = { persistedQuery: { version: 1, sha256Hash: '0'.repeat(64) } };

const PROVOKED: Readonly<Record<Provoked, () => Promise<Problem>>> = {
  invalid_request: async () => problemAt((await fakeApp()).app, '/v1/markets/ticker?symbol=BTC/USDT'),
  graphql_parse_failed: () => graphqlFault({ query: '{ ticker { ' }),
  graphql_validation_failed: () =>
    graphqlFault({ query: '{ ticker(exchange: "binance", symbol: "BTC/USDT") { price } }' }),
  query_too_complex: () =>
    graphqlFault({ query: `{ ${Array.from({ length: 41 }, (_, i) => `a${i}: __typename`).join(' ')} }` }),
  batch_not_allowed: () => graphqlFault([{ query: '{ __typename }' }, { query: '{ __typename }' }]),
  persisted_query_not_found: () => graphqlFault({ extensions: UNKNOWN_HASH }),
  unsupported_media_type: async () => {
    const { app } = await fakeApp();
    const headers = { 'content-type': 'text/plain' };
    return (await app.inject({ method: 'POST', url: '/graphql', headers, payload: 'query' })).json<Problem>();
  },
  unknown_exchange: async () => problemAt((await fakeApp()).app, tickerOf('binanse', 'BTC/USDT')),
  exchange_not_enabled: async () => problemAt((await fakeApp()).app, tickerOf('okx', 'BTC/USDT')),
  symbol_not_found: async () => problemAt(await venueApp(), tickerOf('binance', 'BTC/USTD')),
  interval_not_supported: async () =>
    problemAt(await venueApp(), '/v1/markets/ohlcv?exchange=coinbaseexchange&symbol=BTC/USD&interval=4h'),
  not_supported_by_exchange: async () =>
    problemAt(await venueApp(), '/v1/markets/ohlcv?exchange=bitflyer&symbol=BTC/JPY'),
  feature_disabled: async () => {
    const folder = mkdtempSync(join(tmpdir(), 'error-examples-'));
    const { app } = await fakeApp({ STORE_URL: `sqlite:${join(folder, 'candles.db')}` });
    open.push({ close: () => rm(folder, { recursive: true }) });
    return (await app.inject({ method: 'DELETE', url: '/v1/backfills/1' })).json<Problem>();
  },
  origin_not_allowed: async () => {
    const { app } = await fakeApp({ CORS_ORIGIN: 'https://a.example' });
    const headers = { connection: 'upgrade', upgrade: 'websocket', origin: 'https://b.example' };
    return overHttp(await listen(app), headers, '/ws');
  },
  not_found: async () => problemAt((await fakeApp()).app, '/v1/tickers'),
  method_not_allowed: async () => {
    const { app } = await fakeApp();
    return (await app.inject({ method: 'POST', url: TICKER })).json<Problem>();
  },
  not_acceptable: async () => {
    const { app } = await fakeApp();
    return (await app.inject({ url: TICKER, headers: { accept: 'text/html' } })).json<Problem>();
  },
  request_timeout: async () => givenUpBy((await fakeApp()).app, 'ERR_HTTP_REQUEST_TIMEOUT'),
  payload_too_large: async () => {
    const { app } = await fakeApp();
    const payload = 'x'.repeat(300_000);
    return (await app.inject({ method: 'POST', url: '/mcp', payload })).json<Problem>();
  },
  uri_too_long: async () => problemAt((await fakeApp()).app, `${TICKER}&x=${'x'.repeat(2048)}`),
  expectation_failed: async () => overHttp(await listen((await fakeApp()).app), { expect: 'a-pony' }),
  headers_too_large: async () => givenUpBy((await fakeApp()).app, 'HPE_HEADER_OVERFLOW'),
  upstream_rate_limited: () => withFault('binance', { type: 'status', status: 429, retryAfter: 30 }),
  upstream_budget_exhausted: async () => {
    const app = await venueApp({ RATE_LIMIT_REQUESTS: '1', RATE_LIMIT_WINDOW: '3600' });
    expect((await app.inject(tickerOf('kraken', 'BTC/USD'))).statusCode).toBe(200);
    return problemAt(app, tickerOf('kraken', 'ETH/USD'));
  },
  client_rate_limited: async () => {
    const { app, clock } = await fakeApp({ CLIENT_RATE_LIMIT_REQUESTS: '600' });
    for (let i = 0; i < 600; i++) await app.inject('/nothing');
    clock.now += 43_000;
    return problemAt(app, TICKER);
  },
  stream_limit_reached: async () => {
    const { app } = await fakeApp({ STREAM_MAX_PER_CLIENT: '1' });
    const port = await listen(app);
    const first = new WebSocket(`ws://127.0.0.1:${port}/ws`);
    await once(first, 'open');
    const refused = await fetch(`http://127.0.0.1:${port}/v1/stream/ticker?exchange=binance&symbol=BTC/USDT`);
    const problem = (await refused.json()) as Problem;
    first.terminate();
    return problem;
  },
  internal_error: async () => {
    const { app } = await fakeApp();
    app.get('/bug', () => {
      throw new TypeError('x is undefined');
    });
    return problemAt(app, '/bug');
  },
  upstream_error: () => withFault('binance', { type: 'status', status: 400 }),
  upstream_bad_response: () => withFault('kraken', { type: 'html' }),
  upstream_geo_blocked: () => withFault('binance', { type: 'status', status: 451 }),
  upstream_auth_required: () => withFault('coinbaseexchange', { type: 'status', status: 401 }),
  upstream_unavailable: () => withFault('kraken', { type: 'status', status: 502 }),
  upstream_timeout: () => withFault('binance', { type: 'hang' }),
  upstream_maintenance: () => withFault('kraken', MAINTENANCE),
  overloaded: async () => problemAt((await fakeApp({}, { loadGauge: busy })).app, TICKER),
  shutting_down: async () => {
    const { app } = await fakeApp();
    let open: (() => void) | undefined;
    const gate = new Promise<void>((resolve) => (open = resolve));
    app.addHook('preClose', () => gate);
    const port = await listen(app);
    const ended = app.close();
    await expect.poll(() => app.lifeCycle.draining).toBe(true);
    const late = await overHttp(port);
    open?.();
    await ended;
    return late;
  },
};

/** The example as the documents show it, and the answer, without what differs from request to request. */
const comparable = ({ request_id, instance, retry_after_ms, ...rest }: Problem) => ({
  ...rest,
  request_id: typeof request_id,
  instance: typeof instance,
  ...(retry_after_ms === undefined ? {} : { retry_after_ms: typeof retry_after_ms }),
});

describe('the example of', () => {
  const codes = Object.keys(ERROR_CODES).filter(isErrorCode).filter(isProvoked);
  test.each(codes)('%s is what the server answers', async (code) => {
    const { detail, details } = ADVICE[code];
    const shown = toProblem(new AppError(code, detail, details), { url: TICKER, requestId: 'a-1' });
    expect(comparable(await PROVOKED[code]())).toEqual(comparable(shown));
  });
});
