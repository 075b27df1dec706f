/** One-shot timers, handed in so that no test waits for time to pass. */

export type Millis = number;

export interface Timers {
  /** Runs `run` once, `delay` milliseconds from now; the answer cancels it and may be called at any time. */
  after(delay: Millis, run: () => void): () => void;
}

/** Real time; a pending timer does not keep the process alive. */
export const systemTimers: Timers = {
  after: (delay, run) => {
    const timer = setTimeout(run, delay);
    timer.unref();
    return () => {
      clearTimeout(timer);
    };
  },
};

/** Timers by name: each pending at most once, and all cancelled together. */
export class NamedTimers<Name extends string> {
  readonly #timers: Timers;
  readonly #pending = new Map<Name, () => void>();

  constructor(timers: Timers) {
    this.#timers = timers;
  }

  isArmed(name: Name): boolean {
    return this.#pending.has(name);
  }

  /** In the place of a pending one of this name. */
  arm(name: Name, delay: Millis, run: () => void): void {
    this.cancel(name);
    const cancel = this.#timers.after(delay, () => {
      this.#pending.delete(name);
      run();
    });
    this.#pending.set(name, cancel);
  }

  cancel(name: Name): void {
    this.#pending.get(name)?.();
    this.#pending.delete(name);
  }

  cancelAll(): void {
    for (const cancel of this.#pending.values()) cancel();
    this.#pending.clear();
  }
}
