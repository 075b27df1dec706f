/** Asks again and again, at an interval that gives way while the venue or our own budget refuses. */
import type { AppError } from '../../errors.js';
import type { Millis } from '../../schemas/common.js';
import type { Timers } from '../../lib/timers.js';

/** However often a poll is refused, it is tried again within this time. */
const MAX_POLL_INTERVAL_MS: Millis = 60_000;
const STRETCH = 2;

export interface PollerOptions {
  readonly intervalMs: Millis;
  /** One poll; must not reject. Answers the fault where there was one. */
  readonly poll: () => Promise<AppError | null>;
  readonly timers: Timers;
}

export class Poller {
  readonly #options: PollerOptions;
  #interval: Millis;
  #cancel: (() => void) | null = null;
  /** Tells a poll that is under way from those before a stop. */
  #run = 0;
  #active = false;

  constructor(options: PollerOptions) {
    this.#options = options;
    this.#interval = options.intervalMs;
  }

  get active(): boolean {
    return this.#active;
  }

  /** The first poll after `delay`; no effect while active. */
  start(delay: Millis): void {
    if (this.#active) return;
    this.#active = true;
    this.#run += 1;
    this.#interval = this.#options.intervalMs;
    this.#arm(delay, this.#run);
  }

  stop(): void {
    this.#active = false;
    this.#run += 1;
    this.#cancel?.();
    this.#cancel = null;
  }

  #arm(delay: Millis, run: number): void {
    this.#cancel = this.#options.timers.after(delay, () => {
      this.#cancel = null;
      void this.#once(run);
    });
  }

  async #once(run: number): Promise<void> {
    const fault = await this.#options.poll();
    if (run !== this.#run) return;
    const { intervalMs } = this.#options;
    const longest = Math.max(MAX_POLL_INTERVAL_MS, intervalMs);
    this.#interval =
      fault === null
        ? Math.max(intervalMs, this.#interval / STRETCH)
        : Math.min(longest, this.#interval * STRETCH);
    this.#arm(Math.min(longest, Math.max(this.#interval, fault?.retryAfterMs ?? 0)), run);
  }
}
