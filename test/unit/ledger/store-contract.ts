/** What every candle store must do: the same suite over SQLite and PostgreSQL. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { settlePage } from '../../../src/ledger/settle.js';
import type { CandleStore } from '../../../src/ledger/store.js';
import { candleAt, DAY, MINUTE, NAME, pageOf, T0 } from './candle-data.js';
import { jobContract } from './job-contract.js';

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

    jobContract(() => store);

    test('the whole is counted, and found sound', async () => {
      const totals = await store.totals();
      expect(totals.series).toBeGreaterThan(10);
      expect(totals.candles).toBeGreaterThan(50);
      expect(totals.bytes).toBeGreaterThan(0);
      expect(await store.check()).toEqual([]);
    });
  });
};
