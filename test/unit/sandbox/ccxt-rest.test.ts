import { type Exchange } from 'ccxt';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { EXCHANGES, HALTED_SYMBOL, THIN_SYMBOL } from '../../../src/sandbox/listings.js';
import { type Sandbox } from '../../../src/sandbox/sandbox.js';
import { connect, NOON, sandboxAt, SYMBOLS } from './ccxt-clients.js';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

let sandbox: Sandbox;
const clients = new Map<string, Exchange>();
const client = (id: string): Exchange => clients.get(id)!;

beforeAll(async () => {
  ({ sandbox } = await sandboxAt(NOON));
  for (const id of EXCHANGES) clients.set(id, connect(id, sandbox));
  await Promise.all([...clients.values()].map((exchange) => exchange.loadMarkets()));
});
afterAll(() => sandbox.close());

/** The truth's candles in CCXT's rows. */
const truthRows = (id: (typeof EXCHANGES)[number], range: { interval: string; from: number; to: number }) =>
  sandbox.market
    .candles(id, SYMBOLS[id], { ...range, now: NOON })
    .map(({ timestamp, open, high, low, close, volume }) => [timestamp, open, high, low, close, volume]);

describe.each(EXCHANGES)('CCXT against simulated %s', (id) => {
  const symbol = SYMBOLS[id];

  test('loads exactly the markets that are listed, with their precision', () => {
    const listed = sandbox.market.markets(id);
    const markets = client(id).markets!;
    expect(Object.keys(markets).sort()).toEqual(listed.map((market) => market.symbol).sort());
    for (const market of listed) {
      expect(markets[market.symbol]).toMatchObject({
        base: market.base,
        quote: market.quote,
        active: market.active,
        type: 'spot',
      });
      expect(markets[market.symbol]!.precision.price).toBe(Number(`1e-${market.priceDecimals}`));
    }
  });

  test('reads the time', async () => {
    expect(await client(id).fetchTime()).toBe(NOON);
  });

  test('fetches the ticker', async () => {
    const truth = sandbox.market.ticker(id, symbol, NOON);
    const ticker = await client(id).fetchTicker(symbol);
    expect(ticker).toMatchObject({
      symbol,
      last: truth.last,
      bid: truth.bid,
      ask: truth.ask,
      baseVolume: truth.volume,
    });
    if (id !== 'coinbaseexchange') expect(ticker).toMatchObject({ high: truth.high, low: truth.low });
    if (id !== 'kraken') expect(ticker.timestamp).toBe(NOON);
  });

  test('fetches the tickers of all active markets', async () => {
    const tickers = await client(id).fetchTickers();
    for (const market of sandbox.market.markets(id).filter((market) => market.active && !market.thin)) {
      expect(tickers[market.symbol]?.last).toBe(sandbox.market.ticker(id, market.symbol, NOON).last);
    }
  });

  test('fetches the latest candles, the open one last', async () => {
    const rows = await client(id).fetchOHLCV(symbol, '5m', undefined, 200);
    const latest = rows.slice(-200);
    expect(latest).toHaveLength(200);
    expect(latest).toEqual(truthRows(id, { interval: '5m', from: NOON - 200 * 5 * MINUTE, to: NOON }));
  });

  test('fetches pages of candles that fit together without holes or duplicates', async () => {
    const start = Math.floor(NOON / MINUTE) * MINUTE - 600 * MINUTE;
    const pages: number[][] = [];
    for (let since = start; since < start + 500 * MINUTE; since += 250 * MINUTE) {
      pages.push(...((await client(id).fetchOHLCV(symbol, '1m', since, 250)) as number[][]).slice(0, 250));
    }
    expect(pages).toEqual(truthRows(id, { interval: '1m', from: start, to: start + 499 * MINUTE }));
  });

  test('fetches the order book', async () => {
    const book = await client(id).fetchOrderBook(symbol, 100);
    const truth = sandbox.market.book(id, symbol, { time: NOON, depth: 100 });
    const sides = { bids: book.bids.slice(0, 100).map(pair), asks: book.asks.slice(0, 100).map(pair) };
    expect(sides).toEqual(truth);
  });

  test('fetches the latest trades with the side of the taker', async () => {
    const trades = (await client(id).fetchTrades(symbol, undefined, 40)).slice(-40);
    const truth = sandbox.market.trades(id, symbol, { from: NOON - 3_900, to: NOON });
    expect(trades.map(({ timestamp, price, amount, side }) => ({ timestamp, price, amount, side }))).toEqual(
      truth.map(({ timestamp, price, amount, side }) => ({ timestamp, price, amount, side })),
    );
    expect(trades.at(-2)!.id).toBe(truth.at(-2)!.id);
  });

  test('is told of symbols that the venue does not know', async () => {
    const exchange = client(id);
    const market = exchange.market(symbol);
    const known = market.id;
    market.id = 'NOPE-NOPE';
    const error = await exchange.fetchTicker(symbol).catch((reason: unknown) => reason);
    market.id = known;
    expect((error as Error).constructor.name).toBe(
      { binance: 'BadSymbol', kraken: 'ExchangeError', coinbaseexchange: 'OrderNotFound' }[id],
    );
  });
});

const pair = (level: readonly unknown[]): unknown[] => level.slice(0, 2);

describe("the venues' own limits", () => {
  test('Binance gives at most 1000 candles, oldest first, from the listing on', async () => {
    const rows = await client('binance').fetchOHLCV('SOL/USDT', '1d', Date.UTC(2017, 0, 1), 1500);
    expect(rows).toHaveLength(1000);
    expect(rows[0]![0]).toBe(Date.UTC(2020, 7, 11));
  });

  test('Binance honours endTime and gives calendar months', async () => {
    const rows = await client('binance').fetchOHLCV('BTC/USDT', '1M', Date.UTC(2025, 0, 1), 12, {
      until: Date.UTC(2025, 2, 31),
    });
    expect(rows.map((row) => row[0])).toEqual([
      Date.UTC(2025, 0, 1),
      Date.UTC(2025, 1, 1),
      Date.UTC(2025, 2, 1),
    ]);
  });

  test('Kraken gives the latest 720 candles whatever since says', async () => {
    const rows = await client('kraken').fetchOHLCV('BTC/USD', '1h', NOON - 2000 * HOUR);
    expect(rows).toHaveLength(720);
    expect(rows[0]![0]).toBe(Math.floor(NOON / HOUR) * HOUR - 719 * HOUR);
  });

  test('Coinbase refuses more than 300 candles and unknown granularities', async () => {
    const url = `${sandbox.url}/api.exchange.coinbase.com/products/BTC-USD/candles`;
    const iso = (time: number): string => new Date(time).toISOString();
    const many = await fetch(`${url}?granularity=60&start=${iso(NOON - 301 * MINUTE)}&end=${iso(NOON)}`);
    expect(many.status).toBe(400);
    expect(await many.json()).toMatchObject({ message: expect.stringContaining('exceeds 300') as string });
    expect((await fetch(`${url}?granularity=61`)).status).toBe(400);
    expect(await (await fetch(url)).json()).toHaveLength(300);
  });

  test('Coinbase leaves out candles in which nothing traded', async () => {
    const since = Math.floor(NOON / MINUTE) * MINUTE - 299 * MINUTE;
    const rows = await client('coinbaseexchange').fetchOHLCV(THIN_SYMBOL, '1m', since, 300);
    expect(rows.length).toBeGreaterThan(0);
    expect(rows.length).toBeLessThan(300);
  });

  test('Binance lists a halted market as inactive', () => {
    expect(client('binance').market(HALTED_SYMBOL).active).toBe(false);
  });

  test.each([
    ['api.binance.com/api/v3/klines?symbol=BTCUSDT&interval=7m', 400, -1120],
    ['api.binance.com/api/v3/klines?symbol=BTCUSDT&interval=1m&limit=-1', 400, -1100],
    ['api.binance.com/api/v3/klines?interval=1m', 400, -1102],
    ['api.binance.com/api/v3/depth?symbol=NOPE', 400, -1121],
  ])('Binance refuses %s', async (path, status, code) => {
    const answer = await fetch(`${sandbox.url}/${path}`);
    expect(answer.status).toBe(status);
    expect(await answer.json()).toMatchObject({ code });
  });

  test('a host that is not simulated is a 404', async () => {
    expect((await fetch(`${sandbox.url}/api.example.com/x`)).status).toBe(404);
  });
});
