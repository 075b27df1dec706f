/** At most one value per interval: the first at once, of those that follow too soon the latest, at the interval's end. */
import type { Millis, Timers } from './timers.js';

export interface PacedOptions<T> {
  readonly intervalMs: Millis;
  readonly emit: (value: T) => void;
  /** A monotonic clock. */
  readonly now: () => Millis;
  readonly timers: Timers;
}

export class Paced<T> {
  readonly #options: PacedOptions<T>;
  #pending: { readonly value: T } | null = null;
  #notBefore: Millis = 0;
  #cancel: (() => void) | null = null;

  constructor(options: PacedOptions<T>) {
    this.#options = options;
  }

  push(value: T): void {
    const { now, timers } = this.#options;
    this.#pending = { value };
    if (this.#cancel !== null) return;
    const wait = this.#notBefore - now();
    if (wait <= 0) {
      this.#flush();
      return;
    }
    // A clock that was set back must not hold a value longer than one interval.
    this.#cancel = timers.after(Math.min(wait, this.#options.intervalMs), () => {
      this.#cancel = null;
      this.#flush();
    });
  }

  /** Drops what is pending. */
  close(): void {
    this.#cancel?.();
    this.#cancel = null;
    this.#pending = null;
  }

  #flush(): void {
    const pending = this.#pending;
    if (pending === null) return;
    this.#pending = null;
    this.#notBefore = this.#options.now() + this.#options.intervalMs;
    this.#options.emit(pending.value);
  }
}
