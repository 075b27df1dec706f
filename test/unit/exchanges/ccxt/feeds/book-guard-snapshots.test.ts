/** Whose a snapshot is that CCXT asks for beside a feed, with the few members of CCXT's instances that matter here. */
import { describe, expect, it, vi } from 'vitest';
import type { CcxtExchange } from '../../../../../src/exchanges/ccxt/ccxt-exchange.js';
import { currentUpstreamCall } from '../../../../../src/exchanges/ccxt/call-context.js';
import { guardSnapshots, type SnapshotTaker } from '../../../../../src/exchanges/ccxt/feeds/book-guard.js';

const SYMBOL = 'BTC/USDT';

interface Fake {
  orderbooks?: Record<string, object> | null;
  orderBook?: () => object;
  fetchOrderBook?: unknown;
}

const openFeed = () => {
  const abort = new AbortController();
  const faults: unknown[] = [];
  const taker: SnapshotTaker = { signal: abort.signal, fail: (thrown) => faults.push(thrown) };
  return { taker, faults, close: () => abort.abort() };
};

const guarded = (fake: Fake, taker: SnapshotTaker | undefined) => {
  guardSnapshots(fake as unknown as CcxtExchange, {
    takerOf: (symbol) => (symbol === SYMBOL ? taker : undefined),
    timeoutMs: 8_000,
    monotonic: () => 1_000,
  });
  return fake.fetchOrderBook as (symbol: unknown, limit?: number) => Promise<unknown>;
};

const settledOf = (promise: Promise<unknown>): { done: boolean } => {
  const settled = { done: false };
  const note = (): void => void (settled.done = true);
  promise.then(note, note);
  return settled;
};

describe('a snapshot', () => {
  it('is asked for as a poll with a turn of its own, and given up with its feed', async () => {
    const { taker } = openFeed();
    const book = { bids: [] };
    const asked: unknown[] = [];
    const fetch = guarded(
      {
        fetchOrderBook: (...args: unknown[]) => {
          asked.push(args, currentUpstreamCall());
          return Promise.resolve(book);
        },
      },
      taker,
    );
    expect(await fetch(SYMBOL, 1000)).toBe(book);
    const call = { kind: 'data', priority: 'poll', client: 'order book snapshots', signal: taker.signal };
    expect(asked).toEqual([[SYMBOL, 1000], { ...call, deadline: 5_000, answeredBy: 9_000 }]);
  });

  it('that no feed waits for is not asked for, and never settles', async () => {
    const original = vi.fn();
    const fetch = guarded({ fetchOrderBook: original }, openFeed().taker);
    const settled = settledOf(fetch('ETH/USDT'));
    await new Promise(setImmediate);
    expect(settled.done).toBe(false);
    expect(original).not.toHaveBeenCalled();
  });

  it('that fails ends its feed, and no promise of CCXT', async () => {
    const { taker, faults } = openFeed();
    const thrown = new Error('refused');
    const fetch = guarded({ fetchOrderBook: () => Promise.reject(thrown) }, taker);
    const settled = settledOf(fetch(SYMBOL));
    await new Promise(setImmediate);
    expect(faults).toEqual([thrown]);
    expect(settled.done).toBe(false);
  });

  it.each(['comes', 'fails'])('that %s after its feed has ended has no effect', async (how) => {
    const feed = openFeed();
    let answer = (): void => undefined;
    const asked = new Promise((resolve, reject) => {
      answer = how === 'comes' ? () => resolve({}) : () => reject(new Error('late'));
    });
    const fetch = guarded({ fetchOrderBook: () => asked }, feed.taker);
    const settled = settledOf(fetch(SYMBOL));
    feed.close();
    answer();
    await new Promise(setImmediate);
    expect(settled.done).toBe(false);
    expect(feed.faults).toEqual([]);
  });

  it('that is given up leaves no updates behind that count for the next feed of its symbol', () => {
    const feed = openFeed();
    const orderbooks = { [SYMBOL]: { cache: [1, 2] }, other: { cache: [3] } };
    const fake = { orderbooks, orderBook: () => ({ cache: [] }), fetchOrderBook: () => new Promise(() => 0) };
    void guarded(fake, feed.taker)(SYMBOL);
    feed.close();
    expect(orderbooks).toEqual({ [SYMBOL]: { cache: [] }, other: { cache: [3] } });
  });

  it('that is given up before CCXT holds a book makes none', () => {
    const feed = openFeed();
    const orderbooks = {};
    const fake = { orderbooks, orderBook: () => ({}), fetchOrderBook: () => new Promise(() => 0) };
    void guarded(fake, feed.taker)(SYMBOL);
    feed.close();
    expect(orderbooks).toEqual({});
  });

  it('is left alone on an exchange without order books over REST', () => {
    const fake: Fake = {};
    guarded(fake, openFeed().taker);
    expect(fake.fetchOrderBook).toBeUndefined();
  });
});
