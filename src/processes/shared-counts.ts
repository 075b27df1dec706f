/** What the processes count together: a number a key, which ends with its window. */
import type { Millis } from '../schemas/common.js';
import type { Counted, Total } from './primary-protocol.js';

/** About 150 bytes each; beyond it the longest known are forgotten first. */
const MAX_KEYS = 200_000;

interface Window {
  total: number;
  readonly endsAt: Millis;
}

export class SharedCounts {
  readonly #windows = new Map<string, Window>();
  readonly #monotonic: () => Millis;
  readonly #maxKeys: number;

  constructor({ monotonic, maxKeys = MAX_KEYS }: { monotonic: () => Millis; maxKeys?: number }) {
    this.#monotonic = monotonic;
    this.#maxKeys = maxKeys;
  }

  /** Adds what was counted; gives each key's total, in the same order. */
  add(counted: readonly Counted[]): Total[] {
    const at = this.#monotonic();
    return counted.map(({ key, hits, windowMs, leftMs }) => {
      // Windows of different lengths don't count together.
      const window = this.#windowOf(`${windowMs} ${key}`, at, leftMs);
      window.total += hits;
      return { total: window.total, leftMs: Math.max(1, window.endsAt - at) };
    });
  }

  #windowOf(key: string, at: Millis, leftMs: Millis): Window {
    const known = this.#windows.get(key);
    if (known !== undefined && known.endsAt > at) return known;
    this.#windows.delete(key);
    for (const [oldest, { endsAt }] of this.#windows) {
      if (endsAt > at && this.#windows.size < this.#maxKeys) break;
      this.#windows.delete(oldest);
    }
    const begun = { total: 0, endsAt: at + leftMs };
    this.#windows.set(key, begun);
    return begun;
  }
}
