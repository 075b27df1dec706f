import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { StreamItem } from '../../../src/exchanges/exchange-client.js';
import { eventually, isTrueBook, startRig, VENUES, watchRejections, type Rig } from './rig.js';

const MINUTE_MS = 60_000;

let rig: Rig;
let rejections: ReturnType<typeof watchRejections>;

beforeAll(async () => {
  rejections = watchRejections();
  rig = await startRig();
});

afterAll(async () => {
  await rig.close();
  rejections.stop();
  expect(rejections.seen).toEqual([]);
});

const tickers = (items: readonly StreamItem[]) => items.filter((item) => item.channel === 'ticker');
const books = (items: readonly StreamItem[]) => items.filter((item) => item.channel === 'orderbook');
const tradesOf = (items: readonly StreamItem[]) =>
  items.flatMap((item) => (item.channel === 'trades' ? item.trades : []));
const candlesOf = (items: readonly StreamItem[]) =>
  items.flatMap((item) => (item.channel === 'ohlcv' ? item.candles : []));

describe.each(VENUES)('raw feeds of $exchange', ({ exchange, symbol, other }) => {
  it('tick with bid, ask and last, and the object of the venue itself', async () => {
    const { heard, handle } = rig.watch({ channel: 'ticker', exchange, symbol });
    await heard.more(5);
    handle.close();
    for (const { bid, ask, last, timestamp, rawJson } of tickers(heard.items)) {
      expect(bid).toBeTypeOf('number');
      expect(ask).toBeGreaterThan(bid ?? Infinity);
      expect(last).toBeTypeOf('number');
      expect(Date.now() - timestamp).toBeLessThan(60_000);
      expect(JSON.parse(rawJson)).toBeTypeOf('object');
    }
    expect(await heard.end()).toBeNull();
  });

  it('bring every trade once and in order', async () => {
    const { heard, handle } = rig.watch({ channel: 'trades', exchange, symbol });
    await heard.more(20);
    handle.close();
    const ids = tradesOf(heard.items).map(({ trade_id }) => Number(trade_id));
    // The sandbox numbers trades without holes.
    expect(ids).toEqual(ids.map((_, index) => (ids[0] ?? 0) + index));
    const [first] = tradesOf(heard.items);
    const truth = rig.sandbox.market.trades(exchange, symbol, {
      from: first!.timestamp,
      to: tradesOf(heard.items).at(-1)!.timestamp,
    });
    const sides = new Map(truth.map(({ id, side }) => [id, side]));
    for (const { trade_id, side } of tradesOf(heard.items)) expect(side).toBe(sides.get(trade_id ?? ''));
  });

  it('bring whole top levels of the book, none of them missing', async () => {
    const { heard, handle } = rig.watch({ channel: 'orderbook', exchange, symbol });
    await heard.more(15);
    handle.close();
    expect(books(heard.items).length).toBeGreaterThanOrEqual(15);
    // The first book has no time of the venue's own: it is the market's of a moment ago.
    for (const [index, book] of books(heard.items).entries()) {
      expect(book.bids).toHaveLength(exchange === 'kraken' ? 10 : 20);
      expect(book.asks).toHaveLength(exchange === 'kraken' ? 10 : 20);
      const lagMs = index === 0 ? 3_000 : 100;
      expect(isTrueBook(rig.sandbox, { exchange, symbol }, { ...book, lagMs })).toBe(true);
    }
  });

  it('leave books at most every 100 ms', async () => {
    const { heard, handle } = rig.watch({ channel: 'orderbook', exchange, symbol });
    await heard.more(1);
    const before = Date.now();
    await heard.more(5);
    handle.close();
    expect(Date.now() - before).toBeGreaterThanOrEqual(450);
  });

  it('share few sockets, are unsubscribed one by one, and leave no socket behind', async () => {
    const open = () => rig.sandbox.control.listSockets().filter(({ venue }) => venue === exchange);
    await eventually(() => open().length === 0);
    const watches = [symbol, other].map((one) => rig.watch({ channel: 'ticker', exchange, symbol: one }));
    await Promise.all(watches.map(({ heard }) => heard.more(2)));
    expect(open().flatMap(({ channels }) => channels)).toHaveLength(2);
    expect(open().length).toBeLessThanOrEqual(2);
    watches[0]?.handle.close();
    await eventually(() => open().flatMap(({ channels }) => channels).length === 1);
    await watches[1]?.heard.more(2);
    // What was given back can be subscribed again on the same sockets.
    const again = rig.watch({ channel: 'ticker', exchange, symbol });
    await again.heard.more(2);
    expect(open().flatMap(({ channels }) => channels)).toHaveLength(2);
    again.handle.close();
    watches[1]?.handle.close();
    await eventually(() => open().length === 0);
  });

  it('end with one fault when the socket is closed, and can be opened again', async () => {
    const { heard } = rig.watch({ channel: 'ticker', exchange, symbol });
    await heard.more(2);
    rig.sandbox.control.sockets(exchange, { action: 'terminate' });
    expect(await heard.end()).toMatchObject({ code: 'upstream_unavailable' });
    const again = rig.watch({ channel: 'ticker', exchange, symbol });
    await again.heard.more(2);
    again.handle.close();
  });

  it('refuse an unknown symbol', async () => {
    const { heard } = rig.watch({ channel: 'ticker', exchange, symbol: 'NO/SUCH' });
    expect(await heard.end()).toMatchObject({ code: 'symbol_not_found' });
  });
});

describe.each(VENUES.filter(({ exchange }) => exchange !== 'coinbaseexchange'))(
  'candle feeds of $exchange',
  ({ exchange, symbol }) => {
    it('keep intervals of one symbol apart', async () => {
      const one = rig.watch({ channel: 'ohlcv', exchange, symbol, interval: '1m' });
      await one.heard.more(1);
      const five = rig.watch({ channel: 'ohlcv', exchange, symbol, interval: '5m' });
      await five.heard.more(3);
      await one.heard.more(3);
      const starts = (items: readonly StreamItem[]): number[] =>
        candlesOf(items)
          .filter(({ closed }) => !closed)
          .map(({ timestamp }) => timestamp);
      for (const start of starts(five.heard.items)) expect(start % (5 * MINUTE_MS)).toBe(0);
      const [open] = candlesOf(one.heard.items.slice(-1)).slice(-1);
      const truth = rig.sandbox.market.candles(exchange, symbol, {
        interval: '1m',
        from: open!.timestamp,
        to: open!.timestamp,
        now: Date.now(),
      });
      expect(truth[0]).toMatchObject({ timestamp: open!.timestamp, open: open!.open });
      // One of them gone, the other goes on.
      one.handle.close();
      await five.heard.more(3);
      five.handle.close();
    });
  },
);

describe('a feed that the venue does not have', () => {
  it('ends as not supported', async () => {
    const { heard } = rig.watch({
      channel: 'ohlcv',
      exchange: 'coinbaseexchange',
      symbol: 'BTC/USD',
      interval: '1m',
    });
    expect(await heard.end()).toMatchObject({ code: 'not_supported_by_exchange' });
  });
});
