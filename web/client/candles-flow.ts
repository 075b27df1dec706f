/** Candles of one topic: after a break they are read again from the last closed one, before anything newer. */
import { waitAfter } from './rest.js';
import type { Loss } from './trades-flow.js';
import type { Ohlcv, OhlcvEvent } from './types.js';

/** REST gives 2000 candles at once: so many are read after one break. */
const MAX_PAGES = 10;
/** The server may answer from an answer of a moment ago, which knows less than the event. */
const PAUSE_MS = 1000;

export interface CandlesFlowDeps {
  /** Candles from `since` on, over REST. */
  readonly fetch: (since: number) => Promise<Ohlcv>;
  readonly deliver: (event: OhlcvEvent) => void;
  /** A monotonic clock, in milliseconds. */
  readonly now: () => number;
}

export class CandlesFlow {
  readonly #deps: CandlesFlowDeps;
  /** The last closed candle, or the first one at all. */
  #known: number | null = null;
  /** From here on candles are to be read again; the next event tries once more where that failed. */
  #unread: number | null = null;
  #nextTryAt = 0;

  constructor(deps: CandlesFlowDeps) {
    this.#deps = deps;
  }

  /** `doubt`: there was a break before this event. Never rejects. */
  take(event: OhlcvEvent, doubt: boolean): Promise<void> | undefined {
    if (doubt) this.#unread ??= this.#known;
    if (this.#unread !== null && this.#deps.now() >= this.#nextTryAt) return this.#read(event);
    this.#deliver(event);
    return undefined;
  }

  lost({ from = Infinity }: Loss): Promise<void> | undefined {
    this.#unread ??= this.#known === null ? null : Math.min(from, this.#known);
    return this.#unread === null || this.#deps.now() < this.#nextTryAt ? undefined : this.#read(null);
  }

  async #read(event: OhlcvEvent | null): Promise<void> {
    try {
      for (let page = 0; this.#unread !== null && page < MAX_PAGES; page += 1) {
        const {
          exchange,
          symbol,
          interval,
          candles,
          next_since = null,
        } = await this.#deps.fetch(this.#unread);
        if (candles.length > 0) this.#deliver({ event_type: 'ohlcv', exchange, symbol, interval, candles });
        const newest = candles.at(-1);
        const isBehind = newest?.closed === false && newest.timestamp < (event?.candles[0]?.timestamp ?? 0);
        if (isBehind) this.#nextTryAt = this.#deps.now() + PAUSE_MS;
        this.#unread = isBehind ? newest.timestamp : next_since;
        if (isBehind) break;
      }
    } catch (error) {
      // What is unread stays so.
      this.#nextTryAt = this.#deps.now() + waitAfter(error);
    }
    if (event !== null) this.#deliver(event);
  }

  #deliver(event: OhlcvEvent): void {
    for (const { closed, timestamp } of event.candles)
      if (closed || this.#known === null) this.#known = Math.max(this.#known ?? 0, timestamp);
    this.#deps.deliver(event);
  }
}
