// Random and hostile queries against the whole app over simulated venues: each gets its 4xx, quickly, and no venue hears of it.
import { request } from 'node:http';
import type { AddressInfo } from 'node:net';
import fc from 'fast-check';
import type { FastifyInstance } from 'fastify';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { buildApp } from '../../../src/app/app.js';
import { loadConfig } from '../../../src/config/config.js';
import { startSandbox, type Sandbox } from '../../../src/sandbox/sandbox.js';
import { problem } from '../../../src/schemas/problem.js';
import { calmGauge } from '../../support/app.js';
import { extent } from '../../support/extent.js';
import { recordingLog } from '../../support/recording-log.js';

/** Of the share below; the rest may meet a collection or another process. */
const QUICK_MS = 100;
const QUICK_SHARE = 0.95;

let sandbox: Sandbox;
let app: FastifyInstance;
const log = recordingLog();

beforeAll(async () => {
  sandbox = await startSandbox();
  const config = loadConfig({
    SANDBOX: sandbox.url,
    REDIS_ENABLED: 'false',
    EXCHANGE_WORKERS: '0',
    ENABLED_EXCHANGES: 'binance',
  });
  app = await buildApp(config, { log, loadGauge: calmGauge });
  await app.listen({ port: 0, host: '127.0.0.1' });
  // The venue's markets are known from here on: unknown symbols are refused from memory.
  const warm = await app.inject('/v1/markets/ticker?exchange=binance&symbol=BTC/USDT');
  expect(warm.statusCode).toBe(200);
});
afterAll(async () => {
  await app.close();
  await sandbox.close();
});

const PROTOTYPE = [
  '__proto__',
  'constructor',
  'prototype',
  'toString',
  'hasOwnProperty',
  'valueOf',
  '__defineGetter__',
];
const NUMBERS = [
  'NaN',
  'Infinity',
  '-Infinity',
  '1e9',
  '0x10',
  '-1',
  '0',
  '99999999999999999999',
  '1.5',
  ' 5',
  '5 ',
  '',
];

const hostileText = fc.oneof(
  fc.constantFrom(
    ...PROTOTYPE,
    '\0',
    '%00',
    '../../etc/passwd',
    '${7*7}',
    "' OR 1=1 --",
    '<script>',
    '\r\nSet-Cookie: a=b',
  ),
  fc.string({ unit: 'binary', maxLength: 80 }),
  fc.string({ maxLength: 80 }),
);
/** Percent-encodings that mean nothing, as they may stand in a query. */
const malformed = fc.constantFrom('%', '%zz', '%E0%A4%A', '%ff%fe', '%c0%af', '%u0041');
const encoded = hostileText.map((text) => encodeURIComponent(text.replaceAll(/[\ud800-\udfff]/g, '')));
const rawValue = fc.oneof({ weight: 4, arbitrary: encoded }, { weight: 1, arbitrary: malformed });

/** An unknown market of a known form. */
const unknownSymbol = fc
  .tuple(
    fc.stringMatching(/^[A-Z]{7,12}$/),
    fc.constantFrom('/', '-', '_'),
    fc.stringMatching(/^[A-Z]{7,12}$/),
  )
  .map(([base, separator, quote]) => base + separator + quote);

const endpoint = fc.constantFrom('ticker', 'ohlcv', 'orderbook', 'trades');
const good = 'exchange=binance&symbol=BTC/USDT';

/** One query that is wrong in at least one way. */
const wrongQuery = fc.oneof(
  fc.tuple(endpoint, rawValue).map(([kind, symbol]) => `${kind}?exchange=binance&symbol=${symbol}`),
  fc.tuple(endpoint, unknownSymbol).map(([kind, symbol]) => `${kind}?exchange=binance&symbol=${symbol}`),
  fc
    .tuple(
      endpoint,
      rawValue.filter((value) => value.trim().toLowerCase() !== 'binance'),
    )
    .map(([kind, exchange]) => `${kind}?exchange=${exchange}&symbol=BTC/USDT`),
  fc
    .tuple(
      endpoint,
      fc.oneof(fc.constantFrom(...NUMBERS).map(encodeURIComponent), fc.integer({ min: 2001 }).map(String)),
    )
    .map(([kind, limit]) => `${kind}?${good}&limit=${limit}`),
  fc
    .constantFrom(...NUMBERS.filter((text) => text !== '0').map(encodeURIComponent))
    .map((since) => `ohlcv?${good}&since=${since}`),
  fc.tuple(endpoint, encoded).map(([kind, name]) => `${kind}?${good}&x${name}=1`),
  fc.tuple(endpoint, fc.constantFrom(...PROTOTYPE)).map(([kind, name]) => `${kind}?${good}&${name}=1`),
  fc
    .tuple(endpoint, fc.constantFrom('exchange=binance', 'symbol=BTC/USDT'))
    .map(([kind, twice]) => `${kind}?${good}&${twice}`),
  fc
    .tuple(endpoint, fc.constantFrom('exchange[]=binance', 'symbol[a]=b', 'exchange.a=1', 'exchange'))
    .map(([kind, odd]) => `${kind}?symbol=BTC/USDT&${odd}`),
  fc
    .tuple(endpoint, fc.integer({ min: 100, max: 1_000_000 }))
    .map(([kind, size]) => `${kind}?exchange=binance&symbol=${'A'.repeat(size)}`),
);

/** Some 2 ms each on a quiet machine. */
const QUERIES = extent({ short: 400, long: 3000 });
/** All of them and their shrinking, on a machine that does other things too. */
const PATIENCE_MS = 180_000;

test(
  `${QUERIES} wrong queries each get a 4xx problem at once, nothing reaches a venue, the server is unharmed`,
  async () => {
    sandbox.control.resetLog();
    const durations: number[] = [];
    await fc.assert(
      fc.asyncProperty(wrongQuery, async (query) => {
        const startedAt = performance.now();
        const response = await app.inject(`/v1/markets/${query}`);
        durations.push(performance.now() - startedAt);
        expect(response.headers['content-type']).toMatch(/^application\/problem\+json/);
        const body = problem.strict().parse(response.json());
        expect(body.status).toBe(response.statusCode);
        expect(response.statusCode, body.detail).toBeGreaterThanOrEqual(400);
        expect(response.statusCode, body.detail).toBeLessThan(500);
        expect(response.body.length).toBeLessThan(8000);
      }),
      { numRuns: QUERIES, seed: 1699000000 },
    );
    const quick = durations.filter((duration) => duration < QUICK_MS).length;
    expect(quick / durations.length).toBeGreaterThan(QUICK_SHARE);
    expect(sandbox.control.requestLog()).toEqual([]);
    expect(log.lines.filter(({ level }) => level === 'error')).toEqual([]);
    expect((await app.inject('/v1/health')).statusCode).toBe(200);
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
  },
  PATIENCE_MS,
);

test('over a real socket too, symbols of a megabyte and broken encodings are refused', async () => {
  const { port } = app.server.address() as AddressInfo;
  const ask = (path: string) =>
    new Promise<number | undefined>((resolve) => {
      const asked = request({ port, path, agent: false }, (response) => {
        response.resume();
        resolve(response.statusCode);
      });
      asked.on('error', () => resolve(undefined));
      asked.end();
    });
  // Where the server closes before everything was sent, a client may see the end of the connection alone.
  expect([414, 431, undefined]).toContain(await ask(`/v1/markets/ticker?symbol=${'A'.repeat(1_000_000)}`));
  expect(await ask(`/v1/markets/ticker?symbol=${'A'.repeat(3000)}`)).toBe(414);
  expect(await ask('/v1/markets/ticker?exchange=binance&symbol=%E0%A4%A')).toBe(400);
  expect(await ask('/v1/markets/%E0%A4%A')).toBe(400);
  expect(await ask('/v1/markets/ticker?exchange=binance&symbol=BTC/USDT')).toBe(200);
});
