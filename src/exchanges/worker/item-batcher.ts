/**
 * Gathers a worker's stream items into batches: one message to the serving thread for many items. A lone feed's item
 * leaves at once; a flood leaves every few milliseconds, tickers and order books conflated to the latest of each watch.
 */
import type { Millis } from '../../schemas/common.js';
import type { StreamItem } from '../exchange-client.js';
import type { WatchedItem } from './protocol.js';

/**
 * Where the last batch held several items, the next waits this long for its companions: venues send their symbols in
 * bursts, and what reaches the serving thread together leaves it in one write a client.
 */
export const COMPANION_WAIT_MS = 1;
/** Batches are at least this far apart. */
export const BATCH_INTERVAL_MS = 4;
/** Batches that may be on their way before the serving thread has told of those that it took. */
export const MAX_UNTAKEN_BATCHES = 16;
/** It tells of so many at once: each message wakes the worker, which costs more than what it says. */
export const TAKEN_AT_ONCE = MAX_UNTAKEN_BATCHES / 2;
/** Items of one watch that may wait; only trades and candles, which are never conflated, can reach it. */
export const MAX_WAITING_ITEMS = 2000;

export interface ItemBatcherDeps {
  readonly now: () => Millis;
  readonly send: (batch: readonly WatchedItem[]) => void;
  /** A watch has outrun its reader for too long; its items are gone and it should end. */
  readonly onOverflow: (watchId: number) => void;
}

export class ItemBatcher {
  readonly #deps: ItemBatcherDeps;
  readonly #waiting = new Map<number, StreamItem[]>();
  #untaken = 0;
  #lastSentAt: Millis = -Infinity;
  #lastSize = 0;
  #timer: NodeJS.Timeout | undefined;
  #immediate: NodeJS.Immediate | undefined;
  #closed = false;

  constructor(deps: ItemBatcherDeps) {
    this.#deps = deps;
  }

  add(watchId: number, item: StreamItem): void {
    if (this.#closed) return;
    let items = this.#waiting.get(watchId);
    if (items === undefined) this.#waiting.set(watchId, (items = []));
    if (item.channel === 'ticker' || item.channel === 'orderbook') items[0] = item;
    else items.push(item);
    if (items.length > MAX_WAITING_ITEMS) {
      this.#waiting.delete(watchId);
      this.#deps.onOverflow(watchId);
      return;
    }
    this.#schedule();
  }

  /** Sends what waits of a watch that ends, so that its last items come before its end. */
  flush(): void {
    this.#unschedule();
    if (this.#waiting.size === 0) return;
    const batch: WatchedItem[] = [];
    for (const [watchId, items] of this.#waiting) for (const item of items) batch.push([watchId, item]);
    this.#waiting.clear();
    this.#lastSize = batch.length;
    this.#untaken += 1;
    this.#lastSentAt = this.#deps.now();
    this.#deps.send(batch);
  }

  taken(batches: number): void {
    this.#untaken = Math.max(0, this.#untaken - batches);
    if (this.#waiting.size > 0) this.#schedule();
  }

  close(): void {
    this.#closed = true;
    this.#unschedule();
    this.#waiting.clear();
  }

  #schedule(): void {
    if (this.#timer !== undefined || this.#immediate !== undefined) return;
    if (this.#untaken >= MAX_UNTAKEN_BATCHES) return;
    const spacing = this.#lastSentAt + BATCH_INTERVAL_MS - this.#deps.now();
    const wait = Math.max(spacing, this.#lastSize > 1 ? COMPANION_WAIT_MS : 0);
    // A timer of 0 ms takes 1; items that come in one turn of the loop go together either way.
    if (wait <= 0) this.#immediate = setImmediate(() => this.flush());
    else this.#timer = setTimeout(() => this.flush(), wait).unref();
  }

  #unschedule(): void {
    clearTimeout(this.#timer);
    clearImmediate(this.#immediate);
    this.#timer = undefined;
    this.#immediate = undefined;
  }
}
