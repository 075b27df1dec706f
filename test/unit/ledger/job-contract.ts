/** What every candle store must do for jobs, leases and what is due. */
import { expect, test } from 'vitest';
import { settlePage } from '../../../src/ledger/settle.js';
import type { CandleStore } from '../../../src/ledger/store.js';
import { DAY, MINUTE, NAME, pageOf, T0 } from './candle-data.js';

const settledPage = (symbol: string, settleMs: number) => {
  const settled = settlePage(pageOf({ symbol }), settleMs);
  if (settled === null) throw new Error('nothing is settled');
  return settled;
};

/** `store`: the one that the suite has opened. */
export const jobContract = (store: () => CandleStore): void => {
  test('jobs: an equal open one is given, an ended one stays ended', async () => {
    const wanted = { ...NAME, from: T0, to: T0 + DAY, origin: 'api' } as const;
    const job = await store().addJob(wanted, 1);
    expect(job).toMatchObject({ ...wanted, state: 'queued', percent: 0, pages: 0, waitingFor: null });
    expect((await store().addJob(wanted, 2)).id).toBe(job.id);
    await store().updateJob(
      job.id,
      { state: 'running', percent: 12.5, reached: T0, waitingFor: 'budget' },
      3,
    );
    expect(await store().job(job.id)).toMatchObject({
      state: 'running',
      percent: 12.5,
      reached: T0,
      updatedAt: 3,
    });
    await store().updateJob(job.id, { state: 'cancelled' }, 4);
    expect(await store().updateJob(job.id, { state: 'running' }, 5)).toBeNull();
    expect((await store().addJob(wanted, 6)).id).not.toBe(job.id);
    expect((await store().openJobs()).map(({ id }) => id)).not.toContain(job.id);
    expect((await store().jobs(1))[0]).toMatchObject({ state: 'queued', createdAt: 6 });
  });

  test('jobs up to the latest candle: an open one is extended, and does not end at the end it had before', async () => {
    const symbol = 'LAT/EST';
    const at = T0 + DAY;
    const add = (to: number, postedAt: number, latestWithin?: number) =>
      store().addJob({ ...NAME, symbol, from: T0, to, origin: 'api', latestWithin }, postedAt);
    const job = await add(at, at + 20_000, 70_000);
    const later = await add(at + MINUTE, at + 80_000, 70_000);
    expect(later).toMatchObject({ id: job.id, to: at + MINUTE, state: 'queued' });
    expect((await add(at + MINUTE, at + 90_000, 70_000)).id).toBe(job.id);
    // Its worker knew the end of before.
    expect(await store().updateJob(job.id, { state: 'done', ifTo: at }, at + 90_000)).toBeNull();
    expect(await store().job(job.id)).toMatchObject({ state: 'queued' });
    // Other ranges stay jobs of their own: one that ends long ago, one with an end of its own, one that reaches further.
    const ended = await add(at - DAY / 2, at + 100_000);
    expect(ended.id).not.toBe(job.id);
    const explicit = await add(at + 2 * MINUTE, at + 140_000);
    expect(explicit.id).not.toBe(job.id);
    const next = await add(at + 3 * MINUTE, at + 200_000, 70_000);
    expect(next).toMatchObject({ id: job.id, to: at + 3 * MINUTE });
    expect(await store().job(ended.id)).toMatchObject({ to: at - DAY / 2 });
    expect(
      await store().updateJob(job.id, { state: 'done', ifTo: at + 3 * MINUTE }, at + 210_000),
    ).toMatchObject({
      state: 'done',
    });
    expect((await add(at + 4 * MINUTE, at + 260_000, 70_000)).id).not.toBe(job.id);
  });

  test('a page and the progress of its job are written together', async () => {
    const job = await store().addJob({ ...NAME, symbol: 'JO/B', from: 0, to: null, origin: 'setting' }, 1);
    const settled = settledPage('JO/B', 0);
    await store().write(settled, { id: job.id, update: { state: 'running', pages: 1, candles: 5 } });
    expect(await store().job(job.id)).toMatchObject({ to: null, pages: 1, candles: 5 });
  });

  test('what is due comes again until it is ended', async () => {
    await store().write(settledPage('DU/E', 10_000));
    const due = { ...NAME, symbol: 'DU/E', at: 500, from: T0, to: T0 + MINUTE };
    await store().addDue(due);
    await store().addDue(due);
    expect(await store().takeDue(499, 10, 800)).toEqual([]);
    expect(await store().takeDue(500, 10, 800)).toEqual([{ ...due, at: 800 }]);
    expect(await store().takeDue(799, 10, 900)).toEqual([]);
    const [again] = await store().takeDue(800, 10, 900);
    expect(again).toEqual({ ...due, at: 900 });
    await store().endDue({ ...due, at: 900 });
    expect(await store().takeDue(10_000, 10, 20_000)).toEqual([]);
    await store().addDue({ ...due, symbol: 'NEVER/STORED' });
    expect(await store().takeDue(10_000, 10, 20_000)).toEqual([]);
  });

  test('a page of a job is written only while its lease is held', async () => {
    const symbol = 'FEN/CE';
    const job = await store().addJob({ ...NAME, symbol, from: 0, to: null, origin: 'api' }, 1);
    const settled = settledPage(symbol, 0);
    const write = (owner: string, pages: number) =>
      store().write(settled, { id: job.id, update: { pages }, lease: { name: 'fence', owner } });
    await store().lease('fence', 'stalled', 0);
    expect(await store().lease('fence', 'next', 60_000)).toBe(true);
    await expect(write('stalled', 7)).rejects.toMatchObject({ fault: 'busy' });
    expect(await store().series({ ...NAME, symbol })).toBeNull();
    expect(await store().job(job.id)).toMatchObject({ pages: 0 });
    expect(await write('next', 1)).toMatchObject({ inserted: 5 });
    expect(await store().job(job.id)).toMatchObject({ pages: 1 });
  });

  test('jobs are counted by exchange, state and what they wait for', async () => {
    const add = (from: number) =>
      store().addJob({ ...NAME, exchange: 'counted', symbol: 'CO/UNT', from, to: 100, origin: 'api' }, 1);
    const jobs = [await add(1), await add(2), await add(3), await add(4)];
    for (const { id } of jobs.slice(0, 2))
      await store().updateJob(id, { state: 'waiting', waitingFor: 'budget' }, 2);
    await store().updateJob(jobs[2]?.id ?? '', { state: 'failed', error: 'why' }, 2);
    const counts = (await store().jobCounts()).filter(({ exchange }) => exchange === 'counted');
    const exchange = 'counted';
    expect(counts).toHaveLength(3);
    expect(counts).toEqual(
      expect.arrayContaining([
        { exchange, state: 'waiting', waitingFor: 'budget', jobs: 2 },
        { exchange, state: 'failed', waitingFor: null, jobs: 1 },
        { exchange, state: 'queued', waitingFor: null, jobs: 1 },
      ]),
    );
    for (const { id } of jobs) await store().updateJob(id, { state: 'cancelled' }, 3);
  });

  test('ended jobs beyond the newest are forgotten, open ones stay', async () => {
    const jobs = [];
    for (const from of [1, 2, 3])
      jobs.push(await store().addJob({ ...NAME, symbol: 'TR/IM', from, to: 100, origin: 'read' }, 1));
    const [first, second, third] = jobs;
    await store().updateJob(first?.id ?? '', { state: 'done' }, 2);
    await store().updateJob(third?.id ?? '', { state: 'failed', error: 'why' }, 2);
    await store().trimJobs(1);
    expect(await store().job(first?.id ?? '')).toBeNull();
    expect(await store().job(second?.id ?? '')).toMatchObject({ state: 'queued' });
    expect(await store().job(third?.id ?? '')).toMatchObject({ state: 'failed', error: 'why' });
  });

  test('a lease has one owner until it ends or runs out', async () => {
    expect(await store().lease('x', 'a', 60_000)).toBe(true);
    expect(await store().lease('x', 'b', 60_000)).toBe(false);
    expect(await store().lease('x', 'a', 0)).toBe(true);
    expect(await store().lease('x', 'b', 60_000)).toBe(true);
    await store().endLease('x', 'b');
    expect(await store().lease('x', 'a', 60_000)).toBe(true);
  });
};
