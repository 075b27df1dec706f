import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createMarketTruth } from '../../../src/sandbox/market.js';
import { bookAt, bookChange, type Level } from '../../../src/sandbox/order-book.js';
import { NOON } from './ccxt-clients.js';

const truth = createMarketTruth({ seed: 7, perVenue: undefined });
const market = truth.find('binance', 'BTC/USDT')!;
const start = NOON / 100;

function patched(levels: readonly Level[], change: readonly Level[]): Map<number, number> {
  const book = new Map(levels);
  for (const [price, quantity] of change) {
    if (quantity === 0) book.delete(price);
    else book.set(price, quantity);
  }
  return book;
}

describe('order books', () => {
  test('are sorted best first, without crossed or empty levels', () => {
    const { bids, asks } = bookAt(market, start, 1000);
    expect(bids).toHaveLength(1000);
    expect(asks).toHaveLength(1000);
    expect(bids[0]![0]).toBeLessThan(asks[0]![0]);
    expect(bids.every(([price, quantity], i) => quantity > 0 && (i === 0 || price < bids[i - 1]![0]))).toBe(
      true,
    );
    expect(asks.every(([price, quantity], i) => quantity > 0 && (i === 0 || price > asks[i - 1]![0]))).toBe(
      true,
    );
  });

  test('become the later book when the change between two moments is applied', () => {
    fc.assert(
      fc.property(fc.nat(100_000), fc.integer({ min: 1, max: 30 }), fc.boolean(), (at, steps, everySlot) => {
        const from = start + at;
        const to = from + steps;
        const change = bookChange(market, { from, to, depth: 100, everySlot });
        const before = bookAt(market, from, 100);
        const after = bookAt(market, to, 100);
        expect(patched(before.bids, change.bids)).toEqual(new Map(after.bids));
        expect(patched(before.asks, change.asks)).toEqual(new Map(after.asks));
      }),
      { numRuns: 50 },
    );
  });

  test('can be picked up in the middle of a change that names every slot, as Binance readers do', () => {
    fc.assert(
      fc.property(fc.nat(100_000), fc.integer({ min: 2, max: 20 }), fc.nat(), (at, steps, pick) => {
        const from = start + at;
        const to = from + steps;
        const change = bookChange(market, { from, to, depth: 100, everySlot: true });
        const snapshot = bookAt(market, from + (pick % steps), 100);
        expect(patched(snapshot.asks, change.asks)).toEqual(new Map(bookAt(market, to, 100).asks));
        expect(patched(snapshot.bids, change.bids)).toEqual(new Map(bookAt(market, to, 100).bids));
      }),
      { numRuns: 50 },
    );
  });

  test('become the later book over any number of slots, looked at from both ends', () => {
    const to = start + 2_000;
    const change = bookChange(market, { from: start, to, depth: 100, everySlot: false });
    expect(patched(bookAt(market, start, 100).bids, change.bids)).toEqual(
      new Map(bookAt(market, to, 100).bids),
    );
    expect(patched(bookAt(market, start, 100).asks, change.asks)).toEqual(
      new Map(bookAt(market, to, 100).asks),
    );
  });

  test('end at the lowest price there is', () => {
    const cheap = { ...market, factor: market.factor / 1e5, bookStep: 1 };
    const { bids, asks } = bookAt(cheap, start, 1000);
    expect(asks).toHaveLength(1000);
    expect(bids.length).toBeLessThan(1000);
    expect(bids.at(-1)?.[0]).toBe(1);
  });
});
