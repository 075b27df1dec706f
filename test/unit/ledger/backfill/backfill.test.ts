// Jobs from their queue to their end.
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { AppError } from '../../../../src/errors.js';
import { DAY, MINUTE, NAME, T0 } from '../candle-data.js';
import { write } from '../ledger-rig.js';
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

test('jobs of an exchange that is not enabled any more stay as they are', async () => {
  await rig.store.addJob({ ...NAME, from: T0, to: T0 + HOUR, origin: 'api' }, START);
  rig.started({}, { enabled: ['kraken'] });
  await vi.advanceTimersByTimeAsync(10_000);
  expect(await rig.store.openJobs()).toMatchObject([{ state: 'queued' }]);
  expect(rig.venue.asked).toEqual([]);
});

test('callers’ jobs come before those of BACKFILL, and those before what reads have queued', async () => {
  for (const [origin, symbol] of [
    ['read', 'A/USDT'],
    ['setting', 'B/USDT'],
    ['api', 'C/USDT'],
  ] as const)
    await rig.store.addJob({ ...NAME, symbol, from: T0, to: T0 + HOUR, origin }, START);
  rig.started();
  await vi.advanceTimersByTimeAsync(1_000);
  const order = [...new Set(rig.venue.asked.map(({ symbol }) => symbol))];
  expect(order).toEqual(['C/USDT', 'B/USDT', 'A/USDT']);
});

test('what another server has queued is found within seconds', async () => {
  rig.started();
  await vi.advanceTimersByTimeAsync(1_000);
  const job = await rig.store.addJob({ ...NAME, from: T0, to: T0 + HOUR, origin: 'api' }, START);
  expect(await rig.after(2_000, job)).toMatchObject({ state: 'done' });
});

test('a job that is cancelled while its page is under way keeps the page and stays cancelled', async () => {
  const ledger = rig.started();
  const answer = rig.venue.fetch;
  rig.venue.fetch = async (request, options) => {
    const [open] = await rig.store.openJobs();
    if (open !== undefined && request.kind === 'ohlcv' && request.limit > 1) await ledger.cancelJob(open.id);
    return answer(request, options);
  };
  const job = await add(ledger, [0, 50]);
  expect(await rig.after(5_000, job)).toMatchObject({ state: 'cancelled', pages: 0 });
  expect(await rig.states()).toEqual([[0, 50, 'known']]);
});

test('a job that was forgotten while its page was under way ends the step', async () => {
  rig.handle.current = { ...rig.store, job: () => Promise.resolve(null) };
  await add(rig.started(), [0, 250]);
  await vi.advanceTimersByTimeAsync(5_000);
  expect(await rig.states()).toEqual([[0, 250, 'known']]);
});

test('the end of the server ends the page under way without a word about the job', async () => {
  rig.venue.fetch = (_request, { signal }) =>
    new Promise((_resolve, reject) => {
      signal?.addEventListener('abort', () => reject(new AppError('shutting_down', 'It ends.')));
    });
  const ledger = rig.started();
  const job = await add(ledger, [0, 50]);
  await vi.advanceTimersByTimeAsync(1_000);
  const before = await rig.store.job(job.id);
  await ledger.close();
  expect(await rig.store.job(job.id)).toEqual(before);
});

test('suspect stretches of a job that is done are due again', async () => {
  for (let index = 20; index < 30; index += 1) rig.venue.missing.add(T0 + index * MINUTE);
  rig.venue.missing.add(T0 + 49 * MINUTE);
  const job = await add(rig.started(), [0, 50]);
  expect(await rig.after(2_000, job)).toMatchObject({ state: 'done', candles: 39 });
  expect(await rig.states()).toEqual([
    [0, 20, 'known'],
    [20, 30, 'empty'],
    [30, 49, 'known'],
    [49, 50, 'suspect'],
  ]);
  expect(await rig.store.takeDue(START + 2 * HOUR, 10, START + DAY)).toMatchObject([
    { from: T0 + 49 * MINUTE, to: T0 + 50 * MINUTE },
  ]);
});

test('a job over what is known is done without a request', async () => {
  await write(rig.store, { first: 0, count: 50, askedAt: START });
  const job = await add(rig.started(), [0, 50]);
  expect(await rig.after(100, job)).toMatchObject({ state: 'done', percent: 100, pages: 0, candles: 50 });
  expect(rig.venue.asked).toEqual([]);
});

test('a contract is asked for in the pages of contracts, and without any the page is a small one', async () => {
  const swap = { ...NAME, symbol: 'BTC/USDT:USDT' };
  const ledger = rig.started();
  expect(await rig.after(2_000, await add(ledger, [0, 20], swap))).toMatchObject({ state: 'done', pages: 3 });
  rig.venue.described = false;
  expect(await rig.after(2_000, await add(ledger, [0, 150], ETH))).toMatchObject({ state: 'done', pages: 2 });
});

test('an interval that the exchange lacks is refused, and a stored job of one that is none fails', async () => {
  const ledger = rig.started();
  await expect(ledger.addJob({ ...NAME, interval: '7m' }, { from: T0, to: T0 + HOUR })).rejects.toMatchObject(
    { code: 'interval_not_supported' },
  );
  const odd = { ...NAME, interval: 'tick', from: T0, to: T0 + HOUR, origin: 'api' } as const;
  const job = await rig.store.addJob(odd, START);
  expect(await rig.after(3_000, job)).toMatchObject({ state: 'failed' });
});

test('each page of a thin market reads the coverage before it, not that of all pages before', async () => {
  // Every other minute has no trade.
  for (let minute = -2881; minute < 1440; minute += 2) rig.venue.missing.add(T0 + minute * MINUTE);
  let read = 0;
  rig.handle.current = {
    ...rig.store,
    coverage: async (...args) => {
      const ranges = await rig.store.coverage(...args);
      read += ranges.length;
      return ranges;
    },
  };
  const ledger = rig.started();
  const job = await add(ledger, [-1560, 1440]);
  expect(await rig.after(60_000, job)).toMatchObject({ state: 'done', percent: 100, candles: 1500 });
  const stored = (await rig.store.coverage(1, null, 10_000)).length;
  expect(stored).toBeGreaterThan(2_900);
  const pages = rig.venue.asked.length;
  // Twice a page of ranges at each step, and all of them at the end.
  expect(read).toBeLessThan(stored * 3 + pages * 250);
});

test('a job of which nothing is missing is done at once, without a request', async () => {
  await write(rig.store, { first: 0, count: 60, askedAt: START });
  const job = await add(rig.started(), [10, 40]);
  expect(job).toMatchObject({ state: 'done', percent: 100, candles: 30, pages: 0, etaSeconds: null });
  expect(await rig.after(5_000, job)).toEqual(job);
  expect(rig.venue.asked).toEqual([]);
});
