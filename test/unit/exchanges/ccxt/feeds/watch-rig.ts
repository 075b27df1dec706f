/** A venue in CCXT's manner for watch loops: promises by key, subscriptions, frames that were sent. */
import { AsyncResource } from 'node:async_hooks';
import { expect } from 'vitest';
import { AppError } from '../../../../../src/errors.js';
import type { CcxtExchange } from '../../../../../src/exchanges/ccxt/ccxt-exchange.js';
import { venueQuirks } from '../../../../../src/exchanges/venues/venue-quirks.js';
import { createOpenWatch } from '../../../../../src/exchanges/ccxt/feeds/watch.js';
import type { StreamItem, StreamTopic } from '../../../../../src/exchanges/exchange-client.js';
import { parseInterval } from '../../../../../src/lib/intervals.js';
import { silentLog } from '../../../../../src/log/log.js';
import { FakeTime, START } from '../../../streams/fakes.js';

export const SOCKET_URL = 'wss://venue.example/ws';

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
export class FakeExchange {
  readonly socket = new FakeSocket();
  /** Resolves when the socket is open and its queue lets a frame pass. */
  open: Promise<void> = Promise.resolve();
  readonly clients: Record<string, unknown> = { [SOCKET_URL]: this.socket };
  readonly options: Record<string, unknown> = { ws: { cost: 2 } };
  readonly tickers: Record<string, unknown> = {};
  readonly ohlcvs: Record<string, Record<string, unknown>> = {};
  readonly trades: Record<string, unknown> = {};
  /** Calls of a watch method. */
  readonly calls: string[] = [];

  /** What a handler of messages does on some venues; a socket's handlers run in the context in which it was dialled. */
  askForSnapshot: (() => Promise<unknown>) | undefined;

  watch(_url: string, ...[hash, frame, subscribed]: [string, unknown, string]): Promise<unknown> {
    this.askForSnapshot ??= AsyncResource.bind(() =>
      this.watch(SOCKET_URL, 'snapshot', { action: 'getBook' }, 'snapshot'),
    );
    if (!Object.hasOwn(this.socket.subscriptions, subscribed))
      this.open.then(() => this.socket.send(frame)).catch(() => undefined);
    this.socket.subscriptions[subscribed] = true;
    return this.socket.future(hash);
  }

  async #subscribe(channel: string, symbol: string): Promise<unknown> {
    this.calls.push(channel);
    await Promise.resolve();
    const hash = `${channel}@${symbol}`;
    return this.watch(SOCKET_URL, hash, { method: 'subscribe', params: { channel, symbol } }, hash);
  }

  watchTicker = (symbol: string): Promise<unknown> => this.#subscribe('ticker', symbol);
  watchTrades = (symbol: string): Promise<unknown> => this.#subscribe('trade', symbol);
  watchOrderBook = (symbol: string): Promise<unknown> => this.#subscribe('book', symbol);
  watchOHLCV = (symbol: string): Promise<unknown> => this.#subscribe('ohlc', symbol);
}

/** One test's venue and time; `end` fails where a rejection was caught by nobody. */
export class WatchRig {
  readonly time = new FakeTime();
  /** What the venue's clock says more than ours. */
  ahead = 0;
  exchange = new FakeExchange();
  discarded = 0;
  readonly #rejections: unknown[] = [];
  readonly #onRejection = (reason: unknown): void => void this.#rejections.push(reason);

  constructor() {
    process.on('unhandledRejection', this.#onRejection);
  }

  async end(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    process.off('unhandledRejection', this.#onRejection);
    expect(this.#rejections).toEqual([]);
  }

  open(rest: Partial<StreamTopic> = {}) {
    const topic: StreamTopic = { channel: 'ticker', exchange: 'venue', symbol: 'BTC/USD', ...rest };
    const items: StreamItem[] = [];
    const ends: (AppError | null)[] = [];
    const sink = {
      onItem: (item: StreamItem) => items.push(item),
      onEnd: (error: AppError | null) => ends.push(error),
    };
    const { time } = this;
    const handle = createOpenWatch(time)(this.exchange as unknown as CcxtExchange, topic, sink, {
      exchange: topic.exchange,
      quirks: venueQuirks('venue'),
      now: time.now,
      venueNow: () => time.now() + this.ahead,
      interval: topic.interval === undefined ? undefined : parseInterval(topic.interval),
      monotonic: time.monotonic,
      log: silentLog,
      toAppError: (thrown) => new AppError('upstream_unavailable', (thrown as Error).message),
      upstreamTimeoutMs: 8_000,
      discardInstance: () => (this.discarded += 1),
    });
    return { items, ends, handle };
  }
}

export const ticker = (last: number) => ({
  last,
  bid: last - 1,
  ask: last + 1,
  timestamp: START,
  info: { p: last },
});

export const book = (bid: number, ask: number) => ({ bids: [[bid, 1]], asks: [[ask, 1]], timestamp: START });
