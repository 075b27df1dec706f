/** How much one client may say: buckets of messages and symbols that fill with time, and strikes for what was wrong. */
import type { Millis } from '../../schemas/common.js';
import {
  MAX_STRIKES,
  MESSAGE_BURST,
  MESSAGES_PER_SECOND,
  STRIKES_FORGIVEN_PER_SECOND,
  SYMBOL_BURST,
  SYMBOLS_PER_SECOND,
} from './limits.js';

interface BucketSize {
  readonly burst: number;
  readonly perSecond: number;
}

class Bucket {
  readonly #size: BucketSize;
  #left: number;
  #filledAt: Millis;

  constructor(size: BucketSize, now: Millis) {
    this.#size = size;
    this.#left = size.burst;
    this.#filledAt = now;
  }

  take(count: number, now: Millis): Millis {
    const { burst, perSecond } = this.#size;
    const filled = ((now - this.#filledAt) / 1000) * perSecond;
    this.#left = Math.min(burst, this.#left + Math.max(0, filled));
    this.#filledAt = now;
    if (this.#left < count) return Math.ceil(((count - this.#left) * 1000) / perSecond);
    this.#left -= count;
    return 0;
  }
}

export class Allowance {
  readonly #messages: Bucket;
  readonly #symbols: Bucket;
  readonly #faults: Bucket;

  constructor(now: Millis) {
    this.#messages = new Bucket({ burst: MESSAGE_BURST, perSecond: MESSAGES_PER_SECOND }, now);
    this.#symbols = new Bucket({ burst: SYMBOL_BURST, perSecond: SYMBOLS_PER_SECOND }, now);
    this.#faults = new Bucket({ burst: MAX_STRIKES, perSecond: STRIKES_FORGIVEN_PER_SECOND }, now);
  }

  /** Takes one message; 0 where it was allowed, else how long (ms) until the next one is. */
  take(now: Millis): Millis {
    return this.#messages.take(1, now);
  }

  /** Takes the symbols that a message asks for, all or none; the answer is as for `take`. */
  takeSymbols(count: number, now: Millis): Millis {
    return this.#symbols.take(count, now);
  }

  /** Counts a fault; true where that was one too many. Time forgives: a rare fault never adds up to a close. */
  strike(now: Millis): boolean {
    return this.#faults.take(1, now) > 0;
  }
}
