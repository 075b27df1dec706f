/** Counts requests over the last `windowMs`, exactly when they are sparse and never too few when they are dense. */
import type { Millis } from '../../schemas/common.js';

/** Requests that left together. `at` is the last one's instant: they all leave the window with it. */
export interface WindowEntry {
  readonly at: Millis;
  readonly requests: number;
  /** How many of them were polls. */
  readonly polls: number;
}

/** Requests closer together than this fraction of the window share an entry, which bounds memory and state. */
const ENTRIES_PER_WINDOW = 256;

export class RollingWindow {
  readonly #windowMs: Millis;
  readonly #entries: { since: Millis; at: Millis; requests: number; polls: number }[];
  #requests = 0;
  #polls = 0;

  constructor(windowMs: Millis, restored: readonly WindowEntry[] = []) {
    this.#windowMs = windowMs;
    this.#entries = restored.map((entry) => ({ ...entry, since: entry.at }));
    for (const { requests, polls } of restored) {
      this.#requests += requests;
      this.#polls += polls;
    }
  }

  add(now: Millis, poll: boolean): void {
    this.#forget(now);
    let entry = this.#entries.at(-1);
    if (entry === undefined || now - entry.since >= this.#windowMs / ENTRIES_PER_WINDOW) {
      entry = { since: now, at: now, requests: 0, polls: 0 };
      this.#entries.push(entry);
    }
    entry.at = Math.max(entry.at, now);
    entry.requests += 1;
    this.#requests += 1;
    if (poll) {
      entry.polls += 1;
      this.#polls += 1;
    }
  }

  /** Requests (or polls among them) of the last window. */
  used(now: Millis, of: 'requests' | 'polls' = 'requests'): number {
    this.#forget(now);
    return of === 'requests' ? this.#requests : this.#polls;
  }

  /**
   * The instant at which the `position`-th further request (1: the next one) may leave, so that no window ever holds
   * more than `limit` of them; `now` or earlier where there is room.
   */
  slotAt(position: number, limit: number, { now, of }: { now: Millis; of: 'requests' | 'polls' }): Millis {
    // A place beyond the limit is taken by a request that has yet to leave, one whole window before.
    const laps = Math.floor((position - 1) / limit);
    let toExpire = this.used(now, of) + (position - laps * limit) - limit;
    let at = now;
    for (const entry of this.#entries) {
      if (toExpire <= 0) break;
      toExpire -= entry[of];
      if (entry[of] > 0) at = entry.at + this.#windowMs;
    }
    return at + laps * this.#windowMs;
  }

  entries(now: Millis): readonly WindowEntry[] {
    this.#forget(now);
    return this.#entries.map(({ at, requests, polls }) => ({ at, requests, polls }));
  }

  #forget(now: Millis): void {
    let gone = 0;
    for (const entry of this.#entries) {
      if (entry.at + this.#windowMs > now) break;
      this.#requests -= entry.requests;
      this.#polls -= entry.polls;
      gone += 1;
    }
    if (gone > 0) this.#entries.splice(0, gone);
  }
}
