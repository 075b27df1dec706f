/**
 * Whether the bus is there, as far as a server may conclude it from what it hears: not from what it did not read while it was
 * stalled itself, and not for good right after the bus has come back.
 */
import type { Millis } from '../../schemas/common.js';
import { StallWatch } from '../stall-watch.js';

/** Between two looks. */
export const LOOK_EVERY_MS: Millis = 100;
/** After a stall the bus has so long to answer a beat before it counts as away. */
const GRACE_MS: Millis = 500;
/** However often the process is stalled: a bus without an answer since the first stall is away after this time. */
const MAX_GRACE_MS: Millis = 3_000;
/** A bus that was away is taken for back once it has been there for so long. */
const STABLE_MS: Millis = 4_000;
/** Or for as long as it was away, where that was the first time in so long: feeds are held twice until then. */
const SELDOM_MS: Millis = 60_000;

export interface Presence {
  /** False also right after a stall: what arrived meanwhile is read before the next look. */
  readonly isIn: boolean;
  readonly isAway: boolean;
  /** The bus is back for good, or was never away. */
  readonly mayReturn: boolean;
}

export class BusPresence {
  /** The bus has been there once. */
  hasBeenIn = false;
  readonly #stalls = new StallWatch(LOOK_EVERY_MS);
  #graceUntil: Millis = -Infinity;
  /** null: the bus has been heard since. */
  #graceSince: Millis | null = null;
  /** Since when it is there; null: it is away. */
  #inSince: Millis | null = null;
  /** Since when it is away, or was last. */
  #awaySince: Millis = -Infinity;
  #wasAway = false;
  #stableMs: Millis = STABLE_MS;

  /** `at`: by the monotonic clock. */
  look(isIn: boolean, at: Millis): Presence {
    const { hasStalled, hasUnread } = this.#stalls.look(at);
    if (isIn) this.#graceSince = null;
    if (hasStalled) {
      this.#graceSince ??= at;
      this.#graceUntil = at + GRACE_MS;
    }
    const isInGrace = at < this.#graceUntil && at - (this.#graceSince ?? at) < MAX_GRACE_MS;
    if (isIn) this.#in(at);
    else if (!isInGrace) this.#away(at);
    const mayReturn = isIn && !this.#wasAway;
    return { isIn: isIn && !hasUnread, isAway: !isIn && !isInGrace, mayReturn };
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
