import { request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import { once } from 'node:events';
import { connect as tcpConnect } from 'node:net';
import { gunzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type RestFault } from '../../../src/sandbox/faults.js';
import { type Sandbox } from '../../../src/sandbox/sandbox.js';
import { connect, NOON, sandboxAt, type Clock } from './ccxt-clients.js';

const TICKER = 'api.binance.com/api/v3/ticker/24hr?symbol=BTCUSDT';
const KLINES = 'api.binance.com/api/v3/klines?symbol=BTCUSDT&interval=1m&limit=100';

let sandbox: Sandbox;
let clock: Clock;
beforeEach(async () => {
  ({ sandbox, clock } = await sandboxAt(NOON));
});
afterEach(() => sandbox.close());

interface Outcome {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  /** Error code of the connection, or null if the body ended well. */
  readonly error: string | null;
}

/** A bare request that reports what arrived, whatever happened to it; gives up `ms` after the last sign of life. */
function get(
  path: string,
  options: { headers?: Record<string, string>; ms?: number } = {},
): Promise<Outcome> {
  return new Promise((resolve) => {
    const seen = { status: 0, headers: {} as IncomingHttpHeaders, chunks: [] as Buffer[] };
    const done = (error: string | null): void => {
      resolve({ status: seen.status, headers: seen.headers, body: Buffer.concat(seen.chunks), error });
      request.destroy();
    };
    const code = (error: NodeJS.ErrnoException): void => done(error.code ?? error.message);
    const request = httpRequest(
      `${sandbox.url}/${path}`,
      { headers: options.headers ?? {}, agent: false },
      (response) => {
        seen.status = response.statusCode ?? 0;
        seen.headers = response.headers;
        response.on('data', (chunk: Buffer) => seen.chunks.push(chunk));
        response.on('end', () => done(null));
        response.on('error', code);
      },
    );
    request.on('error', code);
    request.setTimeout(options.ms ?? 4_000, () => done('silence'));
    request.end();
  });
}

const fault = (fault: RestFault, match = 'ticker'): number =>
  sandbox.control.setFault({ venue: 'binance', match, fault });

describe('faults of REST answers', () => {
  test.each([418, 429, 400, 401, 404, 451, 500, 502, 503, 504, 520])(
    'a status of %i with its body',
    async (status) => {
      fault({ type: 'status', status, body: '{"x":1}', headers: { 'x-test': 'yes' } });
      const { body, headers, ...rest } = await get(TICKER);
      expect(rest).toEqual({ status, error: null });
      expect(body.toString()).toBe('{"x":1}');
      expect(headers['x-test']).toBe('yes');
    },
  );

  test('Retry-After in seconds, as a date, or not at all', async () => {
    fault({ type: 'status', status: 429, retryAfter: 7 });
    expect((await get(TICKER)).headers['retry-after']).toBe('7');
    sandbox.control.clearFaults();
    fault({ type: 'status', status: 429, retryAfter: 'http-date:60' });
    const date = Date.parse((await get(TICKER)).headers['retry-after'] ?? '');
    expect(Math.abs(date - Date.now() - 60_000)).toBeLessThan(5_000);
    sandbox.control.clearFaults();
    fault({ type: 'status', status: 429 });
    expect((await get(TICKER)).headers['retry-after']).toBeUndefined();
  });

  test('silence before the headers', async () => {
    fault({ type: 'hang' });
    expect(await get(TICKER, { ms: 60 })).toMatchObject({ status: 0, error: 'silence' });
  });

  test('silence within the body', async () => {
    fault({ type: 'stall' }, 'ohlcv');
    const outcome = await get(KLINES, { ms: 500 });
    expect(outcome).toMatchObject({ status: 200, error: 'silence' });
    expect(outcome.body.length).toBe(Math.ceil(Number(outcome.headers['content-length']) / 2));
  });

  test('a reset before the headers, and within the body', async () => {
    fault({ type: 'reset' });
    expect(await get(TICKER)).toMatchObject({ status: 0, error: 'ECONNRESET' });
    sandbox.control.clearFaults();
    fault({ type: 'reset', at: 'body' }, 'ohlcv');
    const outcome = await get(KLINES);
    expect(outcome).toMatchObject({ status: 200, error: 'ECONNRESET' });
    expect(outcome.body.length).toBeGreaterThan(0);
  });

  test('half of the JSON with a content-length that fits it', async () => {
    fault({ type: 'truncate' });
    const { status, body, error } = await get(TICKER);
    expect({ status, error }).toEqual({ status: 200, error: null });
    expect(() => JSON.parse(body.toString()) as unknown).toThrow(SyntaxError);
  });

  test('a gzip stream that ends too early', async () => {
    fault({ type: 'gzip_cut' }, 'ohlcv');
    const { headers, body, error } = await get(KLINES);
    expect(error).toBeNull();
    expect(headers['content-encoding']).toBe('gzip');
    expect(() => gunzipSync(body)).toThrow('unexpected end of file');
  });

  test('HTML, nothing, or JSON of an odd shape with status 200', async () => {
    fault({ type: 'html' });
    expect((await get(TICKER)).headers['content-type']).toContain('text/html');
    sandbox.control.clearFaults();
    fault({ type: 'empty' });
    expect(await get(TICKER)).toMatchObject({ status: 200, body: Buffer.alloc(0), error: null });
    sandbox.control.clearFaults();
    fault({ type: 'odd_json', body: [1] });
    expect((await get(TICKER)).body.toString()).toBe('[1]');
    sandbox.control.clearFaults();
    fault({ type: 'odd_json' });
    expect((await get(TICKER)).body.toString()).toBe('{"unexpected":["shape",42,null]}');
  });

  test('a body shorter than its content-length', async () => {
    fault({ type: 'wrong_length' });
    const outcome = await get(TICKER);
    expect(outcome).toMatchObject({ status: 200, error: 'ECONNRESET' });
    expect(JSON.parse(outcome.body.toString())).toMatchObject({ symbol: 'BTCUSDT' });
  });

  test('the right answer, late', async () => {
    fault({ type: 'delay', ms: 50 });
    const before = performance.now();
    expect(await get(TICKER, { ms: 1_000 })).toMatchObject({ status: 200, error: null });
    expect(performance.now() - before).toBeGreaterThanOrEqual(45);
  });

  test('an end of every hanging answer when the sandbox closes', async () => {
    fault({ type: 'hang' });
    fault({ type: 'stall' }, 'ohlcv');
    const outcomes = [get(TICKER, { ms: 5_000 }), get(KLINES, { ms: 5_000 })];
    await expect.poll(() => sandbox.control.counters().requests, { interval: 5 }).toBe(2);
    await sandbox.close();
    expect((await Promise.all(outcomes)).map((outcome) => outcome.error)).toEqual([
      'ECONNRESET',
      'ECONNRESET',
    ]);
    ({ sandbox, clock } = await sandboxAt(NOON));
  });
});

describe('faults as CCXT sees them', () => {
  test.each([
    ['binance', 'rate_limit', 'DDoSProtection'],
    ['binance', 'unknown_symbol', 'BadSymbol'],
    ['binance', 'geo_block', 'ExchangeNotAvailable'],
    ['kraken', 'rate_limit', 'DDoSProtection'],
    ['kraken', 'unavailable', 'ExchangeNotAvailable'],
    ['kraken', 'maintenance', 'OnMaintenance'],
    ['coinbaseexchange', 'rate_limit', 'RateLimitExceeded'],
    ['coinbaseexchange', 'unknown_symbol', 'OrderNotFound'],
    ['coinbaseexchange', 'auth', 'AuthenticationError'],
  ] as const)('%s: %s is a %s', async (venue, name, expected) => {
    const exchange = connect(venue, sandbox);
    await exchange.loadMarkets();
    sandbox.control.setFault({ venue, match: 'ticker', fault: { type: 'venue_error', name } });
    const symbol = venue === 'binance' ? 'BTC/USDT' : 'BTC/USD';
    const error = await exchange.fetchTicker(symbol).catch((reason: unknown) => reason);
    expect((error as Error).constructor.name).toBe(expected);
  });
});

describe('fault rules', () => {
  test('meet what they match, as often as they say', async () => {
    sandbox.control.setFault({
      venue: 'binance',
      match: 'BTCUSDT',
      fault: { type: 'status', status: 500 },
      times: 2,
    });
    expect((await get(TICKER)).status).toBe(500);
    expect((await get('api.binance.com/api/v3/ticker/24hr?symbol=ETHUSDT')).status).toBe(200);
    expect((await get('api.kraken.com/0/public/Ticker?pair=XBTUSD')).status).toBe(200);
    expect((await get(KLINES)).status).toBe(500);
    expect((await get(TICKER)).status).toBe(200);
    expect(sandbox.control.faults()).toEqual([]);
  });

  test('of sockets meet no answer, even where they match it', async () => {
    sandbox.control.setFault({ match: 'ticker', fault: { type: 'ws_silent' } });
    expect((await get(TICKER)).status).toBe(200);
    expect(sandbox.control.faults()).toMatchObject([{ used: 0 }]);
  });

  test('meet a share of the requests, the same ones for the same seed', async () => {
    sandbox.control.setFault({ fault: { type: 'status', status: 500 }, probability: 0.5 });
    const statuses = [];
    for (let i = 0; i < 20; i += 1) statuses.push((await get(TICKER)).status);
    expect(new Set(statuses)).toEqual(new Set([200, 500]));
  });

  test('are told in the log of requests, and bounded', async () => {
    sandbox.control.setFault({ fault: { type: 'hang' }, times: 1 });
    await get(TICKER, { headers: { 'user-agent': 'tester' }, ms: 20 });
    await get(TICKER);
    expect(sandbox.control.requestLog()).toMatchObject([
      {
        time: NOON,
        venue: 'binance',
        kind: 'ticker',
        method: 'GET',
        path: '/api/v3/ticker/24hr',
        query: 'symbol=BTCUSDT',
        status: 0,
        fault: 'hang',
        userAgent: 'tester',
      },
      { status: 200, fault: null },
    ]);
    sandbox.control.resetLog();
    expect(sandbox.control.counters().requests).toBe(0);
    for (let i = 0; i < 100; i += 1) sandbox.control.setFault({ fault: { type: 'empty' } });
    expect(() => sandbox.control.setFault({ fault: { type: 'empty' } })).toThrow(RangeError);
  });
});

describe("Binance's request weight", () => {
  const spend = (path = TICKER): Promise<Outcome> => get(path);

  test('is told in headers, and refused with 429 and then 418 beyond the limit', async () => {
    await sandbox.close();
    ({ sandbox, clock } = await sandboxAt(NOON, { weightLimit: 5 }));
    expect((await spend()).headers['x-mbx-used-weight-1m']).toBe('2');
    expect((await spend()).headers['x-mbx-used-weight-1m']).toBe('4');
    const refused = await spend();
    expect(refused).toMatchObject({ status: 429, headers: { 'retry-after': '30' } });
    expect(JSON.parse(refused.body.toString())).toMatchObject({ code: -1003 });
    for (let i = 0; i < 9; i += 1) await spend();
    expect(await spend()).toMatchObject({ status: 418, headers: { 'retry-after': '120' } });
    clock.now += 60_000;
    expect((await spend()).status).toBe(418);
    clock.now += 60_000;
    expect((await spend()).status).toBe(200);
  });
});

test("Binance's request weight is not counted where its limit is off", async () => {
  await sandbox.close();
  ({ sandbox, clock } = await sandboxAt(NOON, { weightLimit: Infinity }));
  await get(TICKER);
  expect((await get(TICKER)).headers['x-mbx-used-weight-1m']).toBe('0');
});

test('answers are compressed for those who accept it', async () => {
  const { headers, body } = await get(KLINES, { headers: { 'accept-encoding': 'gzip' } });
  expect(headers['content-encoding']).toBe('gzip');
  expect(JSON.parse(gunzipSync(body).toString())).toHaveLength(100);
});

test('a malformed request line does not end the sandbox', async () => {
  const socket = tcpConnect(Number(new URL(sandbox.url).port), '127.0.0.1');
  socket.end('GET /%zz/%zz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
  const [data] = (await once(socket, 'data')) as [Buffer];
  expect(data.toString()).toContain('404');
  expect((await get(TICKER)).status).toBe(200);
});
