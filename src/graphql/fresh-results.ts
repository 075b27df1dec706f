/**
 * Results of queries, for the same document with the same variables: executing it again would read the same cached answers
 * and make the same text. They are kept for as long as everything in them is fresh.
 */
import { LRUCache } from 'lru-cache';
import type { Millis } from '../schemas/common.js';
import { MAX_RESULTS, MAX_RESULTS_TEXT } from './limits.js';
import type { UsedAnswer } from './operation-context.js';

/** The text of a response, and the answers that it is made of. */
export interface FreshResult {
  readonly json: string;
  readonly used: readonly UsedAnswer[];
}

interface Entry extends FreshResult {
  readonly storedAt: Millis;
  readonly freshUntil: Millis;
}

export class FreshResults {
  readonly #entries = new LRUCache<string, Entry>({ max: MAX_RESULTS, maxSize: MAX_RESULTS_TEXT });
  readonly #now: () => Millis;

  constructor(now: () => Millis) {
    this.#now = now;
  }

  /** Undefined where there is none, it has expired, or a live stream would answer better by now. */
  find(key: string): FreshResult | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    const at = this.#now();
    // The clock may have been set back.
    if (
      at < entry.freshUntil &&
      at >= entry.storedAt &&
      !entry.used.some(({ isLive }) => isLive?.() === true)
    )
      return entry;
    this.#entries.delete(key);
    return undefined;
  }

  /** Does nothing where a part of the result is live, stale or stored, or has expired. */
  store(key: string, { json, used }: FreshResult): void {
    const storedAt = this.#now();
    const freshUntil = Math.min(...used.map((part) => part.freshUntil));
    const areCached = used.every(({ cache }) => cache === 'HIT' || cache === 'MISS');
    const size = key.length + json.length;
    if (!areCached || freshUntil <= storedAt || size > MAX_RESULTS_TEXT) return;
    const hits = used.map((part) => ({ ...part, cache: 'HIT' as const }));
    this.#entries.set(key, { json, used: hits, storedAt, freshUntil }, { size });
  }
}
