/**
 * A newcomer's first status. While a feed connects for the first time nothing is wrong: for one second its newcomers are
 * told nothing, and where it speaks within that time, they hear that it is live and of no `reconnecting` before.
 */
import type { Millis } from '../schemas/common.js';
import type { Timers } from '../lib/timers.js';

const HELD_MS: Millis = 1_000;

export class FirstStatus {
  /** Of each newcomer that has not been told: how it is. Empty once the second is over. */
  readonly #untold = new Map<object, () => void>();
  readonly #cancel: () => void;
  #holding = true;

  constructor(timers: Timers) {
    this.#cancel = timers.after(HELD_MS, () => {
      this.end();
    });
  }

  /** Runs `tell` when it is time, at once perhaps; `newcomer` names it. */
  welcome(newcomer: object, tell: () => void): void {
    if (this.#holding) this.#untold.set(newcomer, tell);
    else tell();
  }

  /** The newcomer has left. */
  forget(newcomer: object): void {
    this.#untold.delete(newcomer);
  }

  /** Tells all who wait; whoever comes later is told at once. Returns those who were told. */
  end(): ReadonlySet<object> {
    this.#holding = false;
    this.#cancel();
    const told = new Set(this.#untold.keys());
    for (const tell of this.#untold.values()) tell();
    this.#untold.clear();
    return told;
  }

  /** Nobody is told anything any more. */
  close(): void {
    this.#cancel();
    this.#untold.clear();
  }
}
