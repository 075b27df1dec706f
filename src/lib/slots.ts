/** Lets through so many at once; the others wait in their order, and no longer than they may. */
import { steadyNow } from './steady-clock.js';
import type { Millis } from './timers.js';

interface Waiting {
  readonly since: Millis;
  readonly begin: () => void;
  readonly giveUp: () => void;
}

export class Slots {
  #free: number;
  readonly #maxWaitMs: Millis;
  readonly #waiting: Waiting[] = [];

  /** `maxWaitMs`: who has waited so long when a slot is free is rejected instead. */
  constructor(slots: number, maxWaitMs: Millis = Infinity) {
    this.#free = slots;
    this.#maxWaitMs = maxWaitMs;
  }

  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#free === 0)
      await new Promise<void>((begin, reject) => {
        const giveUp = (): void => reject(new Error('Too much else is waiting.'));
        this.#waiting.push({ since: steadyNow(), begin, giveUp });
      });
    else this.#free -= 1;
    try {
      return await work();
    } finally {
      this.#next();
    }
  }

  #next(): void {
    const late = steadyNow() - this.#maxWaitMs;
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) {
      if (next.since >= late) {
        next.begin();
        return;
      }
      next.giveUp();
    }
    this.#free += 1;
  }
}
