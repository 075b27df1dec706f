import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Millis } from '../../../src/sandbox/intervals.js';
import { listMarkets } from '../../../src/sandbox/listings.js';
import { createTickClock } from '../../../src/sandbox/tick-clock.js';

const instantsOfOneSecond = (inStep: boolean): Set<number>[] => {
  const markets = listMarkets({ seed: 1, perVenue: undefined }).slice(0, 8);
  const clock = createTickClock({ now: Date.now, perSecond: 2, inStep });
  const instants = markets.map(() => new Set<number>());
  markets.forEach((market, i) => clock.start(market, (time) => void instants[i]?.add(time)));
  vi.advanceTimersByTime(1000);
  clock.close();
  return instants;
};

beforeEach(() => {
  vi.useFakeTimers({ now: 1_750_000_000_003 });
});
afterEach(() => {
  expect(vi.getTimerCount()).toBe(0);
  vi.useRealTimers();
});

describe('ticks of different markets', () => {
  it('are spread over the period', () => {
    const all = instantsOfOneSecond(false);
    expect(all.map((times) => times.size)).toEqual(all.map(() => 2));
    expect(new Set(all.flatMap((times) => [...times])).size).toBeGreaterThan(8);
  });

  it('come at the same instants where they go in step', () => {
    const [first, ...others] = instantsOfOneSecond(true);
    expect(first?.size).toBe(2);
    for (const times of others) expect(times).toEqual(first);
  });

  it('are looked for every 10 ms where there are many, and every millisecond where there are few', () => {
    const markets = listMarkets({ seed: 1, perVenue: 10 }).slice(0, 21);
    let looks = 0;
    const now = (): number => {
      looks += 1;
      return Date.now();
    };
    const clock = createTickClock({ now, perSecond: 2 });
    const looksIn100ms = (): number => {
      const before = looks;
      vi.advanceTimersByTime(100);
      return looks - before;
    };
    for (const market of markets) clock.start(market, () => undefined);
    expect(looksIn100ms()).toBe(10);
    clock.stop(markets[0]!);
    expect(looksIn100ms()).toBe(100);
    clock.close();
  });

  it('of thousands leave in bursts every 100 ms where they are seldom, each at its own time, and none is left out', () => {
    const markets = listMarkets({ seed: 1, perVenue: 400 }).slice(0, 1_001);
    expect(markets).toHaveLength(1_001);
    const clock = createTickClock({ now: Date.now, perSecond: 1 });
    const times = new Set<Millis>();
    const bursts = new Set<Millis>();
    let ticks = 0;
    for (const market of markets)
      clock.start(market, (time) => {
        ticks += 1;
        times.add(time);
        bursts.add(Date.now());
      });
    vi.advanceTimersByTime(2_000);
    expect([bursts.size, times.size > 500]).toEqual([20, true]);
    // Two of each, but for those at the edges.
    expect(Math.abs(ticks - 2_002)).toBeLessThan(3);
    clock.setRate(markets[0], 40);
    bursts.clear();
    vi.advanceTimersByTime(2_000);
    expect(bursts.size).toBe(200);
    clock.close();
  });
});
