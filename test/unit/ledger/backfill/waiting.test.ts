// What jobs wait for, and how they go on: exchanges, the store, other servers.
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { AppError } from '../../../../src/errors.js';
import { StoreError } from '../../../../src/ledger/store-error.js';
import { DAY, MINUTE, NAME, T0 } from '../candle-data.js';
import { add, ETH, HOUR, JobRig, START } from './job-rig.js';

let rig: JobRig;
beforeEach(() => {
  vi.useFakeTimers({ now: START });
  rig = new JobRig();
});
afterEach(async () => {
  await rig.close();
  vi.useRealTimers();
});

test('a cool-down is waited for, without a request, and told of every job', async () => {
  rig.venue.healthOf = { coolDownUntil: START + HOUR };
  const ledger = rig.started();
  const [first, second] = [await add(ledger, [0, 50]), await add(ledger, [0, 50], ETH)];
  for (const job of [first, second])
    expect(await rig.after(10_000, job)).toMatchObject({
      state: 'waiting',
      waitingFor: 'cool_down',
      error: null,
    });
  expect(rig.venue.asked).toEqual([]);
  expect(await rig.after(HOUR, first)).toMatchObject({ state: 'done', waitingFor: null, candles: 50 });
  expect(await rig.after(0, second)).toMatchObject({ state: 'done' });
});

test('a series whose answers make no sense holds up no other, and is asked again later and later', async () => {
  rig.failFor('BTC/USDT', new AppError('upstream_bad_response', 'nonsense', { confined: true }));
  const ledger = rig.started();
  const bad = await add(ledger, [0, 50]);
  const good = await add(ledger, [0, 50], ETH);
  expect(await rig.after(1_000, good)).toMatchObject({ state: 'done' });
  expect(await rig.after(0, bad)).toMatchObject({
    ...{ state: 'waiting', waitingFor: 'upstream_bad_response', error: 'upstream_bad_response', pages: 0 },
  });
  rig.venue.asked.length = 0;
  await vi.advanceTimersByTimeAsync(5 * MINUTE);
  expect(rig.venue.asked.length).toBeGreaterThan(3);
  expect(rig.venue.asked.length).toBeLessThan(10);
  expect(ledger.stats().backfill.failedPages).toBeGreaterThan(3);
});

test('while an exchange fails its other jobs wait with it', async () => {
  rig.venue.fault = new AppError('upstream_unavailable', 'down', { upstream: { exchange: 'binance' } });
  const ledger = rig.started();
  const [first, second] = [await add(ledger, [0, 50]), await add(ledger, [0, 50], ETH)];
  expect(await rig.after(3_000, first)).toMatchObject({ state: 'waiting', error: 'upstream_unavailable' });
  expect(await rig.after(0, second)).toMatchObject({ state: 'waiting', waitingFor: 'upstream_unavailable' });
  expect(rig.venue.asked).toHaveLength(1);
  rig.venue.fault = null;
  expect(await rig.after(MINUTE, first)).toMatchObject({ state: 'done', error: null });
  expect(await rig.after(0, second)).toMatchObject({ state: 'done', error: null });
});

test('an open circuit is told as such', async () => {
  rig.venue.healthOf = { circuit: 'open' };
  rig.venue.fault = new AppError('upstream_timeout', 'left alone', { retryAfterMs: 4_000 });
  const job = await add(rig.started(), [0, 50]);
  expect(await rig.after(1_000, job)).toMatchObject({ state: 'waiting', waitingFor: 'circuit_open' });
});

test('a budget that callers have used up is no fault: the job waits, and nothing counts as failed', async () => {
  rig.venue.fault = new AppError('upstream_budget_exhausted', 'used up', { retryAfterMs: 20_000 });
  const ledger = rig.started();
  const job = await add(ledger, [0, 50]);
  expect(await rig.after(5_000, job)).toMatchObject({ state: 'waiting', waitingFor: 'budget', error: null });
  expect(ledger.stats().backfill.failedPages).toBe(0);
  expect(rig.venue.asked).toHaveLength(1);
});

test('what no asking again can help fails with its reason, and the next job goes on', async () => {
  rig.failFor('BTC/USDT', new AppError('symbol_not_found', 'binance lists no such market.'));
  const ledger = rig.started();
  const bad = await add(ledger, [0, 50]);
  const good = await add(ledger, [0, 50], ETH);
  expect(await rig.after(1_000, bad)).toMatchObject({
    ...{ state: 'failed', error: 'symbol_not_found: binance lists no such market.', waitingFor: null },
  });
  expect(await rig.after(0, good)).toMatchObject({ state: 'done' });
});

test('an exchange that gives nothing of a range, three times, ends the job', async () => {
  // Rows off the grid of minutes: nothing can be kept of them.
  const answer = rig.venue.fetch;
  rig.venue.fetch = async (request, options) => {
    const answered = await answer(request, options);
    for (const { rows } of answered.evidence?.pages ?? []) if (rows.length > 6) rows[6] = Number(rows[6]) + 7;
    return answered;
  };
  const job = await add(rig.started(), [0, 50]);
  expect(await rig.after(MINUTE, job)).toMatchObject({
    ...{ state: 'failed', error: 'The exchange gives nothing more for this range.', etaSeconds: null },
  });
  expect(rig.venue.asked).toHaveLength(1 + 3);
});

test('a page without its evidence is a fault of this server, and no end of the job', async () => {
  rig.venue.evidence = false;
  const job = await add(rig.started(), [0, 50]);
  expect(await rig.after(1_000, job)).toMatchObject({ state: 'waiting', error: 'internal_error' });
});

test('a page that a full disk refuses is asked for again after a minute', async () => {
  const { store } = rig;
  let full = true;
  rig.handle.current = {
    ...store,
    write: (...given) => (full ? Promise.reject(new StoreError('full', 'full')) : store.write(...given)),
  };
  const job = await add(rig.started(), [0, 50]);
  expect(await rig.after(50_000, job)).toMatchObject({ state: 'waiting', waitingFor: 'store_full' });
  const asked = rig.venue.asked.length;
  expect(asked).toBe(2);
  full = false;
  expect(await rig.after(15_000, job)).toMatchObject({ state: 'done', candles: 50 });
});

test('a store that can not be written, or read, is left alone until it can', async () => {
  const ledger = rig.started();
  const job = await add(ledger, [0, 50]);
  rig.handle.told = { state: 'degraded', detail: 'read only', since: 0, writable: false };
  expect(await rig.after(10_000, job)).toMatchObject({ state: 'queued' });
  rig.handle.told = { ...rig.handle.told, writable: true };
  const { store } = rig;
  rig.handle.current = { ...store, openJobs: () => Promise.reject(new StoreError('unavailable', 'gone')) };
  expect(await rig.after(10_000, job)).toMatchObject({ state: 'queued' });
  rig.handle.current = store;
  expect(await rig.after(10_000, job)).toMatchObject({ state: 'done' });
});

test('a lease request that fails ends the work on the exchange until the next poll', async () => {
  rig.handle.shared = true;
  let failures = 0;
  rig.handle.current = {
    ...rig.store,
    lease: () => {
      failures += 1;
      return failures === 1 ? Promise.reject(new StoreError('unavailable', 'gone')) : Promise.resolve(true);
    },
    write: (page, job) => rig.store.write(page, job === undefined ? undefined : { ...job, lease: undefined }),
  };
  const job = await add(rig.started(), [0, 50]);
  expect(await rig.after(1_000, job)).toMatchObject({ state: 'queued' });
  expect(rig.log.lines.map(({ message }) => message)).toContain('a backfill has to wait');
  expect(await rig.after(2_000, job)).toMatchObject({ state: 'done' });
});

test('of servers on one database only the one that holds the lease works; the next one goes on when it runs out', async () => {
  rig.handle.shared = true;
  let holder: string | null = 'another server';
  const taken: string[] = [];
  rig.handle.current = {
    ...rig.store,
    lease: (name, owner) => {
      taken.push(name);
      holder ??= owner;
      return Promise.resolve(holder === owner);
    },
    write: (page, job) => rig.store.write(page, job === undefined ? undefined : { ...job, lease: undefined }),
    endLease: () => Promise.reject(new Error('gone')),
  };
  const job = await add(rig.started(), [0, 50]);
  expect(await rig.after(10_000, job)).toMatchObject({ state: 'queued' });
  expect(rig.venue.asked).toEqual([]);
  holder = null;
  expect(await rig.after(3_000, job)).toMatchObject({ state: 'done' });
  expect(new Set(taken)).toEqual(new Set(['exchange binance']));
});

test('a store that is full holds up jobs; from 80 % on only those of series that are to be kept', async () => {
  const { store } = rig;
  let bytes = 850;
  rig.handle.current = {
    ...store,
    totals: () => Promise.resolve({ series: 1, candles: 1, bytes, walBytes: 0 }),
  };
  const ledger = rig.started({ maxBytes: 1000, wanted: [{ ...ETH, from: T0 + DAY - 50 * MINUTE }] });
  await vi.advanceTimersByTimeAsync(10_000);
  const job = await add(ledger, [0, 50]);
  expect(await rig.after(10_000, job)).toMatchObject({ state: 'waiting', waitingFor: 'store_full' });
  expect(await rig.states(ETH)).toEqual([[1390, 1440, 'known']]);
  expect(rig.venue.asked.filter(({ symbol }) => symbol === NAME.symbol)).toEqual([]);
  bytes = 1000;
  await vi.advanceTimersByTimeAsync(20_000);
  const kept = await add(ledger, [1300, 1350], ETH);
  expect(await rig.after(10_000, kept)).toMatchObject({ state: 'waiting', waitingFor: 'store_full' });
  bytes = 100;
  expect(await rig.after(30_000, job)).toMatchObject({ state: 'done' });
  expect(await rig.after(0, kept)).toMatchObject({ state: 'done' });
});
