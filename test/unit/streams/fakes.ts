/** Time, a venue and market data for tests of streams: nothing moves unless a test moves it. */
import { AppError } from '../../../src/errors.js';
import { NO_STATS, type Candle, type Trade } from '../../../src/schemas/market.js';
import type { Channel } from '../../../src/schemas/stream.js';
import type {
  CallOptions,
  ExchangeDescription,
  MarketAnswer,
  MarketRequest,
  StreamItem,
  StreamTopic,
  WatchHandle,
  WatchSink,
} from '../../../src/exchanges/exchange-client.js';
import type { MarketQuery, ServedAnswer } from '../../../src/market-data/market-data-api.js';
import type { SharedEvent, Subscriber } from '../../../src/streams/hub-api.js';
import type { Timers } from '../../../src/lib/timers.js';

export const START = 1_700_000_000_000;

/** Lets everything that waits only for promises run. */
export const settle = async (): Promise<void> => {
  for (let round = 0; round < 30; round += 1) await Promise.resolve();
};

/** A wall clock that a test can set, and a monotonic clock; timers run when a test advances it. */
export class FakeTime implements Timers {
  /** By the clock of durations, which begins far from the wall clock: code that mixes the two fails. */
  #now = 1_000_000;
  /** What the wall clock says more. */
  #ahead = START - 1_000_000;
  readonly #pending = new Set<{ at: number; run: () => void }>();

  /** The wall clock. */
  readonly now = (): number => this.#now + this.#ahead;
  /** The clock of durations, deadlines and timers. */
  readonly monotonic = (): number => this.#now;

  get pending(): number {
    return this.#pending.size;
  }

  after(delay: number, run: () => void): () => void {
    const timer = { at: this.#now + delay, run };
    this.#pending.add(timer);
    return () => {
      this.#pending.delete(timer);
    };
  }

  /** Moves on by `ms`, running what is due in order, each with its promises settled. */
  async advance(ms: number): Promise<void> {
    const until = this.#now + ms;
    await settle();
    for (;;) {
      const [next] = [...this.#pending].filter(({ at }) => at <= until).sort((a, b) => a.at - b.at);
      if (next === undefined) break;
      this.#pending.delete(next);
      this.#now = Math.max(this.#now, next.at);
      next.run();
      await settle();
    }
    this.#now = until;
  }

  /** Sets the wall clock; timers follow the other one. */
  set(now: number): void {
    this.#ahead = now - this.#now;
  }
}

export interface FakeWatch {
  readonly topic: StreamTopic;
  readonly sink: WatchSink;
  closed: boolean;
}

const bodyOf = (value: object): Uint8Array => new TextEncoder().encode(JSON.stringify(value));

/** A venue whose feeds a test speaks for and whose REST answers a test sets. */
export class FakeVenue {
  readonly watches: FakeWatch[] = [];
  readonly requests: { request: MarketRequest; options: CallOptions }[] = [];
  watchable: Channel[] = ['ticker', 'trades', 'orderbook', 'ohlcv'];
  pollable = true;
  bookIntegrity: ExchangeDescription['bookIntegrity'] = 'sequence';
  /** Body of the next answers without exchange and symbol, or the fault. */
  answer: object | Error = {};
  /** Thrown by `watch` itself. */
  watchThrows: Error | null = null;
  describeFault: Error | null = null;
  readonly #time: FakeTime;

  constructor(time: FakeTime) {
    this.#time = time;
  }

  describe = (exchange: string): Promise<ExchangeDescription> => {
    if (this.describeFault !== null) return Promise.reject(this.describeFault);
    const { pollable } = this;
    return Promise.resolve({
      exchange,
      name: exchange,
      capabilities: {
        ticker: pollable,
        ohlcv: pollable,
        orderbook: pollable,
        trades: pollable,
        stream: 'websocket',
      },
      watchable: this.watchable,
      intervals: ['1m'],
      bookIntegrity: this.bookIntegrity,
    });
  };

  watch = (topic: StreamTopic, sink: WatchSink): WatchHandle => {
    if (this.watchThrows !== null) throw this.watchThrows;
    const watch: FakeWatch = { topic, sink, closed: false };
    this.watches.push(watch);
    return {
      close: () => {
        if (watch.closed) return;
        watch.closed = true;
        sink.onEnd(null);
      },
    };
  };

  fetch = (request: MarketRequest, options: CallOptions): Promise<MarketAnswer> => {
    this.requests.push({ request, options });
    if (this.answer instanceof Error) return Promise.reject(this.answer);
    const { exchange, symbol } = request;
    const interval = request.kind === 'ohlcv' ? { interval: request.interval } : {};
    return Promise.resolve({
      body: bodyOf({ exchange, symbol, ...interval, ...this.answer }),
      symbol,
      receivedAt: this.#time.now(),
      closesAt: null,
    });
  };

  /** The watch that is open now. */
  get open(): FakeWatch {
    const open = this.watches.filter(({ closed }) => !closed).at(-1);
    if (open === undefined) throw new Error('no watch is open');
    return open;
  }

  say(item: StreamItem): void {
    this.open.sink.onItem(item);
  }

  tick(last: number | null, timestamp = this.#time.now()): void {
    this.say(tickerItem(last, timestamp));
  }

  /** The subscription was sent on an open connection, which feeds that name the same one share. */
  subscribed(socket = 'socket'): void {
    this.open.sink.onSubscribed?.(socket);
  }

  break(error: AppError | null = new AppError('upstream_unavailable', 'The socket was closed.')): void {
    const { open } = this;
    open.closed = true;
    open.sink.onEnd(error);
  }
}

export const tickerItem = (last: number | null, timestamp: number): StreamItem => ({
  channel: 'ticker',
  bid: last === null ? null : last - 1,
  ask: last === null ? null : last + 1,
  last,
  timestamp,
  stats: NO_STATS,
  rawJson: `{"p":${String(last)}}`,
});

export const tickerBody = (last: number | null, timestamp: number): object => {
  const { channel, rawJson, ...figures } = tickerItem(last, timestamp) as Extract<
    StreamItem,
    { channel: 'ticker' }
  >;
  return { channel, ...figures, raw: JSON.parse(rawJson) as unknown };
};

export const trade = (id: string | null, timestamp: number, price = 100): Trade => ({
  trade_id: id,
  timestamp,
  price,
  amount: 1,
  side: 'buy',
});

export const candle = (timestamp: number, close: number, rest: Partial<Candle> = {}): Candle => ({
  timestamp,
  open: 1,
  high: 9,
  low: 1,
  close,
  volume: close,
  closed: false,
  ...rest,
});

/** Market data that answers with what a test sets; symbols come back in the venue's spelling. */
export class FakeMarketData {
  readonly queries: MarketQuery[] = [];
  answer: object | Error;
  spelling: string | null = null;
  /** Holds answers back until released. */
  gate: Promise<void> | null = null;
  readonly #time: FakeTime;

  constructor(time: FakeTime) {
    this.#time = time;
    this.answer = tickerBody(100, START - 1000);
  }

  readonly signals: (AbortSignal | undefined)[] = [];
  /** Symbols that the exchange's list has. */
  listed: readonly string[] = ['BTC/USDT'];

  lists = (_exchange: string, symbol: string): Promise<boolean> =>
    Promise.resolve(this.listed.includes(symbol));

  get = async (query: MarketQuery, signal?: AbortSignal): Promise<ServedAnswer> => {
    this.queries.push(query);
    this.signals.push(signal);
    if (this.gate !== null) await this.gate;
    if (this.answer instanceof Error) throw this.answer;
    const symbol = this.spelling ?? query.symbol;
    const interval = query.kind === 'ohlcv' ? { interval: query.interval } : {};
    const receivedAt = this.#time.now();
    return {
      body: Buffer.from(bodyOf({ exchange: query.exchange, symbol, ...interval, ...this.answer })),
      etag: '"x"',
      cache: 'MISS',
      receivedAt,
      freshUntil: receivedAt,
      source: 'binance; via=rest',
    };
  };
}

/** A client that keeps what it is handed. */
export class FakeClient implements Subscriber {
  readonly received: SharedEvent[] = [];

  onEvent(event: SharedEvent): void {
    this.received.push(event);
  }

  get events(): Record<string, unknown>[] {
    return this.received.map(({ json }) => JSON.parse(json) as Record<string, unknown>);
  }

  ofType(type: string): Record<string, unknown>[] {
    return this.events.filter((event) => event['event_type'] === type);
  }

  get prices(): unknown[] {
    return this.ofType('ticker').map(({ last }) => last);
  }

  get percents(): unknown[] {
    return this.ofType('ticker').map(({ price_change_percent }) => price_change_percent);
  }

  get states(): unknown[] {
    return this.ofType('status').map(({ state }) => state);
  }
}

/** The SSE id of an event. */
export const idOf = (event: SharedEvent | undefined): string | undefined =>
  /^id: (.*)$/m.exec(event?.sse.toString() ?? '')?.[1];
