import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { START, settle } from '../../../streams/fakes.js';
import { book, ticker, WatchRig } from './watch-rig.js';

let rig: WatchRig;
beforeEach(() => {
  rig = new WatchRig();
});
afterEach(() => rig.end());

describe('what a watch loop reads of CCXT', () => {
  it('shows the last of several tickers that came in one go', async () => {
    const { items } = rig.open();
    await settle();
    rig.exchange.tickers['BTC/USD'] = ticker(3);
    rig.exchange.socket.resolve('ticker@BTC/USD', ticker(1));
    await settle();
    expect(items).toMatchObject([{ last: 3, rawJson: '{"p":3}' }]);
  });

  it('ends with a bad response for a ticker without any price', async () => {
    const { ends, items } = rig.open();
    await settle();
    rig.exchange.socket.resolve('ticker@BTC/USD', { info: {} });
    await settle();
    expect(ends).toMatchObject([{ code: 'upstream_bad_response' }]);
    expect(items).toEqual([]);
  });

  it('hands over nothing for trades that are none', async () => {
    const { items, ends } = rig.open({ channel: 'trades' });
    await settle();
    rig.exchange.socket.resolve('trade@BTC/USD', []);
    await settle();
    rig.exchange.socket.resolve('trade@BTC/USD', [
      { id: '1', price: 5, amount: 1, side: 'buy', timestamp: START },
    ]);
    await settle();
    rig.exchange.socket.resolve('trade@BTC/USD', 'garbage');
    await settle();
    expect(items).toMatchObject([{ channel: 'trades', trades: [{ trade_id: '1', side: 'buy' }] }]);
    expect(ends).toMatchObject([{ code: 'upstream_bad_response' }]);
  });

  it('leaves few trades that it has read in the table', async () => {
    const { items } = rig.open({ channel: 'trades' });
    await settle();
    const trade = (id: number) => ({ id: String(id), price: 5, amount: 1, side: 'buy', timestamp: START });
    const table = Array.from({ length: 300 }, (_, id) => trade(id));
    rig.exchange.trades['BTC/USD'] = Object.assign(table, {
      newUpdatesBySymbol: { 'BTC/USD': 300 },
      clearUpdatesBySymbol: { 'BTC/USD': true },
    });
    rig.exchange.socket.resolve('trade@BTC/USD', table.slice());
    await settle();
    expect(items[0]).toHaveProperty('trades.length', 300);
    expect(table.map(({ id }) => id)).toEqual(Array.from({ length: 100 }, (_, index) => String(200 + index)));
  });

  it('copies the live book when it sends it, shows a locked one, and ends where bids and asks cross', async () => {
    const { items, ends } = rig.open({ channel: 'orderbook' });
    await settle();
    rig.exchange.socket.resolve('book@BTC/USD', 'nothing');
    await settle();
    const live = book(10, 11);
    await rig.time.advance(100);
    rig.exchange.socket.resolve('book@BTC/USD', live);
    await settle();
    live.bids = [[9, 2]];
    expect(items).toMatchObject([{ bids: [{ price: 10, amount: 1 }] }]);
    rig.exchange.socket.resolve('book@BTC/USD', live);
    await rig.time.advance(100);
    expect(items).toHaveLength(2);
    live.bids = [[11, 2]];
    rig.exchange.socket.resolve('book@BTC/USD', live);
    await rig.time.advance(100);
    expect(items).toHaveLength(3);
    expect(items[2]).toMatchObject({ bids: [{ price: 11 }], asks: [{ price: 11 }] });
    live.bids = [[12, 2]];
    rig.exchange.socket.resolve('book@BTC/USD', live);
    await rig.time.advance(100);
    expect(items).toHaveLength(3);
    expect(ends).toMatchObject([{ code: 'upstream_bad_response', bookFault: 'crossed' }]);
    expect(ends[0]?.message).toMatch(/^book_integrity: /);
    expect(rig.time.pending).toBe(0);
  });

  it('shows a book that CCXT changed without waking anybody', async () => {
    const live = { ...book(10, 11), nonce: 1 };
    const { items, handle } = rig.open({ channel: 'orderbook' });
    await settle();
    Object.assign(rig.exchange, { orderbooks: { 'BTC/USD': live } });
    rig.exchange.socket.resolve('book@BTC/USD', live);
    await rig.time.advance(5_000);
    expect(items).toHaveLength(1);
    Object.assign(live, { bids: [[9, 2]], nonce: 2 });
    await rig.time.advance(2_000);
    expect(items).toHaveLength(2);
    expect(items[1]).toMatchObject({ bids: [{ price: 9, amount: 2 }] });
    Object.assign(live, { bids: [], asks: [], nonce: undefined });
    await rig.time.advance(5_000);
    expect(items).toHaveLength(2);
    handle.close();
    expect(rig.time.pending).toBe(0);
  });

  it('keeps two intervals of a symbol apart where the venue keys them alike', async () => {
    const minute = rig.open({ channel: 'ohlcv', interval: '1m' });
    const hour = rig.open({ channel: 'ohlcv', interval: '1h' });
    await settle();
    expect(Object.keys(rig.exchange.socket.subscriptions)).toEqual(['ohlc@BTC/USD#1m', 'ohlc@BTC/USD#1h']);
    expect(rig.exchange.socket.sent).toHaveLength(2);
    rig.exchange.ohlcvs['BTC/USD'] = {
      '1h': [
        [START - 3_600_000, 1, 1, 1, 1, 1],
        [START, 2, 2, 2, 2, 2],
      ],
    };
    rig.exchange.socket.resolve('ohlc@BTC/USD', []);
    await settle();
    expect(minute.items).toEqual([]);
    expect(hour.items).toMatchObject([{ candles: [{ closed: true }, { timestamp: START, closed: false }] }]);
    // What both wait for is not taken from the other.
    minute.handle.close();
    await settle();
    expect(Object.keys(rig.exchange.socket.futures)).toEqual(['ohlc@BTC/USD']);
    rig.exchange.socket.resolve('ohlc@BTC/USD', []);
    await rig.time.advance(3_600_000 + 3_000);
    rig.exchange.socket.resolve('ohlc@BTC/USD', []);
    await settle();
    expect(hour.items.at(-1)).toMatchObject({ candles: [{ closed: true }, { closed: true }] });
  });

  it.each([
    ['a clock that is five minutes fast ends no period of the venue', -300_000, 61_000, false],
    ['a clock that is five minutes slow keeps no period open', 300_000, -236_000, true],
  ])('%s', async (...[, difference, age, closed]) => {
    rig.ahead = difference;
    const { items } = rig.open({ channel: 'ohlcv', interval: '1m' });
    await settle();
    rig.exchange.ohlcvs['BTC/USD'] = { '1m': [[rig.time.now() - age, 1, 1, 1, 1, 1]] };
    rig.exchange.socket.resolve('ohlc@BTC/USD', []);
    await settle();
    expect(items).toMatchObject([{ candles: [{ closed }] }]);
  });

  it.each([
    ['1w', 'weeks of three days', [9.5, 6.5, 3.5], true],
    ['1w', 'weeks of three days', [8.5, 5.5, 2.5], false],
    ['1w', 'weeks', [19, 12, 5], false],
    ['1M', 'months of UTC+8', ['2026-08-31T16:00Z', '2026-09-30T16:00Z', '2026-10-31T16:00Z'], false],
  ])('ends %s when the rows say so: %s', async (...[interval, , starts, closed]) => {
    const at = Date.UTC(2026, 10, 30, 15);
    rig.ahead = at - rig.time.now();
    const { items } = rig.open({ channel: 'ohlcv', interval });
    await settle();
    const rows = starts.map((start) =>
      typeof start === 'string' ? Date.parse(start) : at - start * 86_400_000,
    );
    rig.exchange.ohlcvs['BTC/USD'] = { [interval]: rows.map((start) => [start, 1, 1, 1, 1, 1]) };
    rig.exchange.socket.resolve('ohlc@BTC/USD', []);
    await settle();
    expect(items).toMatchObject([{ candles: [{ closed: true }, { closed }] }]);
    if (interval !== '1M') return;
    await rig.time.advance(3_600_000 + 3_000);
    rig.exchange.socket.resolve('ohlc@BTC/USD', []);
    await settle();
    expect(items.at(-1)).toMatchObject({ candles: [{ closed: true }, { closed: true }] });
  });

  it('reads few candles of a long table, and remembers that a day had an hour more', async () => {
    const DAY = 86_400_000;
    const at = Date.UTC(2026, 10, 30, 15);
    rig.ahead = at - rig.time.now();
    const { items } = rig.open({ channel: 'ohlcv', interval: '1d' });
    await settle();
    // The clock was put back forty days ago; the last day began 24 hours ago and may last one more.
    const starts = Array.from(
      { length: 60 },
      (_, back) => at - 60_000 - (back + 1) * DAY - (back > 40 ? 3_600_000 : 0),
    );
    const table = starts.reverse().map((start) => [start, 1, 1, 1, 1, 1]);
    rig.exchange.ohlcvs['BTC/USD'] = { '1d': table };
    for (const expected of [60, 20]) {
      expect(table).toHaveLength(expected);
      rig.exchange.socket.resolve('ohlc@BTC/USD', []);
      await settle();
      expect(items.at(-1)).toMatchObject({ candles: [{ closed: true }, { closed: false }] });
    }
    expect(table).toHaveLength(20);
  });

  it('empties the table of a feed that ends', async () => {
    const cleared: string[] = [];
    const tableOf = (name: string) => Object.assign([], { clear: () => cleared.push(name) });
    Object.assign(rig.exchange.trades, { 'BTC/USD': tableOf('trades') });
    const trades = rig.open({ channel: 'trades' });
    const minute = rig.open({ channel: 'ohlcv', interval: '1m' });
    await settle();
    rig.exchange.ohlcvs['BTC/USD'] = { '1m': tableOf('1m'), '1h': tableOf('1h') };
    trades.handle.close();
    minute.handle.close();
    expect(cleared).toEqual(['trades', '1m']);
  });

  it('forgets candles of an earlier connection, and needs an interval', async () => {
    rig.exchange.ohlcvs['BTC/USD'] = { '1m': [[START, 1, 1, 1, 1, 1]] };
    rig.open({ channel: 'ohlcv', interval: '1m' });
    await settle();
    expect(rig.exchange.ohlcvs['BTC/USD']).toEqual({});
    const { ends } = rig.open({ channel: 'ohlcv' });
    await settle();
    expect(ends).toHaveLength(1);
  });
});
