/** Places of lib/open-places.ts, counted by the primary. */
import type { WantedPlace } from '../lib/open-places.js';

/** Places of one kind: how often each item is open; '' stands for those that each count. */
type Pool = Map<string, number>;

const ALL = '';

export class OpenPlaces<Holder> {
  readonly #pools = new Map<string, Pool>();
  /** By the id that a process has given them. */
  readonly #taken = new Map<Holder, Map<number, readonly WantedPlace[]>>();

  /** Takes all; or none, and gives the index of the first that is missing. */
  take(holder: Holder, id: number, wanted: readonly WantedPlace[]): number | null {
    const missing = wanted.findIndex((place) => !this.#isFree(place));
    if (missing >= 0) return missing;
    for (const place of wanted) this.#add(place, 1);
    const taken = this.#taken.get(holder) ?? new Map<number, readonly WantedPlace[]>();
    this.#taken.set(holder, taken.set(id, wanted));
    return null;
  }

  /** Nothing happens where none were taken. */
  giveBack(holder: Holder, id: number): void {
    const taken = this.#taken.get(holder);
    for (const place of taken?.get(id) ?? []) this.#add(place, -1);
    taken?.delete(id);
  }

  /** The process is gone, and what it had open. */
  leave(holder: Holder): void {
    for (const wanted of this.#taken.get(holder)?.values() ?? [])
      for (const place of wanted) this.#add(place, -1);
    this.#taken.delete(holder);
  }

  #isFree({ of, item, most }: WantedPlace): boolean {
    const pool = this.#pools.get(of);
    if (pool === undefined) return most > 0;
    if (item === undefined) return (pool.get(ALL) ?? 0) < most;
    return pool.has(item) || pool.size < most;
  }

  #add({ of, item = ALL }: WantedPlace, by: 1 | -1): void {
    const pool: Pool = this.#pools.get(of) ?? new Map<string, number>();
    const count = (pool.get(item) ?? 0) + by;
    if (count > 0) pool.set(item, count);
    else pool.delete(item);
    if (pool.size > 0) this.#pools.set(of, pool);
    else this.#pools.delete(of);
  }
}
