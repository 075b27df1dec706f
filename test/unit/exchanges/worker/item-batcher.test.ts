import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { StreamItem } from '../../../../src/exchanges/exchange-client.js';
import {
  BATCH_INTERVAL_MS,
  COMPANION_WAIT_MS,
  ItemBatcher,
  MAX_WAITING_ITEMS,
} from '../../../../src/exchanges/worker/serve-worker.js';
import { MAX_UNTAKEN_BATCHES } from '../../../../src/exchanges/worker/protocol.js';
import type { WatchedItem } from '../../../../src/exchanges/worker/protocol.js';
import { tickerItem } from './fake-venue.js';

const trades = (price: number): StreamItem => ({
  channel: 'trades',
  trades: [{ trade_id: null, timestamp: 1, price, amount: 1, side: null }],
});
const book = (timestamp: number): StreamItem => ({ channel: 'orderbook', bids: [], asks: [], timestamp });

const start = () => {
  const batches: (readonly WatchedItem[])[] = [];
  const overflows: number[] = [];
  const batcher = new ItemBatcher({
    now: Date.now,
    send: (batch) => void batches.push(batch),
    onOverflow: (watchId) => void overflows.push(watchId),
  });
  return { batcher, batches, overflows };
};

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  expect(vi.getTimerCount()).toBe(0);
  vi.useRealTimers();
});

describe('batches of stream items', () => {
  it('send a quiet feed’s item at once', () => {
    const { batcher, batches } = start();
    batcher.add(1, tickerItem(1));
    vi.advanceTimersByTime(0);
    expect(batches).toEqual([[[1, tickerItem(1)]]]);
  });

  it('wait a moment for the rest of a burst where the last batch was one, and no longer once it was not', () => {
    const { batcher, batches } = start();
    const burst = (at: number) => {
      vi.advanceTimersByTime(BATCH_INTERVAL_MS);
      batcher.add(1, tickerItem(at));
      vi.advanceTimersByTime(0);
      batcher.add(2, tickerItem(at));
      vi.advanceTimersByTime(COMPANION_WAIT_MS);
    };
    batcher.add(1, tickerItem(0));
    batcher.add(2, tickerItem(0));
    vi.advanceTimersByTime(0);
    burst(1);
    expect(batches.map((batch) => batch.length)).toEqual([2, 2]);
    for (const at of [2, 3]) {
      vi.advanceTimersByTime(BATCH_INTERVAL_MS);
      batcher.add(1, tickerItem(at));
      vi.advanceTimersByTime(at === 2 ? COMPANION_WAIT_MS : 0);
    }
    expect(batches.map((batch) => batch.length)).toEqual([2, 2, 1, 1]);
  });

  it('are few in a flood, with the latest ticker and book of each watch and every trade in order', () => {
    const { batcher, batches } = start();
    for (let i = 0; i < 1000; i += 1) {
      batcher.add(1, tickerItem(i));
      batcher.add(2, book(i));
      batcher.add(3, trades(i));
      if (i % 10 === 9) vi.advanceTimersByTime(1);
      batcher.taken(1);
    }
    batcher.flush();
    expect(batches.length).toBeLessThan(100 / BATCH_INTERVAL_MS + 3);
    const items = batches.flat();
    expect(items.filter(([watchId]) => watchId === 1).at(-1)?.[1]).toEqual(tickerItem(999));
    expect(items.filter(([watchId]) => watchId === 2).at(-1)?.[1]).toEqual(book(999));
    expect(items.filter(([watchId]) => watchId === 1).length).toBe(batches.length);
    expect(items.filter(([watchId]) => watchId === 3).map(([, item]) => item)).toEqual(
      Array.from({ length: 1000 }, (_, price) => trades(price)),
    );
  });

  it('wait for a reader that takes none, and go on when it does', () => {
    const { batcher, batches } = start();
    for (let i = 0; i < MAX_UNTAKEN_BATCHES + 5; i += 1) {
      batcher.add(1, tickerItem(i));
      vi.advanceTimersByTime(BATCH_INTERVAL_MS);
    }
    expect(batches).toHaveLength(MAX_UNTAKEN_BATCHES);
    batcher.taken(1);
    vi.advanceTimersByTime(BATCH_INTERVAL_MS);
    expect(batches.at(-1)).toEqual([[1, tickerItem(MAX_UNTAKEN_BATCHES + 4)]]);
    for (let i = 0; i < 100; i += 1) batcher.taken(1); // more than were sent: no credit beyond the bound
    for (let i = 0; i < MAX_UNTAKEN_BATCHES + 5; i += 1) {
      batcher.add(1, tickerItem(i));
      vi.advanceTimersByTime(BATCH_INTERVAL_MS);
    }
    expect(batches).toHaveLength(MAX_UNTAKEN_BATCHES * 2 + 1);
  });

  it('give a watch up whose trades nobody takes', () => {
    const { batcher, batches, overflows } = start();
    for (let i = 0; i <= MAX_WAITING_ITEMS; i += 1) batcher.add(1, trades(i));
    expect(overflows).toEqual([1]);
    vi.advanceTimersByTime(10);
    expect(batches).toEqual([]);
  });

  it('end with their thread', () => {
    const { batcher, batches } = start();
    batcher.add(1, tickerItem(1));
    batcher.close();
    batcher.add(1, tickerItem(2));
    vi.advanceTimersByTime(10);
    expect(batches).toEqual([]);
  });
});
