/**
 * One client that asks for all that an exchange has must not take the exchange from the others: what is asked for
 * nobody is given up, and those who wait take turns by client.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import http from 'node:http';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { startFakeVenue, type FakeVenue } from '../support/fake-venue.js';

const SERVER = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));
/** On a busy machine; behind the attack a request would wait for its whole time, 20 s. */
const GOOD_MS = 8_000;
const COINS = Array.from({ length: 600 }, (_, i) => `C${i}`);

const market = (base: string) => ({
  symbol: `${base}USDT`,
  status: 'TRADING',
  baseAsset: base,
  baseAssetPrecision: 8,
  quoteAsset: 'USDT',
  quotePrecision: 8,
  quoteAssetPrecision: 8,
  orderTypes: ['LIMIT'],
  isSpotTradingAllowed: true,
  isMarginTradingAllowed: false,
  permissions: ['SPOT'],
  permissionSets: [['SPOT']],
  filters: [
    { filterType: 'PRICE_FILTER', minPrice: '0.01', maxPrice: '1000000', tickSize: '0.01' },
    { filterType: 'LOT_SIZE', minQty: '0.001', maxQty: '9000', stepSize: '0.001' },
  ],
});

/** Rows of candles from `startTime` on, one a minute. */
const candles = (query: URLSearchParams): unknown[] => {
  const end = Math.floor(Date.now() / 60_000) * 60_000;
  const count = Number(query.get('limit') ?? 500);
  const from = Number(query.get('startTime') ?? end - (count - 1) * 60_000);
  const rows = Array.from({ length: count }, (_, i) => from + i * 60_000).filter((at) => at <= end);
  return rows.map((at) => [at, '1', '2', '1', '2', '5', at + 59_999, '9', 3, '1', '1', '0']);
};

let venue: FakeVenue;
let child: ChildProcess;
let port = 0;

/** For each test a server with a whole budget: how much of it an attack has used up by its end is chance. */
beforeEach(async () => {
  venue = await startFakeVenue({
    answer: ({ path, query }) => {
      if (path.endsWith('/exchangeInfo')) return { timezone: 'UTC', symbols: COINS.map(market) };
      if (path.endsWith('/ticker/24hr'))
        return {
          symbol: query.get('symbol'),
          lastPrice: '1.5',
          bidPrice: '1.4',
          askPrice: '1.6',
          closeTime: Date.now(),
        };
      if (path.endsWith('/klines')) return candles(query);
      return undefined;
    },
  });
  child = spawn(process.execPath, [SERVER], {
    env: {
      PATH: process.env['PATH'],
      APP_ENV: 'production',
      PORT: '0',
      OVERLOAD_DELAY: '0',
      HOST: '127.0.0.1',
      REDIS_ENABLED: 'false',
      SANDBOX: venue.url,
      ENABLED_EXCHANGES: 'binance',
      // Less than each attack asks for.
      RATE_LIMIT_REQUESTS: '200',
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  for await (const line of createInterface({ input: child.stdout! })) {
    const found = /"address":"http:\/\/127\.0\.0\.1:(\d+)"/.exec(line)?.[1];
    if (found === undefined) continue;
    port = Number(found);
    break;
  }
  child.stdout!.resume();
  // A start is much work at once, for which a busy machine refuses requests for a moment.
  const status = async (path: string): Promise<number> => (await ask(path)).status;
  await expect.poll(() => status(`${TICKER}C599/USDT`), { timeout: 30_000 }).toBe(200);
  await expect.poll(() => status('/v1/health/ready'), { timeout: 30_000 }).toBe(200);
});
afterEach(async () => {
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  await ended;
  await venue.close();
});

const TICKER = '/v1/markets/ticker?exchange=binance&symbol=';

/** As the client of a loopback address. */
const ask = async (
  path: string,
  localAddress = '127.0.0.2',
): Promise<{ status: number; ms: number; body: string }> => {
  const at = performance.now();
  const request = http.get({ host: '127.0.0.1', port, path, localAddress, agent: false });
  const [response] = (await once(request, 'response')) as [http.IncomingMessage];
  let body = '';
  for await (const chunk of response.setEncoding('utf8')) body += String(chunk);
  const ms = performance.now() - at;
  return { status: response.statusCode ?? 0, ms, body };
};

/** `coin`: one that nobody has asked for. */
const expectGoodService = async (coin: string): Promise<void> => {
  for (const path of [
    `${TICKER}${coin}/USDT`,
    `/v1/markets/ohlcv?exchange=binance&symbol=${coin}/USDT&limit=10`,
  ]) {
    const { status, ms, body } = await ask(path);
    expect(status, body).toBe(200);
    expect(ms).toBeLessThan(GOOD_MS);
  }
};

/** Nothing is asked any more for those who have left: a good client's calls would otherwise alternate with theirs. */
const expectNothingElseAsked = async (coins: readonly string[]): Promise<void> => {
  const { length: before } = venue.requests;
  for (const coin of coins) {
    const { status, body } = await ask(`${TICKER}${coin}/USDT`);
    expect(status, body).toBe(200);
  }
  // One or two may have been on their way.
  expect(venue.requests.length - before).toBeLessThan(coins.length + 3);
};

const subscribe = (from: number, channel: object): string =>
  JSON.stringify({
    method: 'subscribe',
    params: {
      exchange: 'binance',
      symbol: COINS.slice(from, from + 200).map((coin) => `${coin}/USDT`),
      ...channel,
    },
    req_id: from,
  });

test.each([
  { name: 'tickers', coin: 'C590', unasked: COINS.slice(500, 510), channel: { channel: 'ticker' } },
  {
    name: 'candles',
    coin: 'C591',
    unasked: COINS.slice(510, 520),
    channel: { channel: 'ohlcv', interval: '1m' },
  },
])(
  'a client that subscribes to 400 $name and leaves takes nothing from the others',
  async ({ coin, unasked, channel }) => {
    const { length: before } = venue.requests;
    const socket = new WebSocket(`ws://127.0.0.1:${port}/ws`);
    await once(socket, 'open');
    socket.send(subscribe(0, channel));
    socket.send(subscribe(200, channel));
    // Until the first calls for it are under way.
    await expect.poll(() => venue.requests.length, { interval: 5 }).toBeGreaterThan(before);
    socket.terminate();
    await expectGoodService(coin);
    await expectNothingElseAsked(unasked);
  },
);

test('clients that ask for 2,000 candles and leave take nothing from the others', async () => {
  const { length: before } = venue.requests;
  const requests = COINS.slice(400, 500).map((coin) =>
    http.get({
      host: '127.0.0.1',
      port,
      path: `/v1/markets/ohlcv?exchange=binance&symbol=${coin}/USDT&limit=2000`,
    }),
  );
  for (const request of requests) request.on('error', () => undefined);
  await expect.poll(() => venue.requests.length, { interval: 5 }).toBeGreaterThan(before);
  for (const request of requests) request.destroy();
  await expectGoodService('C592');
  await expectNothingElseAsked(COINS.slice(520, 530));
});

test('a client with hundreds of queued requests does not starve another one', async () => {
  const { length: before } = venue.requests;
  const requests = COINS.slice(200, 500).map((coin) =>
    http.get({ host: '127.0.0.1', port, path: `${TICKER}${coin}/USDT` }),
  );
  for (const request of requests) request.on('error', () => undefined);
  await expect.poll(() => venue.requests.length, { interval: 5 }).toBeGreaterThan(before);
  await expectGoodService('C593');
  for (const request of requests) request.destroy();
});
