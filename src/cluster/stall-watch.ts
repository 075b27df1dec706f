/** Tells from looks that are due at even times whether this process stood still: what arrived meanwhile has not been read then. */
import type { Millis } from '../schemas/common.js';

/** A look that is so late says so. */
const STALLED_MS: Millis = 250;

export class StallWatch {
  readonly #everyMs: Millis;
  #lookedAt: Millis = Infinity;
  #wasLate = false;

  /** `everyMs`: between two looks. */
  constructor(everyMs: Millis) {
    this.#everyMs = everyMs;
  }

  /** `at`: by the monotonic clock. `hasUnread`: once in a row, since on a busy machine every look may be late. */
  look(at: Millis): { readonly hasStalled: boolean; readonly hasUnread: boolean } {
    const hasStalled = at - this.#lookedAt >= this.#everyMs + STALLED_MS;
    const hasUnread = hasStalled && !this.#wasLate;
    this.#lookedAt = at;
    this.#wasLate = hasStalled;
    return { hasStalled, hasUnread };
  }
}
