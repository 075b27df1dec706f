// A chart's whole life through the adapter's own requests: ready, search, symbol, history to its beginning, pulses, quotes.
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { priceScale } from '../../../src/http/udf/symbol-info.js';
import type { Ohlcv, Ticker } from '../../../src/schemas/market.js';
import type { Sandbox } from '../../../src/sandbox/sandbox.js';
import { steadyNow } from '../../../src/lib/steady-clock.js';
import { midHour } from '../../support/mid-hour.js';
import { quietSandbox, startSandboxApp, type SandboxApp } from '../../support/sandbox-app.js';
import { UdfAdapter, type Bar } from '../../support/udf-adapter.js';

let sandbox: Sandbox;
let server: SandboxApp;
let adapter: UdfAdapter;
const now = midHour();
beforeAll(async () => {
  sandbox = await quietSandbox(now);
  server = await startSandboxApp(sandbox, { TICKER_CACHE_TTL: '60' }, { now, monotonic: steadyNow });
  adapter = new UdfAdapter(`${server.url}/udf`);
});
afterAll(async () => {
  await server.app.close();
  await sandbox.close();
});
afterEach(() => sandbox.control.clearFaults());

const BTC = 'BINANCE:BTC/USDT';
const HOUR_S = 3600;
const nowS = () => Math.floor(now() / 1000);
const candleRequests = (): number =>
  sandbox.control.requestLog().filter(({ path }) => /klines|OHLC|candles/.test(path)).length;
const rest = async <T>(path: string): Promise<T> => (await server.app.inject(path)).json<T>();

test('a chart gets ready, finds a market and knows its scale', async () => {
  const { exchanges, supported_resolutions } = await adapter.onReady();
  expect(exchanges.map(({ value }) => value)).toEqual(['', 'BINANCE', 'KRAKEN', 'COINBASEPRO']);
  expect(supported_resolutions).toContain('1D');
  expect(Math.abs((await adapter.time()) - nowS())).toBeLessThan(60);
  const everywhere = await adapter.searchSymbols('btc');
  expect(new Set(everywhere.map(({ exchange }) => exchange))).toEqual(
    new Set(['BINANCE', 'KRAKEN', 'COINBASEPRO']),
  );
  expect(everywhere.length).toBeLessThanOrEqual(30);
  expect(everywhere[0]?.ticker).toBe(BTC);
  const [first] = await adapter.searchSymbols('btc/usdt', 'BINANCE', 'crypto');
  expect(first).toMatchObject({
    ticker: BTC,
    full_name: BTC,
    description: 'BTC/USDT on Binance (simulated)',
  });
  const info = await adapter.resolveSymbol(BTC);
  const { markets } = await rest<{ markets: { symbol: string; price_step: number }[] }>(
    '/v1/markets?exchange=binance&search=BTC/USDT',
  );
  const step = markets.find(({ symbol }) => symbol === 'BTC/USDT')?.price_step;
  expect(info.minmov / info.pricescale).toBe(step);
  expect(info).toMatchObject({ ticker: BTC, exchange: 'BINANCE', has_intraday: true, currency_code: 'USDT' });
  expect(info.intraday_multipliers).toContain('60');
  // Kraken has no three minutes.
  expect((await adapter.resolveSymbol('KRAKEN:BTC/USD')).supported_resolutions).not.toContain('3');
});

test.each([
  [0.05, { pricescale: 100, minmov: 5 }],
  [0.01, { pricescale: 100, minmov: 1 }],
  [1e-8, { pricescale: 1e8, minmov: 1 }],
  [2.5e-7, { pricescale: 1e8, minmov: 25 }],
  [10, { pricescale: 1, minmov: 10 }],
  [null, { pricescale: 1e8, minmov: 1 }],
])('a step of %j', (step, scale) => {
  expect(priceScale(step)).toEqual(scale);
});

test('history goes back to its beginning, without holes and without repetition', async () => {
  const { candles } = await rest<Ohlcv>(
    '/v1/markets/ohlcv?exchange=kraken&symbol=BTC/USD&interval=1h&limit=2000',
  );
  const known = candles.filter(({ close }) => close !== null);
  let bars: Bar[] = [];
  let to = nowS() + HOUR_S;
  for (let page = 0; ; page += 1) {
    expect(page).toBeLessThan(10);
    const period = { from: to - 100 * HOUR_S, to, countBack: 300 };
    const { bars: older, noData, nextTime } = await adapter.getBars('KRAKEN:BTC/USD', '60', period);
    if (noData) {
      expect(nextTime).toBeUndefined();
      break;
    }
    expect(older.every(({ time }) => time < to * 1000)).toBe(true);
    bars = [...older, ...bars];
    to = (older[0]?.time ?? 0) / 1000;
  }
  // The venue keeps 720.
  expect(bars.map(({ time }) => time)).toEqual(known.map(({ timestamp }) => timestamp));
  expect(bars.slice(0, -1).map(({ close }) => close)).toEqual(known.slice(0, -1).map(({ close }) => close));
});

test('without countback bars are those of [from, to), and an empty range leads to the bar before it', async () => {
  const end = Math.floor(nowS() / HOUR_S) * HOUR_S;
  const ask = (from: number, to: number) =>
    adapter.request('history', { symbol: BTC, resolution: '60', from, to }) as Promise<
      Record<string, unknown>
    >;
  for (const back of [10, 3000]) {
    const from = end - back * HOUR_S;
    const { s, t } = await ask(from, from + 4 * HOUR_S);
    expect([s, t]).toEqual(['ok', [0, 1, 2, 3].map((hour) => from + hour * HOUR_S)]);
  }
  const later = await ask(end + 10 * HOUR_S, end + 20 * HOUR_S);
  // An hour may begin meanwhile.
  expect(later).toMatchObject({ s: 'no_data' });
  expect([end, end + HOUR_S]).toContain(later['nextTime']);
});

test('charts that watch a market share one series: their pulses ask the venue for nothing', async () => {
  await adapter.pulse(BTC, '1D', { nowS: nowS(), periodS: 86_400 });
  const asked = candleRequests();
  for (let viewer = 0; viewer < 20; viewer += 1) {
    const { bars } = await adapter.pulse(BTC, '1D', { nowS: nowS() + viewer, periodS: 86_400 });
    expect(bars).toHaveLength(2);
  }
  await adapter.getBars(BTC, '1D', { from: 0, to: nowS() - 7, countBack: 300 });
  expect(candleRequests()).toBe(asked);
});

test('quotes are one question an exchange, and a bad one spoils no good one', async () => {
  const tickers = () => sandbox.control.requestLog().filter(({ path }) => /ticker/i.test(path)).length;
  const before = tickers();
  const [btc, bad, eth, unknown] = await adapter.getQuotes([
    BTC,
    'BINANCE:NO/SUCH',
    'BINANCE:ETH/USDT',
    'NOWHERE:A/B',
  ]);
  expect(tickers()).toBe(before + 1);
  const told = await rest<Ticker>('/v1/markets/ticker?exchange=binance&symbol=BTC/USDT&stats=true');
  expect(btc).toMatchObject({
    s: 'ok',
    n: BTC,
    v: {
      lp: told.last,
      bid: told.bid,
      ask: told.ask,
      chp: told.stats?.change_percent,
      short_name: 'BTC/USDT',
    },
  });
  expect(String(btc?.v['ch'])).toMatch(/^-?\d+(\.\d{1,2})?$/);
  expect(eth).toMatchObject({ s: 'ok', v: { short_name: 'ETH/USDT' } });
  expect(bad).toMatchObject({ s: 'error', n: 'BINANCE:NO/SUCH', code: 'symbol_not_found' });
  expect(unknown).toMatchObject({ s: 'error', code: 'unknown_exchange' });
});

test('stretches without candles are marks', async () => {
  const range = { from: nowS() - 1000 * HOUR_S, to: nowS() };
  const marks = await adapter.getTimescaleMarks('KRAKEN:BTC/USD', '60', range);
  expect(marks[0]?.tooltip).toContain('not_available_from_exchange');
  expect(marks[0]?.time).toBeGreaterThanOrEqual(range.from);
  expect(await adapter.getTimescaleMarks(BTC, '60', range)).toEqual([]);
});

describe('errors are in words that the adapter reads', () => {
  const RANGE = '&resolution=60&from=0&to=1';
  test.each([
    ['symbols?symbol=NOWHERE:BTC/USDT', 'unknown_exchange'],
    ['symbols?symbol=OKX:BTC/USDT', 'exchange_not_enabled'],
    ['symbols?symbol=BINANCE:NO/SUCH', 'symbol_not_found'],
    ['symbols?symbol=BTC', 'symbol_not_found'],
    ['symbols', 'invalid_request'],
    ['search?query=A&exchange=NOWHERE', 'unknown_exchange'],
    [`history?symbol=NOWHERE:BTC/USDT${RANGE}`, 'unknown_exchange'],
    [`history?symbol=${BTC}&resolution=7&from=0&to=1`, 'interval_not_supported'],
    [`history?symbol=${BTC}&resolution=60&from=x&to=1`, 'invalid_request'],
    [`timescale_marks?symbol=NOWHERE:A/B${RANGE}`, 'unknown_exchange'],
    ['quotes', 'invalid_request'],
    ['nothing', 'not_found'],
  ])('%s', async (path, code) => {
    expect(await adapter.request(path)).toMatchObject({
      s: 'error',
      errmsg: expect.any(String) as string,
      code,
    });
  });

  test('a venue that fails, with the time to wait', async () => {
    const fault = { type: 'status', status: 429, retryAfter: 30 } as const;
    sandbox.control.setFault({ venue: 'coinbaseexchange', match: 'candles', fault });
    const period = { from: 0, to: nowS(), countBack: 10 };
    await expect(adapter.getBars('COINBASEPRO:ETH/USD', '5', period)).rejects.toThrow('coinbasepro');
    const answer = await adapter.request('history', {
      symbol: 'COINBASEPRO:ETH/USD',
      resolution: '5',
      from: 0,
      to: nowS(),
    });
    expect(answer).toMatchObject({
      s: 'error',
      retryable: true,
      retry_after_ms: expect.any(Number) as number,
    });
  });

  test('the client limit answers likewise, and never meets /udf/config', async () => {
    const limited = await startSandboxApp(sandbox, { CLIENT_RATE_LIMIT_REQUESTS: '1' });
    const other = new UdfAdapter(`${limited.url}/udf`);
    await other.time();
    await expect(other.resolveSymbol(BTC)).rejects.toThrow(/requests/);
    expect(await other.request('time')).toMatchObject({ s: 'error', code: 'client_rate_limited' });
    await other.onReady();
    await limited.app.close();
  });
});

test("OpenBB's files name the chart, whose address is there", async () => {
  const widgets = z
    .record(
      z.string(),
      z.strictObject({
        ...{ name: z.string(), description: z.string(), category: z.string() },
        type: z.literal('advanced_charting'),
        endpoint: z.string(),
        gridData: z.strictObject({ w: z.number(), h: z.number() }),
        data: z.strictObject({ defaultSymbol: z.string(), updateFrequency: z.number() }),
      }),
    )
    .parse(await rest('/widgets.json'));
  const [[id, widget]] = Object.entries(widgets) as [[string, (typeof widgets)[string]]];
  expect((await fetch(`${server.url}${widget.endpoint}/config`)).status).toBe(200);
  expect(await adapter.resolveSymbol(widget.data.defaultSymbol)).toHaveProperty('ticker');
  const apps = z
    .array(
      z.looseObject({
        name: z.string(),
        description: z.string(),
        tabs: z.record(z.string(), z.unknown()),
        groups: z.array(z.unknown()),
      }),
    )
    .parse(await rest('/apps.json'));
  expect(apps[0]?.tabs['']).toMatchObject({ layout: [{ i: id, x: 0, y: 0 }] });
  const origin = await fetch(`${server.url}/widgets.json`, { headers: { origin: 'https://pro.openbb.co' } });
  expect(origin.headers.get('access-control-allow-origin')).toBe('*');
});

test('UDF=false: nothing of it is there', async () => {
  const without = await startSandboxApp(sandbox, { UDF: 'false' });
  for (const path of ['/udf/config', '/udf/time', '/widgets.json', '/apps.json'])
    expect((await without.app.inject(path)).statusCode, path).toBe(404);
  expect((await without.app.inject('/v1/status')).json()).toMatchObject({ features: { udf: false } });
  await without.app.close();
});
