/** What every candle store must do: the same suite over SQLite and PostgreSQL. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { settlePage, type PageEvidence } from '../../../src/ledger/settle.js';
import type { CandleStore } from '../../../src/ledger/store.js';

export const MINUTE = 60_000;
/** 2023-11-14T22:13:20.000Z, rounded down to the minute. */
export const T0 = 1_700_000_000_000 - (1_700_000_000_000 % MINUTE);
export const DAY = 1440 * MINUTE;

export const candleAt = (index: number, close = 100 + index) => ({
  timestamp: T0 + index * MINUTE,
  open: close - 0.25,
  high: close + 1.1,
  low: close - 1.3,
  close,
  volume: index % 7 === 0 ? null : index * 0.1,
});

export const pageOf = (
  given: Partial<PageEvidence> & { readonly first?: number; readonly count?: number },
): PageEvidence => {
  const { first = 0, count = 5, ...page } = given;
  return {
    exchange: 'binance',
    symbol: 'BTC/USDT',
    interval: '1m',
    marketId: 'BTCUSDT',
    source: 'rest',
    kind: 'jump',
    omitsEmpty: false,
    since: T0 + first * MINUTE,
    limit: 1000,
    pageSize: 1000,
    askedAt: T0 + DAY,
    rows: Array.from({ length: count }, (_, index) => candleAt(first + index)),
    ...page,
  };
};

export const NAME = { exchange: 'binance', symbol: 'BTC/USDT', interval: '1m' } as const;

const writing =
  (store: CandleStore) =>
  (given: Parameters<typeof pageOf>[0], settleMs = 10_000) => {
    const settled = settlePage(pageOf(given), settleMs);
    if (settled === null) throw new Error('nothing is settled');
    return store.write(settled);
  };

const candlesOf = (json: Uint8Array): unknown[] => {
  const parsed: unknown[] = JSON.parse(`[${Buffer.from(json).toString()}]`);
  return parsed;
};

export const storeContract = (
  name: string,
  open: () => Promise<{ readonly store: CandleStore; readonly end: () => Promise<void> }>,
): void => {
  describe(name, () => {
    let store: CandleStore;
    let end: () => Promise<void>;
    beforeAll(async () => {
      ({ store, end } = await open());
    });
    afterAll(() => end());

    const states = async (symbol: string) => {
      const series = await store.series({ ...NAME, symbol });
      const ranges = series === null ? [] : await store.coverage(series.id, null, 1000);
      return ranges.map(({ from, to, state, reason }) => [
        (from - T0) / MINUTE,
        (to - T0) / MINUTE,
        state,
        ...(reason === null ? [] : [reason]),
      ]);
    };

    test('candles come back as the numbers they were, oldest first and closed', async () => {
      const symbol = 'NUM/BERS';
      const odd = {
        timestamp: T0,
        open: 0.1 + 0.2,
        high: 1e-7,
        low: 5e-300,
        close: 123_456_789.123_456_7,
        volume: null,
      };
      await writing(store)({
        symbol,
        rows: [odd, candleAt(1, 1e21), { ...odd, timestamp: T0 + 2 * MINUTE, low: 0.999_999_999_999_999_9 }],
      });
      const found = await store.read({ ...NAME, symbol, from: T0, to: T0 + DAY, limit: 10, newest: false });
      expect(candlesOf(found?.json ?? new Uint8Array())).toEqual([
        { ...odd, closed: true },
        { ...candleAt(1, 1e21), closed: true },
        { ...odd, timestamp: T0 + 2 * MINUTE, low: 0.999_999_999_999_999_9, closed: true },
      ]);
      expect(found).toMatchObject({ count: 3, first: T0, last: T0 + 2 * MINUTE });
    });

    test('a range is read from its beginning or from its end, at most so many candles', async () => {
      const symbol = 'LIM/IT';
      await writing(store)({ symbol, count: 10 });
      const range = { ...NAME, symbol, from: T0 + 2 * MINUTE, to: T0 + 9 * MINUTE, limit: 3 };
      const times = async (newest: boolean) =>
        candlesOf((await store.read({ ...range, newest }))?.json ?? new Uint8Array());
      expect(await times(false)).toMatchObject(
        [2, 3, 4].map((index) => ({ timestamp: T0 + index * MINUTE })),
      );
      expect(await times(true)).toMatchObject([6, 7, 8].map((index) => ({ timestamp: T0 + index * MINUTE })));
    });

    test('nothing stored is told from something stored', async () => {
      expect(await store.series({ ...NAME, symbol: 'NO/NE' })).toBeNull();
      expect(
        await store.read({ ...NAME, symbol: 'NO/NE', from: 0, to: T0, limit: 1, newest: false }),
      ).toBeNull();
    });

    test('pages that meet become one known range; what lies between pages stays unknown', async () => {
      const symbol = 'ME/ET';
      await writing(store)({ symbol, first: 0 });
      await writing(store)({ symbol, first: 5 });
      await writing(store)({ symbol, first: 20 });
      expect(await states(symbol)).toEqual([
        [0, 10, 'known'],
        [20, 25, 'known'],
      ]);
      expect(await store.series({ ...NAME, symbol })).toMatchObject({
        candles: 15,
        generation: 1,
        anchor: 0,
        first: T0,
        last: T0 + 24 * MINUTE,
      });
    });

    test('the same page twice changes nothing', async () => {
      const symbol = 'TW/ICE';
      await writing(store)({ symbol });
      expect(await writing(store)({ symbol })).toMatchObject({ inserted: 0, revised: 0 });
      expect(await states(symbol)).toEqual([[0, 5, 'known']]);
    });

    test('a corrected candle replaces the whole one, which is kept as a revision', async () => {
      const symbol = 'CORR/ECT';
      await writing(store)({ symbol });
      const at = T0 + DAY + 900_000;
      const written = await writing(store)({ symbol, first: 2, rows: [candleAt(2, 77)], askedAt: at });
      expect(written).toMatchObject({ inserted: 0, revised: 1, disputed: 0 });
      const series = await store.series({ ...NAME, symbol });
      expect(await store.revisions(series?.id ?? 0, null, 10)).toEqual([
        { ...candleAt(2), rev: 1, source: 'rest', seenAt: T0 + DAY, replacedAt: at, disputed: false },
      ]);
      const [stored] = await store.rows(series?.id ?? 0, { from: T0 + 2 * MINUTE, to: T0 + 3 * MINUTE }, 10);
      expect(stored).toEqual(candleAt(2, 77));
    });

    test('a candle that goes back and forth is disputed: the last one stays', async () => {
      const symbol = 'DIS/PUTE';
      for (const [index, close] of [10, 20, 10, 30].entries())
        await writing(store)({ symbol, rows: [candleAt(0, close)], askedAt: T0 + DAY + index * 60_000 });
      const series = await store.series({ ...NAME, symbol });
      const revisions = await store.revisions(series?.id ?? 0, null, 10);
      expect(revisions.map(({ rev, close, disputed }) => [rev, close, disputed])).toEqual([
        [2, 20, true],
        [1, 10, false],
      ]);
      expect(await store.rows(series?.id ?? 0, { from: T0, to: T0 + MINUTE }, 1)).toEqual([candleAt(0, 10)]);
    });

    test('REST replaces what a feed said, and never the reverse', async () => {
      const symbol = 'RA/NK';
      const rows = (close: number) => ({ symbol, rows: [candleAt(0, close)] });
      await writing(store)({ ...rows(1), source: 'websocket' });
      await writing(store)({ ...rows(2), source: 'rest' });
      await writing(store)({ ...rows(3), source: 'websocket', askedAt: T0 + DAY + 1 });
      const series = await store.series({ ...NAME, symbol });
      expect(await store.rows(series?.id ?? 0, { from: T0, to: T0 + MINUTE }, 1)).toEqual([candleAt(0, 2)]);
    });

    test('a candle that turns up where none was makes the range known', async () => {
      const symbol = 'LA/TE';
      await writing(store)({ symbol, rows: [candleAt(0), candleAt(3)] });
      expect(await states(symbol)).toEqual([
        [0, 1, 'known'],
        [1, 3, 'empty', 'not_available_from_exchange'],
        [3, 4, 'known'],
      ]);
      await writing(store)({ symbol, first: 1, count: 2 });
      expect(await states(symbol)).toEqual([[0, 4, 'known']]);
    });

    test('an empty page is suspect, and believed when it is empty again half an hour later', async () => {
      const symbol = 'EMP/TY';
      await writing(store)({ symbol, first: 10 });
      const empty = { symbol, first: 20, count: 0, limit: 5 };
      await writing(store)(empty);
      expect((await states(symbol)).at(-1)).toEqual([20, 25, 'suspect', 'unconfirmed']);
      await writing(store)({ ...empty, askedAt: T0 + DAY + 5 * MINUTE });
      expect((await states(symbol)).at(-1)).toEqual([20, 25, 'suspect', 'unconfirmed']);
      await writing(store)({ ...empty, askedAt: T0 + DAY + 31 * MINUTE });
      expect((await states(symbol)).at(-1)?.slice(0, 3)).toEqual([20, 25, 'empty']);
    });

    test('another market behind the same symbol is another generation', async () => {
      const symbol = 'LU/NA';
      await writing(store)({ symbol, count: 3 });
      const relisted = await writing(store)({ symbol, first: 100, count: 2, marketId: 'LUNA2' });
      expect(relisted).toMatchObject({ begun: 'relisted', inserted: 2 });
      // A feed does not say which market it is: its candles belong to the newest.
      const fed = await writing(store)({ symbol, first: 102, marketId: null, source: 'websocket', count: 1 });
      expect(fed).toMatchObject({ begun: null, inserted: 1 });
      expect(await store.series({ ...NAME, symbol })).toMatchObject({ generation: 2, candles: 3 });
      expect((await store.allSeries()).filter((series) => series.symbol === symbol)).toHaveLength(2);
    });

    test('periods that lie elsewhere are another series', async () => {
      const symbol = 'AN/CHOR';
      const days = (offset: number) => ({
        symbol,
        interval: '1d',
        askedAt: T0 + 30 * DAY,
        rows: [0, 1].map((index) => ({ ...candleAt(0), timestamp: T0 - (T0 % DAY) + offset + index * DAY })),
      });
      expect(await writing(store)(days(0))).toMatchObject({ begun: 'first' });
      const moved = await writing(store)({ ...days(16 * 60 * MINUTE), askedAt: T0 + 31 * DAY });
      expect(moved).toMatchObject({ begun: 'moved', inserted: 2 });
      const own = { ...NAME, symbol, interval: '1d' };
      const series = await store.series(own);
      expect(series).toMatchObject({ anchor: 16 * 60 * MINUTE, candles: 2, generation: 1 });
      // An empty page does not show where its periods begin.
      const empty = await writing(store)({ ...days(0), rows: [], kind: 'window', askedAt: T0 + 32 * DAY });
      expect(empty).toEqual({ begun: null, inserted: 0, revised: 0, disputed: 0, suspect: 0 });
      await store.noteListing(own, { from: 0, first: (series?.first ?? 0) - DAY, at: T0 + 32 * DAY });
      expect(await store.series(own)).toMatchObject({
        id: series?.id,
        firstListed: (series?.first ?? 0) - DAY,
      });
    });

    test('a listing is kept of a series of which nothing else is known, and what was there is not listed earlier', async () => {
      const own = { ...NAME, symbol: 'LIS/T2' };
      await store.noteListing(own, { from: T0, first: T0, at: T0 + DAY });
      expect(await store.series(own)).toMatchObject({ firstListed: T0, candles: 0, first: null, last: null });
      expect(await states('LIS/T2')).toEqual([]);
    });

    test('before a proven listing nothing is to be had', async () => {
      const symbol = 'LIS/TED';
      await writing(store)({ symbol, first: 100 });
      await store.noteListing({ ...NAME, symbol }, { from: T0, first: T0 + 100 * MINUTE, at: T0 + DAY });
      expect(await states(symbol)).toEqual([
        [0, 100, 'unavailable', 'before_listing'],
        [100, 105, 'known'],
      ]);
      expect(await store.series({ ...NAME, symbol })).toMatchObject({ firstListed: T0 + 100 * MINUTE });
    });

    test('a symbol is found however it is spelled, the exact one first', async () => {
      await writing(store)({ symbol: 'SPE/LL' });
      await writing(store)({ symbol: 'spe/ll' });
      expect(await store.spelling('binance', 'spe-ll')).toBe('SPE/LL');
      expect(await store.spelling('binance', 'spe/ll')).toBe('spe/ll');
      expect(await store.spelling('kraken', 'SPE/LL')).toBeNull();
    });

    test('jobs: an equal open one is given, an ended one stays ended', async () => {
      const wanted = { ...NAME, from: T0, to: T0 + DAY, origin: 'api' } as const;
      const job = await store.addJob(wanted, 1);
      expect(job).toMatchObject({ ...wanted, state: 'queued', percent: 0, pages: 0, waitingFor: null });
      expect((await store.addJob(wanted, 2)).id).toBe(job.id);
      await store.updateJob(
        job.id,
        { state: 'running', percent: 12.5, reached: T0, waitingFor: 'budget' },
        3,
      );
      expect(await store.job(job.id)).toMatchObject({
        state: 'running',
        percent: 12.5,
        reached: T0,
        updatedAt: 3,
      });
      await store.updateJob(job.id, { state: 'cancelled' }, 4);
      expect(await store.updateJob(job.id, { state: 'running' }, 5)).toBeNull();
      expect((await store.addJob(wanted, 6)).id).not.toBe(job.id);
      expect((await store.openJobs()).map(({ id }) => id)).not.toContain(job.id);
      expect((await store.jobs(1))[0]).toMatchObject({ state: 'queued', createdAt: 6 });
    });

    test('jobs up to the latest candle: an open one is extended, and does not end at the end it had before', async () => {
      const symbol = 'LAT/EST';
      const at = T0 + DAY;
      const add = (to: number, postedAt: number, latestWithin?: number) =>
        store.addJob({ ...NAME, symbol, from: T0, to, origin: 'api', latestWithin }, postedAt);
      const job = await add(at, at + 20_000, 70_000);
      const later = await add(at + MINUTE, at + 80_000, 70_000);
      expect(later).toMatchObject({ id: job.id, to: at + MINUTE, state: 'queued' });
      expect((await add(at + MINUTE, at + 90_000, 70_000)).id).toBe(job.id);
      // Its worker knew the end of before.
      expect(await store.updateJob(job.id, { state: 'done', ifTo: at }, at + 90_000)).toBeNull();
      expect(await store.job(job.id)).toMatchObject({ state: 'queued' });
      // Other ranges stay jobs of their own: one that ends long ago, one with an end of its own, one that reaches further.
      const ended = await add(at - DAY / 2, at + 100_000);
      expect(ended.id).not.toBe(job.id);
      const explicit = await add(at + 2 * MINUTE, at + 140_000);
      expect(explicit.id).not.toBe(job.id);
      const next = await add(at + 3 * MINUTE, at + 200_000, 70_000);
      expect(next).toMatchObject({ id: job.id, to: at + 3 * MINUTE });
      expect(await store.job(ended.id)).toMatchObject({ to: at - DAY / 2 });
      expect(
        await store.updateJob(job.id, { state: 'done', ifTo: at + 3 * MINUTE }, at + 210_000),
      ).toMatchObject({
        state: 'done',
      });
      expect((await add(at + 4 * MINUTE, at + 260_000, 70_000)).id).not.toBe(job.id);
    });

    test('a page and the progress of its job are written together', async () => {
      const job = await store.addJob({ ...NAME, symbol: 'JO/B', from: 0, to: null, origin: 'setting' }, 1);
      const settled = settlePage(pageOf({ symbol: 'JO/B' }), 0);
      if (settled === null) throw new Error('nothing is settled');
      await store.write(settled, { id: job.id, update: { state: 'running', pages: 1, candles: 5 } });
      expect(await store.job(job.id)).toMatchObject({ to: null, pages: 1, candles: 5 });
    });

    test('what is due comes again until it is ended', async () => {
      await writing(store)({ symbol: 'DU/E' });
      const due = { ...NAME, symbol: 'DU/E', at: 500, from: T0, to: T0 + MINUTE };
      await store.addDue(due);
      await store.addDue(due);
      expect(await store.takeDue(499, 10, 800)).toEqual([]);
      expect(await store.takeDue(500, 10, 800)).toEqual([{ ...due, at: 800 }]);
      expect(await store.takeDue(799, 10, 900)).toEqual([]);
      const [again] = await store.takeDue(800, 10, 900);
      expect(again).toEqual({ ...due, at: 900 });
      await store.endDue({ ...due, at: 900 });
      expect(await store.takeDue(10_000, 10, 20_000)).toEqual([]);
      await store.addDue({ ...due, symbol: 'NEVER/STORED' });
      expect(await store.takeDue(10_000, 10, 20_000)).toEqual([]);
    });

    test('a page of a job is written only while its lease is held', async () => {
      const symbol = 'FEN/CE';
      const job = await store.addJob({ ...NAME, symbol, from: 0, to: null, origin: 'api' }, 1);
      const settled = settlePage(pageOf({ symbol }), 0);
      if (settled === null) throw new Error('nothing is settled');
      const write = (owner: string, pages: number) =>
        store.write(settled, { id: job.id, update: { pages }, lease: { name: 'fence', owner } });
      await store.lease('fence', 'stalled', 0);
      expect(await store.lease('fence', 'next', 60_000)).toBe(true);
      await expect(write('stalled', 7)).rejects.toMatchObject({ fault: 'busy' });
      expect(await store.series({ ...NAME, symbol })).toBeNull();
      expect(await store.job(job.id)).toMatchObject({ pages: 0 });
      expect(await write('next', 1)).toMatchObject({ inserted: 5 });
      expect(await store.job(job.id)).toMatchObject({ pages: 1 });
    });

    test('jobs are counted by exchange, state and what they wait for', async () => {
      const add = (from: number) =>
        store.addJob({ ...NAME, exchange: 'counted', symbol: 'CO/UNT', from, to: 100, origin: 'api' }, 1);
      const jobs = [await add(1), await add(2), await add(3), await add(4)];
      for (const { id } of jobs.slice(0, 2))
        await store.updateJob(id, { state: 'waiting', waitingFor: 'budget' }, 2);
      await store.updateJob(jobs[2]?.id ?? '', { state: 'failed', error: 'why' }, 2);
      const counts = (await store.jobCounts()).filter(({ exchange }) => exchange === 'counted');
      const exchange = 'counted';
      expect(counts).toHaveLength(3);
      expect(counts).toEqual(
        expect.arrayContaining([
          { exchange, state: 'waiting', waitingFor: 'budget', jobs: 2 },
          { exchange, state: 'failed', waitingFor: null, jobs: 1 },
          { exchange, state: 'queued', waitingFor: null, jobs: 1 },
        ]),
      );
      for (const { id } of jobs) await store.updateJob(id, { state: 'cancelled' }, 3);
    });

    test('ended jobs beyond the newest are forgotten, open ones stay', async () => {
      const jobs = [];
      for (const from of [1, 2, 3])
        jobs.push(await store.addJob({ ...NAME, symbol: 'TR/IM', from, to: 100, origin: 'read' }, 1));
      const [first, second, third] = jobs;
      await store.updateJob(first?.id ?? '', { state: 'done' }, 2);
      await store.updateJob(third?.id ?? '', { state: 'failed', error: 'why' }, 2);
      await store.trimJobs(1);
      expect(await store.job(first?.id ?? '')).toBeNull();
      expect(await store.job(second?.id ?? '')).toMatchObject({ state: 'queued' });
      expect(await store.job(third?.id ?? '')).toMatchObject({ state: 'failed', error: 'why' });
    });

    test('a lease has one owner until it ends or runs out', async () => {
      expect(await store.lease('x', 'a', 60_000)).toBe(true);
      expect(await store.lease('x', 'b', 60_000)).toBe(false);
      expect(await store.lease('x', 'a', 0)).toBe(true);
      expect(await store.lease('x', 'b', 60_000)).toBe(true);
      await store.endLease('x', 'b');
      expect(await store.lease('x', 'a', 60_000)).toBe(true);
    });

    test('what is older than it is to be kept is forgotten whole, with its revisions', async () => {
      const symbol = 'OL/D';
      await writing(store)({ symbol, count: 10 });
      for (const index of [2, 6])
        await writing(store)({
          ...{ symbol, first: index, rows: [candleAt(index, 77)] },
          askedAt: T0 + DAY + MINUTE,
        });
      const series = await store.series({ ...NAME, symbol });
      const id = series?.id ?? 0;
      expect(await store.deleteBefore({ ...NAME, symbol, id }, T0 + 4 * MINUTE)).toBe(4);
      expect(await states(symbol)).toEqual([[4, 10, 'known']]);
      expect(await store.series({ ...NAME, symbol })).toMatchObject({ candles: 6 });
      const revised = await store.revisions(id, null, 10);
      expect(revised.map(({ timestamp }) => timestamp)).toEqual([T0 + 6 * MINUTE]);
      const span = { from: T0 + 6 * MINUTE, to: T0 + 7 * MINUTE };
      expect(await store.revisions(id, span, 10)).toEqual(revised);
      expect(await store.revisions(id, { from: T0, to: span.from }, 10)).toEqual([]);
    });

    test('what is written beside is read back; space is given back', async () => {
      expect(await store.meta('colour')).toBeNull();
      await store.setMeta('colour', 'red');
      await store.setMeta('colour', 'blue');
      expect(await store.meta('colour')).toBe('blue');
      await store.vacuum();
      expect(await store.meta('colour')).toBe('blue');
    });

    test('a write that fails leaves nothing of itself', async () => {
      const symbol = 'HALF/WAY';
      const settled = settlePage(pageOf({ symbol }), 0);
      if (settled === null) throw new Error('nothing is settled');
      const broken = { ...settled, coverage: settled.coverage.map((range) => ({ ...range, to: NaN })) };
      await expect(store.write(broken)).rejects.toMatchObject({ name: 'StoreError' });
      expect(await store.series({ ...NAME, symbol })).toBeNull();
      expect(await store.write(settled)).toMatchObject({ inserted: 5 });
    });

    test('the whole is counted, and found sound', async () => {
      const totals = await store.totals();
      expect(totals.series).toBeGreaterThan(10);
      expect(totals.candles).toBeGreaterThan(50);
      expect(totals.bytes).toBeGreaterThan(0);
      expect(await store.check()).toEqual([]);
    });
  });
};
