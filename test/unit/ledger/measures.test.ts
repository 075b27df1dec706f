import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { DAY, MINUTE, NAME, T0 } from './candle-data.js';
import { UnitRig, write } from './ledger-rig.js';

let rig: UnitRig;
/** Half a minute after the start of a period. */
const START = T0 + DAY + MINUTE / 2;
beforeEach(() => {
  vi.useFakeTimers({ now: START });
  rig = new UnitRig();
  // No backfill runs by itself.
  rig.venue.healthOf = { coolDownUntil: START + 10 * DAY };
});
afterEach(async () => {
  await rig.close();
  vi.useRealTimers();
});
const started = (...given: Parameters<UnitRig['ledger']>) => {
  const ledger = rig.ledger(...given);
  ledger.start();
  return ledger;
};
const minutes = (count: number) => vi.advanceTimersByTimeAsync(count * MINUTE);

test('jobs are counted by exchange, state and what they wait for, every ten seconds', async () => {
  const ledger = started();
  await vi.advanceTimersByTimeAsync(1_000);
  expect(ledger.stats().jobs).toEqual([]);
  await ledger.addJob(NAME, { from: T0, to: T0 + 10 * MINUTE });
  await ledger.addJob({ ...NAME, symbol: 'ETH/USDT' }, { from: T0, to: T0 + 10 * MINUTE });
  const { id } = await ledger.addJob({ ...NAME, exchange: 'kraken' }, { from: T0, to: T0 + 10 * MINUTE });
  await ledger.cancelJob(id);
  await vi.advanceTimersByTimeAsync(20_000);
  const { jobs } = ledger.stats();
  expect(jobs).toContainEqual({ exchange: 'kraken', state: 'cancelled', waitingFor: null, jobs: 1 });
  expect(jobs.filter(({ exchange }) => exchange === 'binance')).toEqual([
    { exchange: 'binance', state: 'waiting', waitingFor: 'cool_down', jobs: 2 },
  ]);
});

test('of series in BACKFILL: periods that are unknown, and how far the worst of an exchange is behind', async () => {
  await write(rig.store, { first: 0, count: 1400, limit: 1400, askedAt: START });
  await write(rig.store, { symbol: 'ETH/USDT', first: 1430, count: 10, askedAt: START });
  const ledger = started({
    wanted: [
      { ...NAME, from: T0 },
      { ...NAME, symbol: 'ETH/USDT', from: T0 + 1420 * MINUTE },
      { ...NAME, exchange: 'kraken', from: T0 + 1437 * MINUTE },
    ],
  });
  await vi.advanceTimersByTimeAsync(1_000);
  expect(ledger.stats().wanted).toEqual([
    { exchange: 'binance', unknownPeriods: 50, behindMs: 40 * MINUTE },
    { exchange: 'kraken', unknownPeriods: 3, behindMs: 3 * MINUTE },
  ]);
  await write(rig.store, { first: 1400, count: 45, askedAt: START + 6 * MINUTE });
  await vi.advanceTimersByTimeAsync(30_000);
  expect(ledger.stats().wanted[0]?.unknownPeriods).toBe(50);
  await minutes(1);
  expect(ledger.stats().wanted[0]).toMatchObject({ unknownPeriods: 11, behindMs: MINUTE });
});

test('a store that is away leaves the latest figures, and its state is told all the same', async () => {
  await write(rig.store, { first: 0, count: 10, askedAt: START });
  const ledger = started({ wanted: [{ ...NAME, from: T0 + 1430 * MINUTE }] });
  await vi.advanceTimersByTimeAsync(1_000);
  rig.handle.current = { ...rig.store, totals: () => Promise.reject(new Error('gone')) };
  rig.handle.told = { ...rig.handle.told, state: 'degraded', detail: 'It is gone.' };
  await minutes(2);
  expect(ledger.stats()).toMatchObject({ totals: { candles: 10 }, wanted: [{ unknownPeriods: 10 }] });
  expect(rig.log.warnings()).toContain('the candle store does not keep what it should');
  rig.handle.current = null;
  await minutes(2);
  expect(ledger.stats().wanted).toHaveLength(1);
});
