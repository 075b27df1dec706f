/**
 * The primary's side of access/window-leases.ts: hits of each window, and how many of those that are left each process may
 * use without asking. Both together are never more than the limit.
 */
import { settleWithin } from '../lib/deadline.js';
import type { Millis } from '../schemas/common.js';
import type {
  LeaseAnswer,
  LeaseQuestion,
  ReturnedLease,
  UsedOfWindow,
  WindowName,
} from '../lib/lease-messages.js';

/** About 200 bytes each; beyond it the longest known are forgotten first. */
const MAX_WINDOWS = 200_000;
/** What a process does not give back by then stays with it: it hangs. */
const RECALL_MS: Millis = 100;

/** A process that uses windows. */
export interface LeaseHolder {
  recall(windows: readonly WindowName[]): Promise<readonly ReturnedLease[]>;
}

interface Window {
  total: number;
  readonly endsAt: Millis;
  readonly leases: Map<LeaseHolder, number>;
}

const nameOf = ({ key, windowMs }: WindowName): string => `${windowMs} ${key}`;
const leaseOf = ({ leases }: Window, holder: LeaseHolder): number => leases.get(holder) ?? 0;

const setLease = ({ leases }: Window, holder: LeaseHolder, lease: number): void => {
  if (lease > 0) leases.set(holder, lease);
  else leases.delete(holder);
};

const freeOf = ({ total, leases }: Window, requests: number): number => {
  let free = requests - total;
  for (const lease of leases.values()) free -= lease;
  return Math.max(0, free);
};

export interface WindowLeasesOptions {
  /** Processes that may come to hold something. */
  readonly holders: () => number;
  readonly monotonic: () => Millis;
  readonly maxWindows?: number;
}

export class WindowLeases {
  readonly #options: WindowLeasesOptions;
  readonly #windows = new Map<string, Window>();

  constructor(options: WindowLeasesOptions) {
    this.#options = options;
  }

  /** In the same order. */
  async ask(holder: LeaseHolder, questions: readonly LeaseQuestion[]): Promise<LeaseAnswer[]> {
    for (const question of questions) {
      const window = this.#windowOf(question);
      if (question.isNew) window.leases.delete(holder);
      this.#used(holder, window, question);
    }
    const short = questions.filter((question) => {
      const window = this.#windowOf(question);
      return question.wanted > freeOf(window, question.requests) && window.total < question.requests;
    });
    if (short.length > 0) await this.#recall(holder, short);
    return questions.map((question) => this.#grant(holder, question));
  }

  /** The process is gone: what it held is free. */
  leave(holder: LeaseHolder): void {
    for (const { leases } of this.#windows.values()) leases.delete(holder);
  }

  #used(holder: LeaseHolder, window: Window, { hits, leased }: UsedOfWindow): void {
    window.total += hits;
    setLease(window, holder, leaseOf(window, holder) - leased);
  }

  #grant(holder: LeaseHolder, question: LeaseQuestion): LeaseAnswer {
    const { requests, wanted } = question;
    const window = this.#windowOf(question);
    const free = freeOf(window, requests);
    const granted = Math.min(free, wanted);
    const lease = leaseOf(window, holder);
    // Half of what is left is for all processes to use unasked: whoever comes next finds some of the other half.
    const most = Math.floor((free - granted) / (2 * Math.max(1, this.#options.holders())));
    const ahead = Math.max(0, most - lease);
    setLease(window, holder, lease + granted + ahead);
    const leftMs = Math.max(1, window.endsAt - this.#options.monotonic());
    return { total: window.total, leftMs, granted, ahead };
  }

  /** Calls back what other processes hold of windows. */
  async #recall(asker: LeaseHolder, names: readonly WindowName[]): Promise<void> {
    const held = new Map<LeaseHolder, WindowName[]>();
    for (const { key, windowMs } of names)
      for (const holder of this.#windowOf({ key, windowMs }).leases.keys()) {
        if (holder === asker) continue;
        const some = held.get(holder);
        if (some === undefined) held.set(holder, [{ key, windowMs }]);
        else some.push({ key, windowMs });
      }
    await Promise.all([...held].map(([holder, windows]) => this.#recallFrom(holder, windows)));
  }

  async #recallFrom(holder: LeaseHolder, names: readonly WindowName[]): Promise<void> {
    const giveUp = (): Error => new Error('The process does not answer.');
    const returning = holder.recall(names).then((returned) => {
      // Also what comes late counts.
      names.forEach((name, index) => {
        const { hits = 0, leased = 0, returned: back = 0 } = returned[index] ?? {};
        this.#used(holder, this.#windowOf(name), { hits, leased: leased + back });
      });
    });
    await settleWithin(returning, { ms: RECALL_MS, giveUp }).catch(() => undefined);
  }

  #windowOf(name: WindowName): Window {
    const { monotonic, maxWindows = MAX_WINDOWS } = this.#options;
    const at = monotonic();
    const known = this.#windows.get(nameOf(name));
    if (known !== undefined && known.endsAt > at) return known;
    this.#windows.delete(nameOf(name));
    for (const [oldest, { endsAt }] of this.#windows) {
      if (endsAt > at && this.#windows.size < maxWindows) break;
      this.#windows.delete(oldest);
    }
    const begun: Window = { total: 0, endsAt: at + name.windowMs, leases: new Map() };
    this.#windows.set(nameOf(name), begun);
    return begun;
  }
}
