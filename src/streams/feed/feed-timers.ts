/** The timers of one feed by name: each pending at most once, and all cancelled together. */
import type { Millis } from '../../schemas/common.js';
import type { Timers } from '../../lib/timers.js';

export type TimerName =
  'first' | 'subscribed' | 'idle' | 'reconnect' | 'fallback' | 'stale' | 'hold' | 'catch-up';

export class FeedTimers {
  readonly #timers: Timers;
  readonly #pending = new Map<TimerName, () => void>();

  constructor(timers: Timers) {
    this.#timers = timers;
  }

  isArmed(name: TimerName): boolean {
    return this.#pending.has(name);
  }

  /** In the place of a pending one of this name. */
  arm(name: TimerName, delay: Millis, run: () => void): void {
    this.cancel(name);
    const cancel = this.#timers.after(delay, () => {
      this.#pending.delete(name);
      run();
    });
    this.#pending.set(name, cancel);
  }

  cancel(name: TimerName): void {
    this.#pending.get(name)?.();
    this.#pending.delete(name);
  }

  cancelAll(): void {
    for (const cancel of this.#pending.values()) cancel();
    this.#pending.clear();
  }
}
