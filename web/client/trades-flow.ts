/** Trades of one topic, each once and in order: what is missing before an event is fetched first, or counted. */
import { waitAfter } from './rest.js';
import { TradesMemory } from './trades-memory.js';
import type { Trades, TradesEvent } from './types.js';

/** The server may answer from an answer of a moment ago, which ends before the event: it is asked again after that. */
const ATTEMPTS = 3;
const PAUSE_MS = 1100;

export interface TradesFlowDeps {
  /** The venue's latest trades, over REST. */
  readonly fetch: () => Promise<Trades>;
  readonly deliver: (event: TradesEvent) => void;
  /** So many more trades are missing. */
  readonly miss: (count: number) => void;
  /** Resolves early where the client ends. */
  readonly pause: (ms: number) => Promise<void>;
  /** A monotonic clock, in milliseconds. */
  readonly now: () => number;
}

export interface Loss {
  /** Trades; undefined where the server does not know. */
  readonly count?: number | undefined;
  /** Begin of the stretch of which rows are missing, in milliseconds since the epoch. */
  readonly from?: number | undefined;
}

export class TradesFlow {
  readonly #deps: TradesFlowDeps;
  readonly #memory = new TradesMemory();
  /** Before that the server has asked not to be asked. */
  #nextTryAt = 0;

  constructor(deps: TradesFlowDeps) {
    this.#deps = deps;
  }

  /** `doubt`: there was a break before this event. Resolves when the event is delivered; never rejects. */
  take(event: TradesEvent, doubt: boolean): Promise<void> | undefined {
    if (this.#memory.missingBefore(event.trades, doubt) > 0) return this.#fill(event, 0);
    this.#deps.deliver({ ...event, trades: this.#memory.takeNew(event.trades, doubt) });
    return undefined;
  }

  /** The server says that trades are lost before its next event. Never rejects. */
  lost({ count = 1, from }: Loss): Promise<void> | undefined {
    const { isNumbered, isEmpty } = this.#memory;
    // A stretch is told after the server itself has asked REST in vain.
    if (isNumbered || (from === undefined && !isEmpty)) return this.#fill(null, isNumbered ? 0 : count);
    this.#deps.miss(count);
    return undefined;
  }

  /** Fetches what is missing before the event, or (null) until now; of `lost` trades, those that came are not missed. */
  async #fill(event: TradesEvent | null, lost: number): Promise<void> {
    const { deliver, miss, pause } = this.#deps;
    const memory = this.#memory;
    const gap = (): number => (event === null ? 0 : memory.missingBefore(event.trades, true));
    let left = lost;
    for (let attempt = 1; ; attempt += 1) {
      const found = await this.#listed();
      if (found !== null) {
        const { fresh, missing } = memory.takeListed(found.trades);
        left -= fresh.length;
        miss(missing);
        if (fresh.length > 0) deliver({ ...found, event_type: 'trades', trades: fresh });
      }
      if (found === null || gap() === 0 || attempt === ATTEMPTS) break;
      await pause(PAUSE_MS);
    }
    miss(gap() + Math.max(0, left));
    if (event !== null) deliver({ ...event, trades: memory.takeNew(event.trades, true) });
  }

  /** null: the server does not say, or has asked for time, which in a cool-down of the exchange is minutes. */
  async #listed(): Promise<Trades | null> {
    const { fetch, now } = this.#deps;
    if (now() < this.#nextTryAt) return null;
    try {
      return await fetch();
    } catch (error) {
      this.#nextTryAt = now() + waitAfter(error);
      return null;
    }
  }
}
