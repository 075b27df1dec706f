import { once } from 'node:events';
import { type Exchange, type OrderBook } from 'ccxt';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { EXCHANGES } from '../../../src/sandbox/listings.js';
import { type Sandbox } from '../../../src/sandbox/sandbox.js';
import { connect, NOON, sandboxAt, SYMBOLS, whileTicking, type Clock } from './ccxt-clients.js';

const TICKER_PARAMS = { binance: { name: 'ticker' }, kraken: {}, coinbaseexchange: {} };
/** The feed of REST's trades: Binance numbers single fills apart. */
const TRADES_PARAMS = { binance: { name: 'aggTrade' }, kraken: {}, coinbaseexchange: {} };
const BOOK_PARAMS = { binance: {}, kraken: {}, coinbaseexchange: { channels: ['level2_batch'] } };

let sandbox: Sandbox;
let clock: Clock;
let exchange: Exchange | undefined;

beforeEach(async () => {
  ({ sandbox, clock } = await sandboxAt(NOON));
});
afterEach(async () => {
  await exchange?.close();
  await sandbox.close();
});

async function open(id: (typeof EXCHANGES)[number]): Promise<Exchange> {
  exchange = connect(id, sandbox);
  await exchange.loadMarkets();
  return exchange;
}

const top = (side: readonly unknown[][], depth: number): unknown[][] =>
  side.slice(0, depth).map((level) => level.slice(0, 2));

/** The moment that a book of CCXT's tells of: Binance's nonce is the number of the 100 ms slot. */
const momentOf = (id: string, book: OrderBook): number =>
  id === 'binance' ? book.nonce! * 100 : (book.timestamp ?? NOON);

describe.each(EXCHANGES)('CCXT watching simulated %s', (id) => {
  const symbol = SYMBOLS[id];

  test('sees tickers that are the truth of their moment', async () => {
    const pro = await open(id);
    for (let i = 0; i < 3; i += 1) {
      const waiting = pro.watchTicker(symbol, TICKER_PARAMS[id]);
      // Kraken's frames carry no time: its snapshot is taken while the clock stands still.
      const ticker = await (id === 'kraken' ? waiting : whileTicking(clock, waiting));
      const truth = sandbox.market.ticker(id, symbol, ticker.timestamp ?? NOON);
      expect(ticker).toMatchObject({ symbol, last: truth.last, bid: truth.bid, ask: truth.ask });
      expect(ticker).toMatchObject({ high: truth.high, low: truth.low, baseVolume: truth.volume });
      if (id === 'kraken') break;
    }
  });

  test('sees every trade once', async () => {
    const pro = await open(id);
    const seen = [];
    while (seen.length < 20) {
      const trades = await whileTicking(
        clock,
        pro.watchTrades(symbol, undefined, undefined, TRADES_PARAMS[id]),
      );
      seen.push(...trades);
    }
    const truth = sandbox.market.trades(id, symbol, {
      from: seen[0]!.timestamp!,
      to: seen.at(-1)!.timestamp!,
    });
    expect(
      seen.map(({ id, timestamp, price, amount, side }) => ({ id, timestamp, price, amount, side })),
    ).toEqual(truth);
  });

  test('keeps an order book that equals the truth after every update', async () => {
    const pro = await open(id);
    const depth = id === 'kraken' ? 10 : 1000;
    for (let i = 0; i < 6; i += 1) {
      const waiting = pro.watchOrderBook(symbol, undefined, BOOK_PARAMS[id]);
      // The snapshot comes first, while the clock stands still: not every venue dates it.
      const live = await (i === 0 ? waiting : whileTicking(clock, waiting));
      const truth = sandbox.market.book(id, symbol, { time: momentOf(id, live), depth });
      expect({ bids: top(live.bids, depth), asks: top(live.asks, depth) }).toEqual(truth);
    }
  });

  test('sees the open candle grow', async () => {
    const pro = await open(id);
    if (!pro.has['watchOHLCV']) return;
    for (let i = 0; i < 2; i += 1) {
      const rows = await whileTicking(clock, pro.watchOHLCV(symbol, '1m'));
      const [timestamp, open, high, low, close] = rows.at(-1)!;
      const range = { interval: '1m', from: timestamp!, to: timestamp! };
      const whole = sandbox.market.candles(id, symbol, { ...range, now: timestamp! + 60_000 })[0]!;
      expect(open).toBe(whole.open);
      expect(high).toBeLessThanOrEqual(whole.high);
      expect(low).toBeGreaterThanOrEqual(whole.low);
      expect(close).toBeLessThanOrEqual(high!);
    }
  });

  test('watches several symbols at once', async () => {
    const pro = await open(id);
    const symbols = sandbox.market
      .markets(id)
      .filter((market) => market.active)
      .map((market) => market.symbol)
      .slice(0, 4);
    // A wake-up of CCXT's returns one of them; its cache has them all.
    while (Object.keys(pro.tickers).length < symbols.length) {
      await whileTicking(clock, pro.watchTickers(symbols, TICKER_PARAMS[id]));
    }
    expect(sandbox.control.counters()).toMatchObject({ sockets: 1, channels: 4 });
  });
});

test('Binance ends a candle with a closed frame before the next one begins', async () => {
  const socket = new WebSocket(`${sandbox.wsUrl}/stream.binance.com:9443/ws/btcusdt@kline_1m`);
  const frames: { k: { t: number; x: boolean; c: string; o: string } }[] = [];
  socket.on('message', (data: Buffer) => frames.push(JSON.parse(data.toString())));
  await once(socket, 'open');
  clock.now = NOON + 29_000;
  await whileTicking(
    clock,
    until(() => frames.some((frame) => frame.k.t > NOON)),
  );
  socket.close();
  const next = frames.findIndex((frame) => frame.k.t > NOON);
  expect(frames[next - 1]!.k.x).toBe(true);
  expect(frames[next]!.k).toMatchObject({ x: false, o: frames[next - 1]!.k.c });
  expect(frames.filter((frame) => frame.k.x)).toHaveLength(1);
});

test('an unsubscribed Binance stream falls silent, and an idle sandbox has no channels', async () => {
  const pro = await open('binance');
  await whileTicking(clock, pro.watchTicker('BTC/USDT', { name: 'ticker' }));
  expect(sandbox.control.counters().channels).toBe(1);
  await pro.unWatchTicker('BTC/USDT', { name: 'ticker' });
  expect(sandbox.control.counters().channels).toBe(0);
});

async function until(done: () => boolean): Promise<void> {
  while (!done()) await new Promise((resolve) => setTimeout(resolve, 2));
}
