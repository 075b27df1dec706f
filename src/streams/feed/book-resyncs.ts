/**
 * How often a live order book may be found wrong before it is polled instead. Each new subscription costs the exchange a
 * snapshot: a book that fails again and again is tried ever more rarely.
 */
import type { Millis } from '../../schemas/common.js';

/** So many failures within the window are one too many. */
const MAX_FAILURES = 3;
const WINDOW_MS: Millis = 60_000;
const POLLED_BASE_MS: Millis = 60_000;
const POLLED_MAX_MS: Millis = 15 * 60_000;
/** A book that was right for so long has begun anew. */
const FORGIVEN_AFTER_MS: Millis = 10 * 60_000;

export class BookResyncs {
  readonly #random: () => number;
  /** Of failures within the window. */
  #times: Millis[] = [];
  /** How often the book was given up for polling. */
  #givenUp = 0;

  /** `random`: 0 (inclusive) to 1. */
  constructor(random: () => number) {
    this.#random = random;
  }

  /**
   * A failure at `now`: how long to poll before the live book is tried again; null where it may be subscribed anew at
   * once. After it was given up once, each failure gives it up, until it was right for ten minutes.
   */
  failed(now: Millis): Millis | null {
    const last = this.#times.at(-1);
    if (last !== undefined && now - last >= FORGIVEN_AFTER_MS) this.#givenUp = 0;
    this.#times = [...this.#times.filter((time) => now - time < FORGIVEN_AFTER_MS), now].slice(-MAX_FAILURES);
    const recent = this.#times.filter((time) => now - time < WINDOW_MS).length;
    if (recent < MAX_FAILURES && this.#givenUp === 0) return null;
    const ceiling = Math.min(POLLED_MAX_MS, POLLED_BASE_MS * 2 ** Math.min(this.#givenUp, 8));
    this.#givenUp += 1;
    return ceiling / 2 + (this.#random() * ceiling) / 2;
  }
}
