/** One subscription of the socket and all who read it: what is missing after a break is fetched before anything newer. */
import type { ProblemError, Rest } from './rest.js';
import { TradesMemory } from './trades-memory.js';
import type { Ohlcv, OhlcvEvent, StreamEvent, Trades, TradesEvent } from './types.js';

export type Channel = 'ticker' | 'trades' | 'orderbook' | 'ohlcv' | 'health';
export interface Topic {
  readonly channel: Channel;
  readonly exchange?: string | undefined;
  readonly symbol?: string | undefined;
  readonly interval?: string | undefined;
  readonly threshold?: number | undefined;
  /** Tickers with the venue's last 24 hours. */
  readonly stats?: boolean | undefined;
}
/** The server's word on the feed; `connecting` and `disconnected` are of the way to the server, `failed` is final. */
export type State = 'connecting' | 'disconnected' | 'live' | 'reconnecting' | 'stale' | 'polling' | 'failed';
export interface TopicState {
  readonly state: State;
  /** Milliseconds since the latest event; null before the first. */
  readonly age: number | null;
  /** Trades that were lost and could not be fetched, since the subscription began; 0: it is complete. */
  readonly missed: number;
  /** Why the state is `failed`. */
  readonly error?: ProblemError | undefined;
}
export interface Handlers {
  readonly onEvent: (event: StreamEvent) => void;
  readonly onState?: ((state: TopicState) => void) | undefined;
}

/** REST's most. */
const MAX_TRADES = 1000;
const MAX_CANDLES = 2000;
/** Events kept while what was before them is fetched; more of them would be told as missed. */
const MAX_HELD = 10_000;

export interface TopicDeps {
  readonly rest: Rest;
  readonly signal: AbortSignal;
  /** A monotonic clock, in milliseconds. */
  readonly now: () => number;
}

export class TopicReaders {
  readonly topic: Topic;
  readonly handlers = new Set<Handlers>();
  readonly #deps: TopicDeps;
  readonly #memory = new TradesMemory();
  #state: State = 'connecting';
  #error: ProblemError | undefined;
  #missed = 0;
  #eventAt: number | null = null;
  #latest: StreamEvent | null = null;
  /** The first event after each opening of the socket closes the hole before it. */
  #isFirst = true;
  #closedUntil: number | null = null;
  /** Begin of candles that could not be read again after a break: the next event tries once more. */
  #unread: number | null = null;
  #filling = false;
  #held: StreamEvent[] = [];

  constructor(topic: Topic, deps: TopicDeps) {
    this.topic = topic;
    this.#deps = deps;
  }

  add(handlers: Handlers): void {
    this.handlers.add(handlers);
    if (this.#latest !== null) handlers.onEvent(this.#latest);
    handlers.onState?.(this.state);
  }

  get state(): TopicState {
    const age = this.#eventAt === null ? null : this.#deps.now() - this.#eventAt;
    return { state: this.#state, age, missed: this.#missed, error: this.#error };
  }

  tell(): void {
    const { state } = this;
    for (const { onState } of this.handlers) onState?.(state);
  }

  become(state: State, error?: ProblemError): void {
    this.#state = state;
    this.#error = error;
    if (state === 'disconnected' || state === 'connecting') this.#isFirst = true;
    this.tell();
  }

  /** Trades that the server says this reader has lost: those that REST still has come late, the others are missed. */
  lost(count: number): void {
    void this.#fill(async () => {
      const found = await this.#fetchTrades();
      this.#deliverTrades(found);
      return Math.max(0, count - found.trades.length);
    }, count);
  }

  receive(event: StreamEvent): void {
    if (this.#filling) {
      if (this.#held.length < MAX_HELD) this.#held.push(event);
      else if (event.event_type === 'trades') this.#missed += event.trades.length;
      return;
    }
    const isFirst = this.#isFirst;
    this.#isFirst = false;
    if (event.event_type === 'trades') this.#receiveTrades(event, isFirst);
    else if (event.event_type === 'ohlcv')
      this.#receiveCandles(event, isFirst ? this.#closedUntil : this.#unread);
    else this.#deliver(event);
  }

  #receiveTrades(event: TradesEvent, isFirst: boolean): void {
    const hole = isFirst && !this.#memory.isEmpty && event.trades.length > 0;
    if (!hole || this.#memory.reaches(event.trades)) {
      this.#deliverTrades({ ...event, trades: this.#memory.takeNew(event.trades) });
      return;
    }
    const missing = this.#memory.missingBefore(event.trades);
    this.#held.push(event);
    void this.#fill(async () => {
      const found = await this.#rawTrades();
      const unbridged = this.#memory.reaches(found.trades) ? 0 : this.#memory.missingBefore(found.trades);
      this.#deliverTrades({ ...event, trades: this.#memory.takeNew(found.trades) });
      return unbridged;
    }, missing);
  }

  async #rawTrades(): Promise<Trades> {
    const { exchange, symbol } = this.topic;
    return this.#deps.rest<Trades>(
      '/v1/markets/trades',
      { exchange, symbol, limit: MAX_TRADES },
      this.#deps.signal,
    );
  }

  async #fetchTrades(): Promise<TradesEvent> {
    const { exchange, symbol, trades } = await this.#rawTrades();
    // Only what stands behind something that was delivered can have been lost.
    const begin = trades.findIndex((trade) => this.#memory.reaches([trade]));
    const since = begin === -1 ? trades : trades.slice(begin);
    return { event_type: 'trades', exchange, symbol, trades: this.#memory.takeNew(since) };
  }

  /** Candles since the last closed one before a break, whole: what closed meanwhile comes before what is newer. */
  #receiveCandles(event: OhlcvEvent, begin: number | null): void {
    const since = this.#unread ?? begin;
    if (since === null) {
      this.#deliver(event);
      return;
    }
    this.#unread = since;
    this.#held.push(event);
    void this.#fill(async () => {
      const { exchange, symbol, interval } = this.topic;
      const query = { exchange, symbol, interval, since, limit: MAX_CANDLES };
      const { candles } = await this.#deps.rest<Ohlcv>('/v1/markets/ohlcv', query, this.#deps.signal);
      this.#unread = null;
      if (candles.length > 0) this.#deliver({ ...event, candles });
      return 0;
    }, 0);
  }

  /** Runs `fetch` while newer events wait; what it resolves with, or else `otherwise`, is missed. Never rejects. */
  async #fill(fetch: () => Promise<number>, otherwise: number): Promise<void> {
    if (this.#filling) {
      this.#missed += otherwise;
      this.tell();
      return;
    }
    this.#filling = true;
    this.#missed += await fetch().catch(() => otherwise);
    this.#filling = false;
    this.tell();
    for (const event of this.#held.splice(0)) {
      if (event.event_type === 'trades')
        this.#deliverTrades({ ...event, trades: this.#memory.takeNew(event.trades) });
      else this.#deliver(event);
    }
  }

  #deliverTrades(event: TradesEvent): void {
    if (event.trades.length > 0 || this.#eventAt === null) this.#deliver(event);
  }

  #deliver(event: StreamEvent): void {
    this.#eventAt = this.#deps.now();
    this.#latest = event;
    if (event.event_type === 'ohlcv')
      for (const { closed, timestamp } of event.candles)
        if (closed) this.#closedUntil = Math.max(this.#closedUntil ?? 0, timestamp);
    for (const { onEvent } of this.handlers) onEvent(event);
  }
}
