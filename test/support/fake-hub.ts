/** A hub whose market is the test: it counts subscriptions and sends what it is told to. */
import { likelySymbol } from '../../src/market-data/market-directory.js';
import type {
  HubStats,
  SharedEvent,
  StreamHub,
  SubscribeRequest,
  Subscriber,
  Subscription,
} from '../../src/streams/hub-api.js';
import { createSharedEvent } from '../../src/streams/events.js';

export interface TickerFields {
  readonly symbol?: string;
  readonly last?: number;
}

/** A finished ticker event; `last` tells them apart. */
export const tickerEvent = ({ symbol = 'BTC/USDT', last = 1 }: TickerFields = {}): SharedEvent =>
  createSharedEvent({
    type: 'ticker',
    id: String(last),
    conflationKey: 'ticker',
    json: JSON.stringify({
      event_type: 'ticker',
      exchange: 'binance',
      symbol,
      bid: last - 1,
      ask: last + 1,
      last,
      timestamp: 1_699_000_000_000,
      price_change_percent: 0,
    }),
  });

export const tradesEvent = (ids: readonly string[], symbol = 'BTC/USDT'): SharedEvent =>
  createSharedEvent({
    type: 'trades',
    json: JSON.stringify({
      event_type: 'trades',
      exchange: 'binance',
      symbol,
      trades: ids.map((trade_id) => ({ trade_id, timestamp: 1, price: 1, amount: 1, side: 'buy' })),
    }),
  });

interface Entry {
  readonly request: SubscribeRequest;
  readonly subscriber: Subscriber;
}

export class FakeHub implements StreamHub {
  /** All there ever were, in order. */
  readonly requests: SubscribeRequest[] = [];
  readonly open = new Set<Entry>();
  /** What a new subscriber gets; none by default. */
  snapshot: ((request: SubscribeRequest) => SharedEvent[]) | null = null;
  /** Awaited by each subscribe: may delay it or reject it. */
  gate: (request: SubscribeRequest) => Promise<void> = () => Promise.resolve();
  /** What is said to who names its last event. */
  resumedAfter: string | undefined;
  closed = 0;
  #waiters: { readonly count: number; readonly resolve: () => void }[] = [];

  async subscribe(request: SubscribeRequest, subscriber: Subscriber): Promise<Subscription> {
    this.requests.push(request);
    await this.gate(request);
    const entry = { request, subscriber };
    this.open.add(entry);
    for (const event of this.snapshot?.(request) ?? []) subscriber.onEvent(event);
    this.#changed();
    return {
      symbol: likelySymbol(request.topic.symbol),
      via: 'websocket',
      ...(request.lastEventId === undefined ? {} : { resumedAfter: this.resumedAfter }),
      close: () => {
        if (!this.open.delete(entry)) return;
        this.closed += 1;
        this.#changed();
      },
    };
  }

  /** To every subscriber, or to those of one channel. */
  send(event: SharedEvent, channel?: string): void {
    for (const { request, subscriber } of this.open)
      if (channel === undefined || request.topic.channel === channel) subscriber.onEvent(event);
  }

  /** Resolves when exactly `count` subscriptions are open. */
  opened(count: number): Promise<void> {
    if (this.open.size === count) return Promise.resolve();
    return new Promise((resolve) => this.#waiters.push({ count, resolve }));
  }

  #changed(): void {
    const due = this.#waiters.filter(({ count }) => count === this.open.size);
    this.#waiters = this.#waiters.filter((waiter) => !due.includes(waiter));
    for (const { resolve } of due) resolve();
  }

  stats(): HubStats {
    return {
      topics: 1,
      subscribers: this.open.size,
      eventsIn: 0,
      eventsOut: 0,
      reconnects: 0,
      bookResyncs: [],
      feeds: [],
    };
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
