// What the venues say to parameters they do not take: what clients must be able to tell apart.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startSandbox, type Sandbox } from '../../../src/sandbox/sandbox.js';

const NOON = 1_750_000_000_000;
let sandbox: Sandbox;
beforeAll(async () => {
  sandbox = await startSandbox({ now: () => NOON, weightLimit: Infinity, ticksPerSecond: 0 });
});
afterAll(() => sandbox.close());

const get = async (path: string): Promise<{ status: number; body: unknown }> => {
  const response = await fetch(`${sandbox.url}/${path}`);
  const text = await response.text();
  return { status: response.status, body: text.startsWith('<') ? text : JSON.parse(text) };
};

const rows = (body: unknown): unknown[] => {
  if (!Array.isArray(body)) throw new Error('not an array');
  return body;
};

describe('Binance refuses', () => {
  const S = 'symbol=BTCUSDT';
  test.each([
    ['klines?interval=1m', -1102],
    [`klines?${S}`, -1102],
    [`klines?${S}&interval=7m`, -1120],
    [`klines?${S}&interval=1m&limit=x`, -1100],
    [`klines?${S}&interval=1m&limit=0`, -1130],
    [`klines?${S}&interval=1m&startTime=-1`, -1100],
    [`klines?${S}&interval=1m&endTime=soon`, -1100],
    [`aggTrades?${S}&fromId=x`, -1100],
    [`aggTrades?${S}&limit=0`, -1130],
    [`trades?${S}&limit=0`, -1130],
    [`depth?${S}&limit=0`, -1100],
    ['depth?symbol=NOPE', -1121],
    ['ticker/price?symbol=NOPE', -1121],
    ['ticker/24hr?symbols=BTCUSDT', -1100],
    ['ticker/24hr?symbols=["BTCUSDT","NOPE"]', -1121],
    ['exchangeInfo?symbol=NOPE', -1121],
  ])('%s with code %i', async (path, code) => {
    expect(await get(`api.binance.com/api/v3/${path}`)).toMatchObject({ status: 400, body: { code } });
  });

  test('an endpoint that it does not have', async () => {
    expect((await get('api.binance.com/api/v3/nothing')).status).toBe(404);
  });
});

test('Binance has no contracts here, and says so of any', async () => {
  const info = await get('fapi.binance.com/fapi/v1/exchangeInfo');
  expect(info).toMatchObject({ status: 200, body: { symbols: [] } });
  const ticker = await get('dapi.binance.com/dapi/v1/ticker/24hr?symbol=BTCUSD_PERP');
  expect(ticker).toMatchObject({ status: 400, body: { code: -1121 } });
});

test('Binance knows no other versions, and lists of symbols hold names alone', async () => {
  expect((await get('api.binance.com/api/v9/ping')).status).toBe(404);
  expect(await get('api.binance.com/api/v3/ticker/price?symbols=[7]')).toMatchObject({
    body: { code: -1100 },
  });
});

describe('Binance answers', () => {
  const api = async (path: string) => (await get(`api.binance.com/api/v3/${path}`)).body;

  test('one market as an object and several as an array', async () => {
    expect(await api('ticker/price?symbol=BTCUSDT')).toMatchObject({ symbol: 'BTCUSDT' });
    expect(await api('ticker/bookTicker?symbols=["BTCUSDT","ETHUSDT"]')).toMatchObject([
      { symbol: 'BTCUSDT' },
      { symbol: 'ETHUSDT' },
    ]);
    expect(rows(await api('ticker/price')).length).toBeGreaterThan(5);
    expect(await api('exchangeInfo?symbol=BTCUSDT')).toMatchObject({ symbols: [{ symbol: 'BTCUSDT' }] });
  });

  test('candles up to an end, trades from an id and from a time, at most as many as asked for', async () => {
    const end = NOON - 600_000;
    const candles = rows(await api(`klines?symbol=BTCUSDT&interval=1m&endTime=${end}&limit=5`)) as number[][];
    expect(candles).toHaveLength(5);
    expect(candles.at(-1)?.[0]).toBeLessThanOrEqual(end);
    const timed = `aggTrades?symbol=BTCUSDT&startTime=${end}&endTime=${NOON}&limit=3`;
    const trades = rows(await api(timed)) as { a: number; T: number }[];
    expect(trades).toHaveLength(3);
    expect(trades[0]?.T).toBeGreaterThanOrEqual(end);
    const again = rows(await api(`aggTrades?symbol=BTCUSDT&fromId=${trades[1]?.a}&limit=1`));
    expect(again).toEqual([trades[1]]);
    expect(rows(await api('trades?symbol=BTCUSDT&limit=2'))).toHaveLength(2);
  });
});

describe('Binance weighs', () => {
  const symbols = (count: number): string =>
    `symbols=[${Array.from({ length: count }, () => '"BTCUSDT"').join(',')}]`;
  const S = 'symbol=BTCUSDT';
  test.each([
    ['ping', 1],
    [`klines?${S}&interval=1m`, 2],
    [`aggTrades?${S}`, 4],
    [`trades?${S}`, 25],
    ['exchangeInfo', 20],
    [`depth?${S}`, 5],
    [`depth?${S}&limit=500`, 25],
    [`depth?${S}&limit=5000`, 250],
    [`depth?${S}&limit=9000`, 250],
    [`ticker/24hr?${S}`, 2],
    ['ticker/24hr', 80],
    [`ticker/24hr?${symbols(20)}`, 2],
    [`ticker/24hr?${symbols(21)}`, 40],
    ['ticker/price', 4],
  ])('%s as %i', async (path, weight) => {
    const metered = await startSandbox({ now: () => NOON, ticksPerSecond: 0 });
    const { headers } = await fetch(`${metered.url}/api.binance.com/api/v3/${path}`);
    expect(Number(headers.get('x-mbx-used-weight-1m'))).toBe(weight);
    await metered.close();
  });
});

test('Binance gives a hundred levels by default, and 5000 at most', async () => {
  const book = async (query: string) =>
    (await get(`api.binance.com/api/v3/depth?symbol=BTCUSDT${query}`)).body;
  expect(await book('')).toMatchObject({ bids: { length: 100 }, asks: { length: 100 } });
  expect(await book('&limit=9000')).toMatchObject({ asks: { length: 5000 } });
});

describe('Kraken refuses', () => {
  const INVALID = 'EGeneral:Invalid arguments';
  const UNKNOWN = 'EQuery:Unknown asset pair';
  test.each([
    ['OHLC', INVALID],
    ['OHLC?pair=NOPE', UNKNOWN],
    ['OHLC?pair=XBTUSD&interval=7', INVALID],
    ['OHLC?pair=XBTUSD&since=x', INVALID],
    ['Depth?pair=XBTUSD&count=0', INVALID],
    ['Depth?pair=XBTUSD&count=501', INVALID],
    ['Trades?pair=XBTUSD&count=0', INVALID],
    ['Trades?pair=XBTUSD&count=5000', INVALID],
    ['Trades?pair=XBTUSD&since=-1', INVALID],
    ['Ticker?pair=XBTUSD,NOPE', UNKNOWN],
    ['AssetPairs?pair=NOPE', UNKNOWN],
  ])('%s with %s, and a 200', async (path, message) => {
    const answer = await get(`api.kraken.com/0/public/${path}`);
    expect(answer).toEqual({ status: 200, body: { error: [message] } });
  });
});

test('Kraken takes trades since seconds and since nanoseconds alike, and tells its time and state', async () => {
  const api = async (path: string) =>
    (await get(`api.kraken.com/0/public/${path}`)).body as { result: Record<string, unknown> };
  const seconds = NOON / 1000 - 10;
  const bySeconds = await api(`Trades?pair=XBTUSD&since=${seconds}&count=3`);
  expect(await api(`Trades?pair=XBTUSD&since=${seconds}000000000&count=3`)).toEqual(bySeconds);
  expect((await api('Time')).result['unixtime']).toBe(NOON / 1000);
  expect((await api('SystemStatus')).result['status']).toBe('online');
  expect(Object.keys((await api('AssetPairs?pair=XBTUSD')).result)).toHaveLength(1);
});

test('Kraken has no other methods, and gives as much as it may where nothing is asked for', async () => {
  expect(await get('api.kraken.com/0/public/Nothing')).toEqual({
    status: 404,
    body: { error: ['EGeneral:Unknown method'] },
  });
  const api = async (path: string) =>
    ((await get(`api.kraken.com/0/public/${path}`)).body as { result: Record<string, unknown> }).result;
  expect(await api('Trades?pair=XBTUSD')).toMatchObject({ XXBTZUSD: { length: 1000 } });
  expect(await api('Depth?pair=XBTUSD')).toMatchObject({ XXBTZUSD: { bids: { length: 100 } } });
  expect(await api('OHLC?pair=XBTUSD')).toMatchObject({ XXBTZUSD: { length: 720 } });
  // `last` is where to go on: nothing has come since.
  const now = NOON / 1000;
  expect(await api(`Trades?pair=XBTUSD&since=${now}`)).toEqual({ XXBTZUSD: [], last: `${NOON}000000` });
});

describe('Coinbase Exchange refuses', () => {
  test.each([
    ['products/NO-PE/ticker', 404, 'NotFound'],
    ['products/BTC-USD/weather', 404, 'NotFound'],
    ['weather', 404, 'NotFound'],
    ['products/BTC-USD/candles?granularity=7', 400, 'Unsupported granularity'],
    ['products/BTC-USD/candles?start=20&end=10', 400, 'start must be before end'],
    [
      'products/BTC-USD/candles?start=0&end=2025-01-01',
      400,
      'granularity too small for the requested time range. Count of aggregations requested exceeds 300',
    ],
    ['products/BTC-USD/trades?limit=0', 400, 'limit must be a positive number'],
    ['products/BTC-USD/trades?limit=x', 400, 'limit must be a positive number'],
    ['products/BTC-USD/trades?after=x', 400, 'limit must be a positive number'],
    ['products/BTC-USD/book?level=4', 400, 'Invalid level'],
    ['products/BTC-USD/book?level=0', 400, 'Invalid level'],
  ])('%s with %i', async (path, status, message) => {
    expect(await get(`api.exchange.coinbase.com/${path}`)).toEqual({ status, body: { message } });
  });
});

describe('Coinbase Exchange answers', () => {
  const api = async (path: string) => (await get(`api.exchange.coinbase.com/${path}`)).body;
  interface Trade {
    readonly trade_id: number;
    readonly side: string;
  }

  test('one product and its statistics', async () => {
    expect(await api('products/BTC-USD')).toMatchObject({ id: 'BTC-USD', status: 'online' });
    const { last, open } = sandbox.market.ticker('coinbaseexchange', 'BTC/USD', NOON);
    expect(await api('products/BTC-USD/stats')).toMatchObject({
      open: open.toFixed(2),
      last: last.toFixed(2),
    });
  });

  test('the latest candles where a bound is missing or no time', async () => {
    const latest = rows(await api('products/BTC-USD/candles'));
    // The one of this very minute is not there for its first second.
    expect(latest).toHaveLength(300);
    expect(await api('products/BTC-USD/candles?start=10')).toEqual(latest);
    expect(await api('products/BTC-USD/candles?start=soon&end=')).toEqual(latest);
  });

  test('a hundred trades by default, and older ones after an id', async () => {
    const trades = rows(await api('products/BTC-USD/trades')) as Trade[];
    expect(trades).toHaveLength(100);
    const third = trades[2]?.trade_id ?? 0;
    expect(await api(`products/BTC-USD/trades?after=${third}&limit=5`)).toEqual(trades.slice(3, 8));
    const answer = await fetch(`${sandbox.url}/api.exchange.coinbase.com/products/MUSE-USD/trades?after=1`);
    expect([answer.headers.get('cb-before'), answer.headers.get('cb-after'), await answer.json()]).toEqual([
      '',
      '',
      [],
    ]);
  });

  test('the best level, all levels, or single orders', async () => {
    const book = async (query: string) =>
      (await api(`products/BTC-USD/book${query}`)) as { bids: [string, string, number | string][] };
    const best = await book('');
    expect(best.bids).toHaveLength(1);
    expect(await book('?level=1')).toEqual(best);
    const all = await book('?level=2');
    expect(all.bids).toHaveLength(1000);
    expect(all.bids[0]).toEqual(best.bids[0]);
    expect((await book('?level=3')).bids[0]?.[2]).toMatch(/^\d+-0000-4000-8000-000000000000$/);
  });

  test('faults are aimed by what a path asks for', async () => {
    const kinds = ['weather', 'products', 'products/BTC-USD/ticker', 'products/BTC-USD/weather', 'time'];
    sandbox.control.resetLog();
    for (const path of kinds) await get(`api.exchange.coinbase.com/${path}`);
    expect(sandbox.control.requestLog().map(({ kind }) => kind)).toEqual([
      'other',
      'markets',
      'ticker',
      'other',
      'time',
    ]);
  });
});

test('before anything is listed there are prices, no trades and no candles', async () => {
  const early = await startSandbox({ now: () => Date.UTC(2016, 0, 1), ticksPerSecond: 0 });
  const read = async (path: string): Promise<unknown> => (await fetch(`${early.url}/${path}`)).json();
  const kraken = 'api.kraken.com/0/public';
  const ticker = (await read(`${kraken}/Ticker?pair=XBTUSD`)) as {
    result: { XXBTZUSD: { o: string; t: number[] } };
  };
  expect(Number(ticker.result.XXBTZUSD.o)).toBeGreaterThan(0);
  expect(await read(`${kraken}/OHLC?pair=XBTUSD`)).toEqual({ error: [], result: { XXBTZUSD: [], last: 0 } });
  expect(await read(`${kraken}/Trades?pair=XBTUSD`)).toEqual({
    error: [],
    result: { XXBTZUSD: [], last: `${Date.UTC(2016, 0, 1)}000000` },
  });
  expect(await read('api.binance.com/api/v3/trades?symbol=BTCUSDT')).toEqual([]);
  await early.close();
});
