/** One subscription of the socket and all who read it: what is missing after a break is fetched before anything newer. */
import { CandlesFlow } from './candles-flow.js';
import { pause, type ProblemError, type Rest } from './rest.js';
import { TradesFlow, type Loss } from './trades-flow.js';
import type { Ohlcv, StreamEvent, Trades } from './types.js';

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
/** Events kept while what was before them is fetched; trades of more of them would be told as missed. */
const MAX_HELD = 10_000;

export interface TopicDeps {
  readonly rest: Rest;
  readonly signal: AbortSignal;
  /** A monotonic clock, in milliseconds. */
  readonly now: () => number;
}

/** The server's words for a feed that does not run as it should. */
export const BROKEN: ReadonlySet<unknown> = new Set(['reconnecting', 'stale', 'polling']);

type Step = () => Promise<void> | undefined;

/** A handler that throws is the program's own fault: it is told so, and neither this client nor other handlers miss anything. */
const call = (handler: () => void): void => {
  try {
    handler();
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
};

export class TopicReaders {
  readonly topic: Topic;
  readonly handlers = new Set<Handlers>();
  readonly #deps: TopicDeps;
  readonly #trades: TradesFlow;
  readonly #candles: CandlesFlow;
  #state: State = 'connecting';
  #error: ProblemError | undefined;
  #missed = 0;
  #eventAt: number | null = null;
  #latest: StreamEvent | null = null;
  #since: string | undefined;
  /** Something may be missing before the next event. */
  #doubt = true;
  /** The same, for the socket was lost: unless the server knows what came meanwhile. */
  #away = false;
  #busy = false;
  #held: Step[] = [];

  constructor(topic: Topic, deps: TopicDeps) {
    const { rest, signal, now } = deps;
    const { exchange, symbol, interval } = topic;
    const deliver = (event: StreamEvent): void => this.#deliver(event);
    this.topic = topic;
    this.#deps = deps;
    this.#trades = new TradesFlow({
      fetch: () => rest<Trades>('/v1/markets/trades', { exchange, symbol, limit: MAX_TRADES }, signal),
      deliver,
      miss: (count) => {
        this.#missed += count;
      },
      pause: (ms) => pause(ms, signal),
      now,
    });
    this.#candles = new CandlesFlow({
      fetch: (since) =>
        rest<Ohlcv>('/v1/markets/ohlcv', { exchange, symbol, interval, since, limit: MAX_CANDLES }, signal),
      deliver,
      now,
    });
  }

  add(handlers: Handlers): void {
    const [latest, { state }] = [this.#latest, this];
    this.handlers.add(handlers);
    if (latest !== null) call(() => handlers.onEvent(latest));
    call(() => handlers.onState?.(state));
  }

  get state(): TopicState {
    const age = this.#eventAt === null ? null : this.#deps.now() - this.#eventAt;
    return { state: this.#state, age, missed: this.#missed, error: this.#error };
  }

  tell(): void {
    const { state } = this;
    for (const { onState } of [...this.handlers]) call(() => onState?.(state));
  }

  become(state: State, error?: ProblemError): void {
    // A feed that comes back has asked the exchange for what it missed, but cannot tell whether it got all of it.
    if (state === 'live' && BROKEN.has(this.#state)) this.#doubt = true;
    if (state === 'disconnected') this.#away = true;
    this.#state = state;
    this.#error = error;
    this.tell();
  }

  /** The id of the latest event: after it the server is to go on. undefined: there is none that it could know. */
  get since(): string | undefined {
    return this.#since;
  }

  /** The server's word on what came after `since`. Of `partial` it names what is lost; `none`: it knows no such event. */
  resumed(known: unknown): void {
    if (known === 'none') this.#since = undefined;
    else this.#away = false;
  }

  /** Rows that the server says this reader has lost. */
  lost(loss: Loss): void {
    this.#do(() => (this.topic.channel === 'ohlcv' ? this.#candles.lost(loss) : this.#trades.lost(loss)));
  }

  receive(event: StreamEvent): void {
    const doubt = this.#doubt || this.#away;
    this.#doubt = this.#away = false;
    if (this.#held.length >= MAX_HELD) {
      // Where trades are not numbered, nothing else would tell; and what comes after this event is not all.
      this.#doubt = true;
      this.#since = undefined;
      return;
    }
    this.#since = event.event_type === 'health' ? undefined : event.id;
    this.#do(() => {
      if (event.event_type === 'trades') return this.#trades.take(event, doubt);
      if (event.event_type === 'ohlcv') return this.#candles.take(event, doubt);
      this.#deliver(event);
      return undefined;
    });
  }

  /** One after the other: what comes while something is fetched waits for it. */
  #do(step: Step): void {
    if (this.#busy) {
      this.#held.push(step);
      return;
    }
    const fetching = step();
    if (fetching !== undefined) void this.#drain(fetching);
  }

  async #drain(fetching: Promise<void>): Promise<void> {
    this.#busy = true;
    await fetching;
    for (let step = this.#held.shift(); step !== undefined; step = this.#held.shift()) await step();
    this.#busy = false;
    this.tell();
  }

  #deliver(event: StreamEvent): void {
    if (event.event_type === 'trades' && event.trades.length === 0 && this.#eventAt !== null) return;
    this.#eventAt = this.#deps.now();
    this.#latest = event;
    for (const handlers of [...this.handlers])
      if (this.handlers.has(handlers)) call(() => handlers.onEvent(event));
  }
}
