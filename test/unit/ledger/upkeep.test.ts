import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { DAY, MINUTE, NAME, T0 } from './candle-data.js';
import { UnitRig, write } from './ledger-rig.js';

let rig: UnitRig;
const HOUR = 60 * MINUTE;
/** Half a minute after the start of a period. */
const START = T0 + DAY + MINUTE / 2;

beforeEach(() => {
  vi.useFakeTimers({ now: START });
  rig = new UnitRig();
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
const settle = () => vi.advanceTimersByTimeAsync(5_000);
const indexOf = (at: number): number => (at - T0) / MINUTE;

test('a series in BACKFILL is fetched at the start and topped up each hour', async () => {
  started({ wanted: [{ ...NAME, from: T0 + DAY - 150 * MINUTE }] });
  await settle();
  expect(await rig.states()).toEqual([[1290, 1440, 'known']]);
  const [job] = await rig.store.jobs(10);
  expect(job).toMatchObject({ origin: 'setting', to: null, state: 'done' });
  await vi.advanceTimersByTimeAsync(HOUR);
  expect((await rig.states()).map(([from, to]) => [from, to])).toEqual([[1290, 1500]]);
});

test('nothing is fetched of a series that is complete, or of an exchange that is not enabled', async () => {
  await write(rig.store, { first: 1430, count: 10, askedAt: START });
  started({
    wanted: [
      { ...NAME, from: T0 + 1430 * MINUTE },
      { ...NAME, exchange: 'kraken', from: T0 },
    ],
  });
  await settle();
  expect(rig.venue.asked).toEqual([]);
  expect(await rig.store.jobs(10)).toEqual([]);
});

test('a series that is being fetched gets no second job', async () => {
  rig.venue.healthOf = { coolDownUntil: START + 4 * HOUR };
  started({ retentionMs: DAY, wanted: [{ ...NAME, from: T0 - 30 * DAY }] });
  await vi.advanceTimersByTimeAsync(HOUR);
  expect(await rig.store.openJobs()).toHaveLength(1);
});

test('candles older than STORE_RETENTION are forgotten, whole periods of them, and not fetched again', async () => {
  await write(rig.store, { first: 0, count: 1440, limit: 1440, askedAt: START });
  started({ retentionMs: HOUR, wanted: [{ ...NAME, from: T0 }] });
  await settle();
  // The period in which the hour began is kept.
  expect(await rig.states()).toEqual([[1380, 1440, 'known']]);
  const series = await rig.store.series(NAME);
  expect(series).toMatchObject({ candles: 60, first: T0 + 1380 * MINUTE });
  expect(rig.venue.asked).toEqual([]);
  await vi.advanceTimersByTimeAsync(HOUR);
  expect((await rig.states())[0]?.[0]).toBe(1440);
  // One more candle may be asked for to find the listing.
  const pages = rig.venue.asked.filter(({ limit }) => limit > 1);
  expect(pages.length).toBeGreaterThan(0);
  for (const { since } of pages) expect(indexOf(since ?? 0)).toBeGreaterThanOrEqual(1380);
});

test('without STORE_RETENTION everything stays', async () => {
  await write(rig.store, { count: 10, askedAt: START });
  vi.setSystemTime(START + 400 * DAY);
  started();
  await settle();
  expect(await rig.states()).toEqual([[0, 10, 'known']]);
});

test('who can not write changes nothing; a store that fails is left alone until the next round', async () => {
  await write(rig.store, { count: 10, askedAt: START });
  rig.handle.told = { ...rig.handle.told, writable: false };
  const settings = { retentionMs: HOUR, wanted: [{ ...NAME, from: T0 + DAY - HOUR }] };
  started(settings);
  await settle();
  expect(await rig.states()).toEqual([[0, 10, 'known']]);
  expect(await rig.store.jobs(1)).toEqual([]);
  rig.handle.told = { ...rig.handle.told, writable: true };
  rig.handle.current = { ...rig.store, allSeries: () => Promise.reject(new Error('gone')) };
  await vi.advanceTimersByTimeAsync(HOUR);
  expect(rig.log.lines.map(({ message }) => message)).toContain('the upkeep of the store has to wait');
  rig.handle.current = rig.store;
  await vi.advanceTimersByTimeAsync(HOUR);
  expect((await rig.states())[0]?.[0]).toBeGreaterThan(10);
});

test('the store is measured at the start and then each ten seconds, as long as there is one', async () => {
  const totals = vi.fn(() => rig.store.totals());
  rig.handle.current = null;
  const ledger = started();
  ledger.start();
  await settle();
  expect(ledger.stats().totals).toBeNull();
  rig.handle.current = { ...rig.store, totals };
  await vi.advanceTimersByTimeAsync(10_000);
  expect(ledger.stats().totals).toMatchObject({ series: 0, candles: 0 });
  await vi.advanceTimersByTimeAsync(20_000);
  expect(totals).toHaveBeenCalledTimes(3);
  await ledger.close();
  await vi.advanceTimersByTimeAsync(60_000);
  expect(totals).toHaveBeenCalledTimes(3);
});

test('an entry whose exchange is not enabled is told of in the log', async () => {
  started({ wanted: [{ ...NAME, exchange: 'kraken', from: T0 }] });
  await settle();
  expect(rig.log.lines).toContainEqual(
    expect.objectContaining({ level: 'warn', details: { ...NAME, exchange: 'kraken' } }),
  );
  expect(await rig.store.jobs(10)).toEqual([]);
});

test('an entry in another spelling is the same live series: it is verified, and gets no second job', async () => {
  await write(rig.store, { first: 1400, count: 10, askedAt: START });
  rig.venue.healthOf = { coolDownUntil: START + 2 * HOUR };
  const ledger = started({ wanted: [{ ...NAME, symbol: 'btc-usdt', from: T0 + DAY - 60 * MINUTE }] });
  await vi.advanceTimersByTimeAsync(HOUR);
  expect(await rig.store.jobs(10)).toHaveLength(1);
  rig.venue.healthOf = {};
  await vi.advanceTimersByTimeAsync(5 * MINUTE);
  expect(await rig.store.openJobs()).toEqual([]);
  await ledger.close();
  // After a quarter of an hour and after a day.
  expect(await rig.store.takeDue(START + 10 * DAY, 20, START + 11 * DAY)).not.toEqual([]);
});
