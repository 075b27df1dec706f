/**
 * Whether the bus is there, as far as a server may conclude it from what it hears: not from what it missed while it stood still
 * itself, and not for good right after the bus has come back.
 */
import type { Millis } from '../../schemas/common.js';

/** Between two looks. */
export const LOOK_EVERY_MS: Millis = 100;
/** A look that is so late says that this process stood still, and heard nothing meanwhile of what there was to hear. */
const STOOD_STILL_MS: Millis = 250;
/** The bus' answers have so long to arrive then, before it counts as away. */
const EXCUSE_MS: Millis = 500;
/** However often it stands still: so long after it first did, a bus that has not been heard since is away. */
const MAX_EXCUSE_MS: Millis = 3_000;
/** A bus that was away is taken for back once it has been there for so long. */
const STABLE_MS: Millis = 4_000;
/** Or for as long as it was away, where that was the first time in so long: feeds are held twice until then. */
const SELDOM_MS: Millis = 60_000;

export interface Presence {
  /** False also for a moment where this process stood still: what it has not heard is read before the next look. */
  readonly isIn: boolean;
  readonly isAway: boolean;
  /** The bus is back for good, or was never away. */
  readonly mayReturn: boolean;
}

export class BusPresence {
  /** The bus has been there once. */
  hasBeenIn = false;
  #lookedAt: Millis = Infinity;
  #wasLate = false;
  #excusedUntil: Millis = -Infinity;
  /** null: the bus has been heard since. */
  #excusedSince: Millis | null = null;
  /** Since when it is there; null: it is away. */
  #inSince: Millis | null = null;
  /** Since when it is away, or was last. */
  #awaySince: Millis = -Infinity;
  #wasAway = false;
  #stableMs: Millis = STABLE_MS;

  /** `at`: by the monotonic clock. */
  look(isIn: boolean, at: Millis): Presence {
    const stoodStill = at - this.#lookedAt >= LOOK_EVERY_MS + STOOD_STILL_MS;
    this.#lookedAt = at;
    // Where every look is late, waiting for one that is not would be for ever.
    const hasUnread = stoodStill && !this.#wasLate;
    this.#wasLate = stoodStill;
    if (isIn) this.#excusedSince = null;
    if (stoodStill) {
      this.#excusedSince ??= at;
      this.#excusedUntil = at + EXCUSE_MS;
    }
    const isExcused = at < this.#excusedUntil && at - (this.#excusedSince ?? at) < MAX_EXCUSE_MS;
    if (isIn) this.#in(at);
    else if (!isExcused) this.#away(at);
    const mayReturn = isIn && !this.#wasAway;
    return { isIn: isIn && !hasUnread, isAway: !isIn && !isExcused, mayReturn };
  }

  #in(at: Millis): void {
    this.hasBeenIn = true;
    if (this.#inSince === null) {
      this.#inSince = at;
      if (this.#stableMs < STABLE_MS) this.#stableMs = Math.min(STABLE_MS, at - this.#awaySince);
    }
    if (at - this.#inSince >= this.#stableMs) this.#wasAway = false;
  }

  #away(at: Millis): void {
    if (this.#inSince !== null) {
      this.#stableMs = at - this.#awaySince < SELDOM_MS ? STABLE_MS : 0;
      this.#awaySince = at;
    }
    this.#inSince = null;
    this.#wasAway = this.hasBeenIn;
  }
}
