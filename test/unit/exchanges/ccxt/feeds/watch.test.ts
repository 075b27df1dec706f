import { AsyncResource } from 'node:async_hooks';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AppError } from '../../../../../src/errors.js';
import type { CcxtExchange } from '../../../../../src/exchanges/ccxt/ccxt-exchange.js';
import { venueQuirks } from '../../../../../src/exchanges/venues/venue-quirks.js';
import { noteAlive } from '../../../../../src/exchanges/ccxt/feeds/connections.js';
import { createOpenWatch } from '../../../../../src/exchanges/ccxt/feeds/watch.js';
import { undoing } from '../../../../../src/exchanges/ccxt/feeds/watch-subscriptions.js';
import type { StreamItem, StreamTopic } from '../../../../../src/exchanges/exchange-client.js';
import { parseInterval } from '../../../../../src/lib/intervals.js';
import { silentLog } from '../../../../../src/log/log.js';
import { FakeTime, START, settle } from '../../../streams/fakes.js';

const URL = 'wss://venue.example/ws';

interface Waiter {
  resolve(value: unknown): void;
  reject(reason: Error): void;
}

/** CCXT's state of one socket: promises by key, keys that are subscribed, frames that were sent. */
class FakeSocket {
  readonly futures: Record<string, Promise<unknown> & Partial<Waiter>> = {};
  readonly subscriptions: Record<string, unknown> = {};
  readonly rejections: string[] = [];
  readonly sent: unknown[] = [];
  readonly #waiters = new Map<string, Waiter>();

  future(hash: string): Promise<unknown> {
    this.futures[hash] ??= new Promise((resolve, reject) => this.#waiters.set(hash, { resolve, reject }));
    return this.futures[hash];
  }

  resolve(hash: string, value: unknown): void {
    this.#waiters.get(hash)?.resolve(value);
    Reflect.deleteProperty(this.futures, hash);
  }

  reject = (reason: Error, hash: string): void => {
    if (!Object.hasOwn(this.futures, hash)) this.rejections.push(hash);
    this.#waiters.get(hash)?.reject(reason);
    Reflect.deleteProperty(this.futures, hash);
  };

  send = (frame: unknown): Promise<void> => {
    this.sent.push(frame);
    return Promise.reject(new Error('the socket is gone'));
  };
}

/** A venue in CCXT's manner whose key for candles lacks the interval, as Kraken's does. */
class FakeExchange {
  readonly socket = new FakeSocket();
  readonly clients: Record<string, unknown> = { [URL]: this.socket };
  readonly options: Record<string, unknown> = { ws: { cost: 2 } };
  readonly tickers: Record<string, unknown> = {};
  readonly ohlcvs: Record<string, Record<string, unknown>> = {};
  /** Calls of a watch method. */
  readonly calls: string[] = [];

  /** What a handler of messages does on some venues; a socket's handlers run in the context in which it was dialled. */
  askForSnapshot: (() => Promise<unknown>) | undefined;

  watch(_url: string, ...[hash, frame, subscribed]: [string, unknown, string]): Promise<unknown> {
    this.askForSnapshot ??= AsyncResource.bind(() =>
      this.watch(URL, 'snapshot', { action: 'getBook' }, 'snapshot'),
    );
    if (!Object.hasOwn(this.socket.subscriptions, subscribed)) this.socket.sent.push(frame);
    this.socket.subscriptions[subscribed] = true;
    return this.socket.future(hash);
  }

  async #subscribe(channel: string, symbol: string): Promise<unknown> {
    this.calls.push(channel);
    await Promise.resolve();
    const hash = `${channel}@${symbol}`;
    return this.watch(URL, hash, { method: 'subscribe', params: { channel, symbol } }, hash);
  }

  watchTicker = (symbol: string): Promise<unknown> => this.#subscribe('ticker', symbol);
  watchTrades = (symbol: string): Promise<unknown> => this.#subscribe('trade', symbol);
  watchOrderBook = (symbol: string): Promise<unknown> => this.#subscribe('book', symbol);
  watchOHLCV = (symbol: string): Promise<unknown> => this.#subscribe('ohlc', symbol);
}

let time: FakeTime;
/** What the venue's clock says more than ours. */
let ahead: number;
let exchange: FakeExchange;
let discarded: number;
let rejections: unknown[];
const onRejection = (reason: unknown): void => void rejections.push(reason);

beforeEach(() => {
  time = new FakeTime();
  ahead = 0;
  exchange = new FakeExchange();
  discarded = 0;
  rejections = [];
  process.on('unhandledRejection', onRejection);
});

afterEach(async () => {
  await new Promise((resolve) => setImmediate(resolve));
  process.off('unhandledRejection', onRejection);
  expect(rejections).toEqual([]);
});

const open = (rest: Partial<StreamTopic> = {}) => {
  const topic: StreamTopic = { channel: 'ticker', exchange: 'venue', symbol: 'BTC/USD', ...rest };
  const items: StreamItem[] = [];
  const ends: (AppError | null)[] = [];
  const sink = {
    onItem: (item: StreamItem) => items.push(item),
    onEnd: (error: AppError | null) => ends.push(error),
  };
  const handle = createOpenWatch(time)(exchange as unknown as CcxtExchange, topic, sink, {
    exchange: topic.exchange,
    quirks: venueQuirks('venue'),
    now: time.now,
    venueNow: () => time.now() + ahead,
    interval: topic.interval === undefined ? undefined : parseInterval(topic.interval),
    monotonic: time.monotonic,
    log: silentLog,
    toAppError: (thrown) => new AppError('upstream_unavailable', (thrown as Error).message),
    upstreamTimeoutMs: 8_000,
    discardInstance: () => (discarded += 1),
  });
  return { items, ends, handle };
};

const ticker = (last: number) => ({
  last,
  bid: last - 1,
  ask: last + 1,
  timestamp: START,
  info: { p: last },
});

const book = (bid: number, ask: number) => ({ bids: [[bid, 1]], asks: [[ask, 1]], timestamp: START });

describe('a watch loop', () => {
  it('shows the last of several tickers that came in one go', async () => {
    const { items } = open();
    await settle();
    exchange.tickers['BTC/USD'] = ticker(3);
    exchange.socket.resolve('ticker@BTC/USD', ticker(1));
    await settle();
    expect(items).toMatchObject([{ last: 3, rawJson: '{"p":3}' }]);
  });

  it("asks CCXT once, and then waits for the next message itself where CCXT's table has what came", async () => {
    const { items, handle, ends } = open();
    await settle();
    for (const last of [1, 2, 3]) {
      exchange.tickers['BTC/USD'] = ticker(last);
      exchange.socket.resolve('ticker@BTC/USD', 'whatever');
      await settle();
    }
    expect(items).toMatchObject([{ last: 1 }, { last: 2 }, { last: 3 }]);
    expect(exchange.calls).toEqual(['ticker']);
    // Where CCXT has forgotten the subscription, waiting would be for ever.
    Reflect.deleteProperty(exchange.socket.subscriptions, 'ticker@BTC/USD');
    exchange.socket.resolve('ticker@BTC/USD', 'whatever');
    await settle();
    expect(exchange.calls).toEqual(['ticker', 'ticker']);
    // As well on a socket that is no more.
    Reflect.deleteProperty(exchange.clients, URL);
    exchange.socket.resolve('ticker@BTC/USD', 'whatever');
    await settle();
    expect(exchange.calls).toEqual(['ticker', 'ticker', 'ticker']);
    exchange.clients[URL] = exchange.socket;
    exchange.socket.resolve('ticker@BTC/USD', 'whatever');
    await settle();
    exchange.socket.reject(new Error('gone'), 'ticker@BTC/USD');
    await settle();
    expect(ends).toMatchObject([{ message: 'gone' }]);
    handle.close();
  });

  it('asks CCXT for every message whose result is in no table', async () => {
    open({ channel: 'trades' });
    await settle();
    for (let round = 0; round < 2; round++) {
      exchange.socket.resolve('trade@BTC/USD', []);
      await settle();
    }
    expect(exchange.calls).toEqual(['trade', 'trade', 'trade']);
  });

  it('subscribes once, unsubscribes when it is closed, and leaves nothing that waits', async () => {
    const { ends, handle } = open();
    await settle();
    exchange.socket.resolve('ticker@BTC/USD', ticker(1));
    await settle();
    handle.close();
    handle.close();
    await settle();
    expect(exchange.socket.sent).toEqual([
      { method: 'subscribe', params: { channel: 'ticker', symbol: 'BTC/USD' } },
      { method: 'unsubscribe', params: { channel: 'ticker', symbol: 'BTC/USD' } },
    ]);
    expect(exchange.socket.subscriptions).toEqual({});
    expect(exchange.socket.futures).toEqual({});
    expect(exchange.socket.rejections).toEqual([]);
    expect(ends).toEqual([null]);
    // The last feed of an instance has left.
    expect(discarded).toBe(1);
  });

  it('ends with its fault and can be opened again on the same instance', async () => {
    const beside = open({ symbol: 'ETH/USD' });
    const { ends } = open();
    await settle();
    exchange.socket.reject(new Error('refused'), 'ticker@BTC/USD');
    await settle();
    expect(ends).toMatchObject([{ code: 'upstream_unavailable' }]);
    expect(discarded).toBe(0);
    const again = open();
    await settle();
    exchange.socket.resolve('ticker@BTC/USD', ticker(7));
    await settle();
    expect(again.items).toMatchObject([{ last: 7 }]);
    expect(beside.ends).toEqual([]);
  });

  it('gives up only itself when it was silent while others spoke, and the instance when all were', async () => {
    open({ symbol: 'ETH/USD' });
    const stuck = open();
    await settle();
    exchange.socket.resolve('ticker@ETH/USD', ticker(1));
    await time.advance(10_000);
    stuck.handle.close();
    expect(discarded).toBe(0);
    const alsoStuck = open();
    await time.advance(10_000);
    alsoStuck.handle.close();
    expect(discarded).toBe(1);
    // One that is closed soon says nothing about the instance.
    const brief = open();
    await settle();
    brief.handle.close();
    expect(discarded).toBe(1);
  });

  it('gives up no instance whose connection answers, though none of its feeds has ever said anything', async () => {
    const beside = open({ channel: 'trades', symbol: 'ETH/USD' });
    const silent = open();
    await settle();
    noteAlive(exchange.socket, time.monotonic);
    await time.advance(10_000);
    silent.handle.close();
    expect(discarded).toBe(0);
    expect(beside.ends).toEqual([]);
    // Its last sign of life is too long ago.
    const later = open();
    await time.advance(20_000);
    later.handle.close();
    expect(discarded).toBe(1);
  });

  it('ends with a bad response for a ticker without any price', async () => {
    const { ends, items } = open();
    await settle();
    exchange.socket.resolve('ticker@BTC/USD', { info: {} });
    await settle();
    expect(ends).toMatchObject([{ code: 'upstream_bad_response' }]);
    expect(items).toEqual([]);
  });

  it('hands over nothing for trades that are none', async () => {
    const { items, ends } = open({ channel: 'trades' });
    await settle();
    exchange.socket.resolve('trade@BTC/USD', []);
    await settle();
    exchange.socket.resolve('trade@BTC/USD', [
      { id: '1', price: 5, amount: 1, side: 'buy', timestamp: START },
    ]);
    await settle();
    exchange.socket.resolve('trade@BTC/USD', 'garbage');
    await settle();
    expect(items).toMatchObject([{ channel: 'trades', trades: [{ trade_id: '1', side: 'buy' }] }]);
    expect(ends).toMatchObject([{ code: 'upstream_bad_response' }]);
  });

  it('copies the live book when it sends it, shows a locked one, and ends where bids and asks cross', async () => {
    const { items, ends } = open({ channel: 'orderbook' });
    await settle();
    exchange.socket.resolve('book@BTC/USD', 'nothing');
    await settle();
    const live = book(10, 11);
    await time.advance(100);
    exchange.socket.resolve('book@BTC/USD', live);
    await settle();
    live.bids = [[9, 2]];
    expect(items).toMatchObject([{ bids: [{ price: 10, amount: 1 }] }]);
    exchange.socket.resolve('book@BTC/USD', live);
    await time.advance(100);
    expect(items).toHaveLength(2);
    live.bids = [[11, 2]];
    exchange.socket.resolve('book@BTC/USD', live);
    await time.advance(100);
    expect(items).toHaveLength(3);
    expect(items[2]).toMatchObject({ bids: [{ price: 11 }], asks: [{ price: 11 }] });
    live.bids = [[12, 2]];
    exchange.socket.resolve('book@BTC/USD', live);
    await time.advance(100);
    expect(items).toHaveLength(3);
    expect(ends).toMatchObject([{ code: 'upstream_bad_response', bookFault: 'crossed' }]);
    expect(ends[0]?.message).toMatch(/^book_integrity: /);
    expect(time.pending).toBe(0);
  });

  it('shows a book that CCXT changed without waking anybody', async () => {
    const live = { ...book(10, 11), nonce: 1 };
    const { items, handle } = open({ channel: 'orderbook' });
    await settle();
    Object.assign(exchange, { orderbooks: { 'BTC/USD': live } });
    exchange.socket.resolve('book@BTC/USD', live);
    await time.advance(5_000);
    expect(items).toHaveLength(1);
    Object.assign(live, { bids: [[9, 2]], nonce: 2 });
    await time.advance(2_000);
    expect(items).toHaveLength(2);
    expect(items[1]).toMatchObject({ bids: [{ price: 9, amount: 2 }] });
    Object.assign(live, { bids: [], asks: [], nonce: undefined });
    await time.advance(5_000);
    expect(items).toHaveLength(2);
    handle.close();
    expect(time.pending).toBe(0);
  });

  it('keeps two intervals of a symbol apart where the venue keys them alike', async () => {
    const minute = open({ channel: 'ohlcv', interval: '1m' });
    const hour = open({ channel: 'ohlcv', interval: '1h' });
    await settle();
    expect(Object.keys(exchange.socket.subscriptions)).toEqual(['ohlc@BTC/USD#1m', 'ohlc@BTC/USD#1h']);
    expect(exchange.socket.sent).toHaveLength(2);
    exchange.ohlcvs['BTC/USD'] = {
      '1h': [
        [START - 3_600_000, 1, 1, 1, 1, 1],
        [START, 2, 2, 2, 2, 2],
      ],
    };
    exchange.socket.resolve('ohlc@BTC/USD', []);
    await settle();
    expect(minute.items).toEqual([]);
    expect(hour.items).toMatchObject([{ candles: [{ closed: true }, { timestamp: START, closed: false }] }]);
    // What both wait for is not taken from the other.
    minute.handle.close();
    await settle();
    expect(Object.keys(exchange.socket.futures)).toEqual(['ohlc@BTC/USD']);
    exchange.socket.resolve('ohlc@BTC/USD', []);
    await time.advance(3_600_000 + 3_000);
    exchange.socket.resolve('ohlc@BTC/USD', []);
    await settle();
    expect(hour.items.at(-1)).toMatchObject({ candles: [{ closed: true }, { closed: true }] });
  });

  it.each([
    ['a clock that is five minutes fast ends no period of the venue', -300_000, 61_000, false],
    ['a clock that is five minutes slow keeps no period open', 300_000, -236_000, true],
  ])('%s', async (...[, difference, age, closed]) => {
    ahead = difference;
    const { items } = open({ channel: 'ohlcv', interval: '1m' });
    await settle();
    exchange.ohlcvs['BTC/USD'] = { '1m': [[time.now() - age, 1, 1, 1, 1, 1]] };
    exchange.socket.resolve('ohlc@BTC/USD', []);
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
    ahead = at - time.now();
    const { items } = open({ channel: 'ohlcv', interval });
    await settle();
    const rows = starts.map((start) =>
      typeof start === 'string' ? Date.parse(start) : at - start * 86_400_000,
    );
    exchange.ohlcvs['BTC/USD'] = { [interval]: rows.map((start) => [start, 1, 1, 1, 1, 1]) };
    exchange.socket.resolve('ohlc@BTC/USD', []);
    await settle();
    expect(items).toMatchObject([{ candles: [{ closed: true }, { closed }] }]);
    if (interval !== '1M') return;
    await time.advance(3_600_000 + 3_000);
    exchange.socket.resolve('ohlc@BTC/USD', []);
    await settle();
    expect(items.at(-1)).toMatchObject({ candles: [{ closed: true }, { closed: true }] });
  });

  it('that is closed before CCXT came to subscribe subscribes nothing, and the next one is not its heir', async () => {
    open().handle.close();
    await settle();
    expect(exchange.socket.subscriptions).toEqual({});
    expect(exchange.socket.sent).toEqual([]);
    const { handle } = open();
    await settle();
    expect(Object.keys(exchange.socket.futures)).toEqual(['ticker@BTC/USD']);
    handle.close();
    expect(exchange.socket.futures).toEqual({});
    expect(exchange.socket.subscriptions).toEqual({});
  });

  it('leaves alone what CCXT asks for on a socket that it dialled, also once it has ended', async () => {
    const dialler = open();
    await settle();
    open({ symbol: 'ETH/USD' });
    await settle();
    dialler.handle.close();
    const snapshot = exchange.askForSnapshot!();
    expect(exchange.socket.sent.at(-1)).toEqual({ action: 'getBook' });
    exchange.socket.resolve('snapshot', 'a book');
    expect(await snapshot).toBe('a book');
    // It is nobody's subscription, to be undone with a feed.
    expect(Object.keys(exchange.socket.subscriptions)).toEqual(['ticker@ETH/USD', 'snapshot']);
  });

  it('forgets candles of an earlier connection, and needs an interval', async () => {
    exchange.ohlcvs['BTC/USD'] = { '1m': [[START, 1, 1, 1, 1, 1]] };
    open({ channel: 'ohlcv', interval: '1m' });
    await settle();
    expect(exchange.ohlcvs['BTC/USD']).toEqual({});
    const { ends } = open({ channel: 'ohlcv' });
    await settle();
    expect(ends).toHaveLength(1);
  });

  it('dials less and less often until data comes, by a count that outlives the instance', async () => {
    open();
    const { ws } = exchange.options as { ws: { cost: number; backoffState: Record<string, unknown> } };
    expect(ws.cost).toBe(2);
    ws.backoffState[URL] = { attempts: 3 };
    await settle();
    exchange = new FakeExchange();
    open();
    const later = exchange.options as { ws: { backoffState: Record<string, unknown> } };
    expect(later.ws.backoffState[URL]).toEqual({ attempts: 3 });
    await settle();
    exchange.socket.resolve('ticker@BTC/USD', ticker(1));
    await settle();
    expect(later.ws.backoffState[URL]).toBeUndefined();
  });
});

describe('the frame that undoes a subscription', () => {
  it.each([
    [
      { method: 'SUBSCRIBE', params: ['a'] },
      { method: 'UNSUBSCRIBE', params: ['a'] },
    ],
    [
      { type: 'subscribe', product_ids: ['a'] },
      { type: 'unsubscribe', product_ids: ['a'] },
    ],
    [
      { op: 'subscribe', args: ['a'] },
      { op: 'unsubscribe', args: ['a'] },
    ],
    [{ action: 'sub' }, { action: 'unsub' }],
  ])('of %j is %j', (frame, expected) => {
    expect(undoing(frame)).toEqual(expected);
  });

  it('is unknown for frames in other forms', () => {
    expect(undoing({ req: 'market.btc' })).toBeUndefined();
    expect(undoing('subscribe')).toBeUndefined();
    expect(undoing(undefined)).toBeUndefined();
  });
});
