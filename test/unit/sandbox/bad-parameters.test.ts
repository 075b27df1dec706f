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
