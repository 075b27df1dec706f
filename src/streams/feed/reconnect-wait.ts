/** How long to wait before a feed is opened anew. */
import type { Millis } from '../../schemas/common.js';

const RECONNECT_BASE_MS: Millis = 500;
/** A venue that is back is tried again within this time. */
const RECONNECT_MAX_MS: Millis = 30_000;
/** A connection that lasted so long was healthy: the next reconnect is quick again. */
const STABLE_AFTER_MS: Millis = 10_000;
/** Doubling past this many failures changes nothing. */
const MAX_EXPONENT = 16;

export class ReconnectWait {
  readonly #random: () => number;
  #failures = 0;

  /** `random`: 0 (inclusive) to 1. */
  constructor(random: () => number) {
    this.#random = random;
  }

  /**
   * After a feed that spoke for `livedFor` ms (0 where it never did). Exponential with full jitter, never at once; a
   * `hopeless` request, which the venue calls wrong, is not repeated quickly.
   */
  next({ livedFor, hopeless }: { readonly livedFor: Millis; readonly hopeless: boolean }): Millis {
    if (livedFor >= STABLE_AFTER_MS) this.#failures = 0;
    const exponent = Math.min(this.#failures, MAX_EXPONENT);
    this.#failures += 1;
    const ceiling = hopeless
      ? RECONNECT_MAX_MS
      : Math.min(RECONNECT_MAX_MS, RECONNECT_BASE_MS * 2 ** exponent);
    return ceiling / 10 + this.#random() * ceiling * 0.9;
  }
}
