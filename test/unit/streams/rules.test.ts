import { describe, expect, it } from 'vitest';
import type { StreamItem } from '../../../src/exchanges/exchange-client.js';
import { OrderBookState, TickerState } from '../../../src/streams/channels/latest-state.js';
import { OhlcvState, TradesState } from '../../../src/streams/channels/sequence-state.js';
import { Paced } from '../../../src/lib/paced.js';
import { systemTimers } from '../../../src/lib/timers.js';
import { createView, hasMoved, percentMove } from '../../../src/streams/view.js';
import { FakeTime, START, candle, tickerItem, trade } from './fakes.js';

const FEED = { via: 'feed', timed: true } as const;
const REST = { via: 'rest', timed: true } as const;

const trades = (...items: ReturnType<typeof trade>[]): StreamItem => ({ channel: 'trades', trades: items });
const candles = (...items: ReturnType<typeof candle>[]): StreamItem => ({ channel: 'ohlcv', candles: items });
const book = (price: number, timestamp = START): StreamItem => ({
  channel: 'orderbook',
  bids: [{ price, amount: 1 }],
  asks: [],
  timestamp,
});

describe('a move', () => {
  it.each([
    { base: 100, last: 100.1, threshold: 0.001, moved: true },
    { base: 100, last: 99.9, threshold: 0.001, moved: true },
    { base: 100, last: 100.0999, threshold: 0.001, moved: false },
    { base: 0.3, last: 0.3003, threshold: 0.001, moved: true },
    { base: null, last: 100, threshold: 0.5, moved: true },
    { base: 0, last: 5, threshold: 0.5, moved: true },
    { base: 0, last: 0, threshold: 0.5, moved: false },
    { base: 100, last: null, threshold: 0, moved: false },
    { base: -10, last: -11, threshold: 0.1, moved: true },
  ])(
    'from $base to $last is an event at threshold $threshold: $moved',
    ({ base, last, threshold, moved }) => {
      expect(hasMoved(base, last, threshold)).toBe(moved);
    },
  );

  it('is told in percent with its sign, as a number that people would write', () => {
    expect(percentMove(100, 100.1)).toBe(0.1);
    expect(percentMove(100, 99.5)).toBe(-0.5);
    expect(percentMove(-10, -11)).toBe(-10);
    expect(percentMove(0, 5)).toBe(0);
    expect(percentMove(null, 5)).toBe(0);
    expect(percentMove(5, null)).toBe(0);
  });
});

describe('items of another channel', () => {
  it('are never taken for news', () => {
    const ticker = tickerItem(1, START);
    expect(new TickerState().accept(trades(), FEED)).toBe('late');
    expect(new TradesState().accept(ticker, FEED)).toBe('late');
    expect(new OrderBookState().accept(ticker, FEED)).toBe('late');
    expect(new OhlcvState().accept(ticker, FEED)).toBe('repeated');
    for (const state of [new TradesState(), new OrderBookState(), new OhlcvState()])
      expect(state.isNews(ticker)).toBe(false);
    expect(new TickerState().isNews(trades())).toBe(false);
    const source = {
      topic: { channel: 'ticker', exchange: 'x', symbol: 'A/B' },
      name: 'x',
      sandbox: false,
    } as const;
    const view = createView({ source, threshold: 0, stats: false, deliver: () => undefined });
    const member = { subscriber: { onEvent: () => undefined } };
    expect(view.publish({ item: trades(), id: '1' })).toBe(0);
    expect(view.join(member, { item: trades(), id: '1' }, undefined)).toBeUndefined();
    const plain = createView({
      source: { ...source, topic: { ...source.topic, channel: 'trades' } },
      threshold: 0,
      stats: false,
      deliver: () => undefined,
    });
    expect(plain.publish({ item: ticker, id: '1' })).toBe(0);
    expect(plain.join(member, { item: ticker, id: '1' }, undefined)).toBeUndefined();
  });
});

describe('trades', () => {
  it('are sorted, and those older than what was first shown are history', () => {
    const state = new TradesState();
    expect(state.snapshot()).toBeNull();
    state.accept(trades(trade('2', START + 2), trade('1', START + 1)), REST);
    expect(state.snapshot()).toEqual(trades(trade('1', START + 1), trade('2', START + 2)));
    expect(state.accept(trades(trade('0', START)), FEED)).toBe('repeated');
    expect(state.isNews(trades(trade('0', START)))).toBe(false);
    expect(state.isNews(trades(trade('3', START + 1)))).toBe(true);
  });

  it('without ids are told apart by their values where batches overlap, and all taken where they can not', () => {
    const state = new TradesState();
    const same = trade(null, START);
    state.accept(trades(same), FEED);
    expect(state.accept(trades(same), FEED)).toEqual(trades(same));
    state.interrupted();
    expect(state.accept(trades(same, trade(null, START + 1)), FEED)).toEqual(trades(trade(null, START + 1)));
    expect(state.accept(trades(same), REST)).toBe('repeated');
  });

  it('tell of the time that REST could not bridge after a break, once', () => {
    const state = new TradesState();
    state.accept(trades(trade('1', START)), REST);
    state.accept(trades(trade('2', START + 10)), FEED);
    state.accept(trades(trade('1', START), trade('2', START + 10)), REST);
    state.accept(trades(trade('3', START + 20)), FEED);
    expect(state.takeGap()).toBeNull();
    state.interrupted();
    state.accept(trades(trade('9', START + 90)), FEED);
    state.accept(trades(trade('8', START + 80), trade('9', START + 90)), REST);
    expect(state.takeGap()).toEqual({ from: START + 20, to: START + 80 });
    expect(state.takeGap()).toBeNull();
    expect(state.takeLost()).toBe(1);
    expect(state.takeLost()).toBe(0);
    // The newcomer's first event is in order although the older trade came later.
    expect(state.snapshot()?.trades.map(({ trade_id }) => trade_id)).toEqual(['1', '2', '3', '8', '9']);
  });

  it('tell of no gap where REST reaches back, and of one between two polls that do not overlap', () => {
    const state = new TradesState();
    state.accept(trades(trade('1', START)), FEED);
    state.interrupted();
    state.interrupted();
    state.accept(trades(trade('1', START), trade('2', START + 10)), REST);
    expect(state.takeGap()).toBeNull();
    state.accept(trades(trade('2', START + 10), trade('3', START + 20)), REST);
    expect(state.takeGap()).toBeNull();
    state.accept(trades(trade('7', START + 70)), REST);
    expect(state.takeGap()).toEqual({ from: START + 20, to: START + 70 });
    state.accept(trades(), REST);
    expect(state.takeGap()).toBeNull();
  });

  it('tell of no gap where REST repeats a known trade under another time', () => {
    const state = new TradesState();
    state.accept(trades(trade('1', START), trade('2', START + 10)), REST);
    state.accept(trades(trade('2', START + 40), trade('3', START + 50)), REST);
    expect(state.takeGap()).toBeNull();
    state.accept(trades(trade('8', START + 80)), REST);
    expect(state.takeGap()).toEqual({ from: START + 50, to: START + 80 });
  });

  it('that a poll or the first batch after a break brings too late are counted, not shown', () => {
    const state = new TradesState();
    state.accept(trades(trade('1', START), trade('4', START + 40)), REST);
    expect(state.accept(trades(trade('2', START + 20), trade('5', START + 50)), REST)).toEqual(
      trades(trade('5', START + 50)),
    );
    expect(state.accept(trades(trade('3', START + 30)), FEED)).toBe('repeated');
    expect(state.takeLost()).toBe(2);
    // From here on the order is the venue's own.
    expect(state.accept(trades(trade('7', START + 70)), FEED)).toEqual(trades(trade('7', START + 70)));
    expect(state.accept(trades(trade('6', START + 60)), FEED)).toEqual(trades(trade('6', START + 60)));
    expect(state.takeLost()).toBe(0);
  });

  it('are remembered up to a bound, and none before it comes again', () => {
    const state = new TradesState();
    for (let id = 0; id < 6000; id += 1) state.accept(trades(trade(String(id), START + id)), FEED);
    state.interrupted();
    const again = Array.from({ length: 6001 }, (_, id) => trade(String(id), START + id));
    // The oldest that is still remembered has the bound's own time; those before it are history.
    expect(state.accept(trades(...again.slice(0, 999), ...again.slice(1000)), FEED)).toEqual(
      trades(trade('6000', START + 6000)),
    );
    expect(state.snapshot()).toMatchObject({ trades: { length: 50 } });
  });
});

describe('order books', () => {
  it('that repeat the last one, or come late over REST, are not shown', () => {
    const state = new OrderBookState();
    expect(state.snapshot()).toBeNull();
    state.accept(book(100, START), FEED);
    expect(state.accept(book(100, START + 1), FEED)).toBe('repeated');
    expect(state.accept(book(99, START - 1), REST)).toBe('late');
    expect(state.accept(book(99, START - 1), { via: 'rest', timed: false })).toEqual(book(99, START - 1));
    // A feed's books come in the order of its connection, whatever clock their times are from.
    expect(state.accept(book(98, START - 2), FEED)).toEqual(book(98, START - 2));
    state.interrupted();
    expect(state.snapshot()).toEqual(book(98, START - 2));
  });

  it('differ where an amount, a level or a side does', () => {
    const state = new OrderBookState();
    const item = (bids: [number, number][], asks: [number, number][]): StreamItem => ({
      channel: 'orderbook',
      bids: bids.map(([price, amount]) => ({ price, amount })),
      asks: asks.map(([price, amount]) => ({ price, amount })),
      timestamp: START,
    });
    for (const next of [item([[1, 1]], []), item([[1, 2]], []), item([[1, 2]], [[2, 1]]), item([], [[2, 1]])])
      expect(state.accept(next, FEED)).toBe(next);
    expect(state.isNews(item([], [[2, 9]]))).toBe(false);
    expect(state.isNews(item([], [[3, 1]]))).toBe(true);
  });
});

describe('candles', () => {
  const minute = 60_000;

  it('that changed nothing are not shown, and older ones are late', () => {
    const state = new OhlcvState();
    expect(state.snapshot()).toBeNull();
    expect(state.accept(candles(), FEED)).toBe('repeated');
    state.accept(candles(candle(START, 1)), FEED);
    expect(state.accept(candles(candle(START, 1)), FEED)).toBe('repeated');
    expect(state.accept(candles(candle(START - minute, 1)), FEED)).toBe('late');
    expect(state.snapshot()).toEqual(candles(candle(START, 1)));
  });

  it('that are closed are final', () => {
    const state = new OhlcvState();
    state.accept(candles(candle(START, 1, { closed: true })), FEED);
    expect(state.accept(candles(candle(START, 2)), FEED)).toBe('repeated');
  });

  it('are closed by the next one, with their last figures, also where these come along with it', () => {
    const state = new OhlcvState();
    state.accept(candles(candle(START, 1)), FEED);
    expect(state.accept(candles(candle(START + minute, 5), candle(START, 2)), FEED)).toEqual(
      candles(candle(START, 2, { closed: true }), candle(START + minute, 5)),
    );
    expect(
      state.accept(candles(candle(START + minute, 6, { closed: true }), candle(START + 2 * minute, 7)), FEED),
    ).toEqual(candles(candle(START + minute, 6, { closed: true }), candle(START + 2 * minute, 7)));
    expect(state.accept(candles(candle(START + 3 * minute, 8)), FEED)).toEqual(
      candles(candle(START + 2 * minute, 7, { closed: true }), candle(START + 3 * minute, 8)),
    );
  });

  it('go on being closed once the open one was updated after a break', () => {
    const state = new OhlcvState();
    state.accept(candles(candle(START, 1)), FEED);
    state.interrupted();
    state.accept(candles(candle(START, 2)), FEED);
    expect(state.accept(candles(candle(START + minute, 3)), FEED)).toEqual(
      candles(candle(START, 2, { closed: true }), candle(START + minute, 3)),
    );
  });

  it('are news where something was traded that is not known', () => {
    const state = new OhlcvState();
    expect(state.isNews(candles(candle(START, 1)))).toBe(false);
    state.accept(candles(candle(START, 1)), FEED);
    expect(state.isNews(candles(candle(START, 1)))).toBe(false);
    expect(state.isNews(candles(candle(START - minute, 9)))).toBe(false);
    expect(state.isNews(candles(candle(START, 1, { volume: 2 })))).toBe(true);
    expect(state.isNews(candles(candle(START, 2, { volume: 1 })))).toBe(true);
    expect(state.isNews(candles(candle(START + minute, 1, { volume: 0 })))).toBe(false);
    expect(state.isNews(candles(candle(START + minute, 1, { volume: null })))).toBe(true);
    expect(state.isNews(candles(candle(START + minute, 1)))).toBe(true);
  });
});

describe('pacing', () => {
  it('sends the first at once, then the latest once an interval, and nothing after its end', async () => {
    const time = new FakeTime();
    const sent: number[] = [];
    const paced = new Paced<number>({
      intervalMs: 100,
      emit: (value) => sent.push(value),
      now: time.monotonic,
      timers: time,
    });
    paced.push(1);
    paced.push(2);
    paced.push(3);
    expect(sent).toEqual([1]);
    await time.advance(100);
    expect(sent).toEqual([1, 3]);
    await time.advance(100);
    paced.push(4);
    paced.push(5);
    expect(sent).toEqual([1, 3, 4]);
    paced.close();
    await time.advance(1000);
    expect(sent).toEqual([1, 3, 4]);
    paced.close();
  });

  it('does not depend on the wall clock', async () => {
    const time = new FakeTime();
    const sent: number[] = [];
    const paced = new Paced<number>({
      intervalMs: 100,
      emit: (value) => sent.push(value),
      now: time.monotonic,
      timers: time,
    });
    paced.push(1);
    time.set(START - 3_600_000);
    paced.push(2);
    await time.advance(100);
    expect(sent).toEqual([1, 2]);
  });
});

describe('real timers', () => {
  it('run once and can be cancelled', async () => {
    const ran: string[] = [];
    await new Promise<void>((resolve) => {
      const cancel = systemTimers.after(0, () => ran.push('cancelled'));
      systemTimers.after(1, () => {
        ran.push('ran');
        resolve();
      });
      cancel();
      // They are unref'd; something has to keep this test's process alive meanwhile.
      setTimeout(resolve, 5_000).unref();
    });
    expect(ran).toEqual(['ran']);
  });
});
