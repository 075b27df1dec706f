import { describe, expect, it } from 'vitest';
import { parseInterval, type Interval } from '../../../../src/lib/intervals.js';
import type { CandlePlan, FetchPage } from '../../../../src/exchanges/ccxt/candle-pages.js';
import { collectCandles } from '../../../../src/exchanges/ccxt/candles.js';
import { venueQuirks, type VenueQuirks } from '../../../../src/exchanges/venues/venue-quirks.js';

const MINUTE = 60_000;
const NOW = Date.UTC(2026, 0, 14, 6, 15, 15);
const CURRENT = NOW - 15_000;
const interval = (text: string): Interval => {
  const parsed = parseInterval(text);
  if (parsed === undefined) throw new Error(text);
  return parsed;
};
const row = (timestamp: number) => ({ timestamp, open: 1, high: 2, low: 1, close: 2, volume: 3 });

/** A venue with the candles whose starts `has` accepts, in pages as its quirks say. */
const venue = (
  quirks: Partial<VenueQuirks>,
  { has = (): boolean => true, step = MINUTE, origin = 0 } = {},
) => {
  const all = { ...venueQuirks('any'), ...quirks };
  const asked: (number | undefined)[] = [];
  const newest = Math.floor((NOW - origin) / step) * step + origin;
  const fetchPage: FetchPage = ({ since, limit }) => {
    asked.push(since);
    const rows = [];
    const first =
      since === undefined ? newest - (limit - 1) * step : Math.ceil((since - origin) / step) * step + origin;
    const end =
      all.candleWindows && since !== undefined ? Math.min(newest, since + (limit - 1) * step) : newest;
    for (let at = first; at <= end && rows.length < limit; at += step)
      if ((has as (at: number) => boolean)(at)) rows.push(row(at));
    return Promise.resolve(rows);
  };
  return { quirks: all, asked, fetchPage };
};
const plan = (quirks: VenueQuirks, rest: Partial<CandlePlan> = {}): CandlePlan => ({
  interval: interval('1m'),
  since: undefined,
  limit: 10,
  now: () => NOW,
  quirks,
  ...rest,
});

describe('candles in pages', () => {
  it('have no hole and no repetition at the seams, and the last one is open', async () => {
    const { quirks, fetchPage, asked } = venue({ candlePage: 7 });
    const { candles, gaps, closesAt } = await collectCandles(plan(quirks, { limit: 50 }), fetchPage);
    expect(candles.map(({ timestamp }) => timestamp)).toEqual(
      Array.from({ length: 50 }, (_, i) => CURRENT - (49 - i) * MINUTE),
    );
    expect(candles.map(({ closed }) => closed)).toEqual([...Array.from({ length: 49 }, () => true), false]);
    expect(gaps).toEqual([]);
    expect(closesAt).toBe(CURRENT + MINUTE);
    expect(asked).toHaveLength(8);
  });

  it('end after so many pages even where the venue gives one row each', async () => {
    const { quirks, asked } = venue({ candlePage: 10 });
    let at = CURRENT - 5000 * MINUTE;
    const fetchPage: FetchPage = ({ since }) => {
      asked.push(since);
      at += MINUTE;
      return Promise.resolve([row(at)]);
    };
    await collectCandles(plan(quirks, { since: at, limit: 100 }), fetchPage);
    expect(asked).toHaveLength(20);
  });

  it('that are empty end the walk where a venue begins with its first candle, and are stepped over elsewhere', async () => {
    // Listed 250 minutes ago; asked about from 400 minutes ago on.
    const listed = CURRENT - 250 * MINUTE;
    const since = CURRENT - 400 * MINUTE;
    const quirks = { ...venueQuirks('any'), candlePage: 100 };
    const asked: (number | undefined)[] = [];
    const windows: FetchPage = ({ since: from = 0, limit }) => {
      asked.push(from);
      const starts = Array.from({ length: limit }, (_, index) => from + index * MINUTE);
      return Promise.resolve(starts.filter((at) => at >= listed && at <= CURRENT).map(row));
    };
    const stepped = await collectCandles(plan(quirks, { since, limit: 300 }), windows);
    expect(stepped.candles).toHaveLength(251);
    expect(stepped.gaps).toEqual([{ from: since, to: listed, reason: 'not_available_from_exchange' }]);
    // One more proves that the second page had nothing to give before its first row.
    expect(asked).toHaveLength(6);
    asked.length = 0;
    const last = { ...quirks, emptyPageIsLast: true };
    const { candles, gaps } = await collectCandles(plan(last, { since, limit: 300 }), windows);
    expect([asked.length, candles.length]).toEqual([1, 0]);
    expect(gaps).toEqual([{ from: since, to: CURRENT, reason: 'not_available_from_exchange' }]);
  });

  it('are all asked for in one call where the venue keeps but the latest', async () => {
    const { quirks, fetchPage, asked } = venue({ candlePage: 20, onlyLatestCandles: true });
    const { candles, gaps } = await collectCandles(plan(quirks, { limit: 50 }), fetchPage);
    expect(asked).toEqual([undefined]);
    expect(candles).toHaveLength(20);
    expect(gaps).toEqual([
      { from: CURRENT - 49 * MINUTE, to: CURRENT - 19 * MINUTE, reason: 'not_available_from_exchange' },
    ]);
  });

  it('name quiet minutes where the venue leaves them out, also at the end, but not the present one', async () => {
    const quiet = (at: number): boolean => at < CURRENT - 2 * MINUTE && at % (3 * MINUTE) !== 0;
    const { quirks, fetchPage } = venue(
      { candlePage: 10, candleWindows: true, omitsEmptyCandles: true },
      { has: quiet as () => boolean },
    );
    const { candles, gaps } = await collectCandles(
      plan(quirks, { limit: 12, since: CURRENT - 12 * MINUTE }),
      fetchPage,
    );
    const missing = new Set(
      gaps.flatMap(({ from, to }) =>
        Array.from({ length: (to - from) / MINUTE }, (_, i) => from + i * MINUTE),
      ),
    );
    for (const { timestamp } of candles) expect(missing.has(timestamp)).toBe(false);
    expect(candles.length + missing.size).toBe(12);
    expect(missing.has(CURRENT - MINUTE)).toBe(true);
    expect(gaps.filter(({ reason }) => reason === 'no_trades').length).toBeGreaterThan(1);
  });

  it('that no row came for are one gap', async () => {
    const { quirks, fetchPage } = venue({ candlePage: 10 }, { has: () => false });
    const since = CURRENT - 5 * MINUTE;
    const { candles, gaps, closesAt } = await collectCandles(plan(quirks, { since }), fetchPage);
    expect(candles).toEqual([]);
    expect(gaps).toEqual([{ from: since, to: CURRENT, reason: 'not_available_from_exchange' }]);
    expect(closesAt).toBe(CURRENT + MINUTE);
  });

  it('of history that is over never move', async () => {
    const { quirks, fetchPage } = venue({ candlePage: 10 });
    const old = await collectCandles(plan(quirks, { since: CURRENT - 100 * MINUTE }), fetchPage);
    expect(old).toMatchObject({ gaps: [], closesAt: null });
    const short = await collectCandles(plan(quirks, { since: CURRENT - 3 * MINUTE }), fetchPage);
    expect(short.candles).toHaveLength(4);
    expect(short).toMatchObject({ gaps: [], closesAt: CURRENT + MINUTE });
  });

  it('are open if they were when the venue was asked, however long its answer took', async () => {
    let now = CURRENT + 59_999;
    const { quirks, fetchPage } = venue({ candlePage: 10 });
    const slow: FetchPage = async (page) => {
      const rows = await fetchPage(page);
      now += 5000;
      return rows;
    };
    const since = CURRENT - 2 * MINUTE;
    const { candles, closesAt } = await collectCandles(plan(quirks, { now: () => now, since }), slow);
    expect(candles.at(-1)).toMatchObject({ timestamp: CURRENT, closed: false });
    expect(closesAt).toBe(CURRENT + MINUTE);
  });

  it.each([1, 2])('are the latest %i closed ones where the open one closed on the way', async (limit) => {
    let now = CURRENT + 59_999;
    const { quirks, fetchPage, asked } = venue({ candlePage: 10 });
    const slow: FetchPage = async (page) => {
      const rows = await fetchPage(page);
      now += 1;
      return rows;
    };
    const collected = await collectCandles(plan(quirks, { now: () => now, limit }), slow);
    expect(collected.candles.map(({ timestamp, closed }) => ({ timestamp, closed }))).toEqual(
      [2, 1].slice(-limit).map((ago) => ({ timestamp: CURRENT - ago * MINUTE, closed: true })),
    );
    // The period that has ended since is due.
    expect(collected).toMatchObject({ gaps: [], closesAt: CURRENT + MINUTE });
    expect(asked).toHaveLength(1);
  });

  it('are one less, and no gap, where as many as wanted came and the open one closed on the way', async () => {
    let now = CURRENT + 59_999;
    const { quirks, fetchPage } = venue({ candlePage: 10 });
    const slow: FetchPage = async (page) => {
      const rows = await fetchPage(page);
      now += 1;
      return rows;
    };
    const { candles, gaps } = await collectCandles(plan(quirks, { now: () => now, limit: 10 }), slow);
    expect([candles.length, candles[0]?.timestamp]).toEqual([9, CURRENT - 9 * MINUTE]);
    // Nobody asked the venue for the candle before them.
    expect(gaps).toEqual([]);
  });

  it('are the open one where there is no other, though it closed on the way', async () => {
    let now = CURRENT + 59_999;
    const { quirks } = venue({ candlePage: 10 });
    const listedNow: FetchPage = () => {
      now += 1;
      return Promise.resolve([row(CURRENT)]);
    };
    const { candles } = await collectCandles(plan(quirks, { now: () => now, limit: 1 }), listedNow);
    expect(candles).toMatchObject([{ timestamp: CURRENT, closed: false }]);
  });

  it('of weeks are those of the venue, wherever it begins them', async () => {
    const WEEK = 7 * 1440 * MINUTE;
    const { quirks, fetchPage } = venue({ candlePage: 4 }, { step: WEEK, origin: 0 });
    const weekly = { interval: interval('1w'), limit: 10 };
    const { candles, gaps } = await collectCandles(plan(quirks, weekly), fetchPage);
    const newest = Math.floor(NOW / WEEK) * WEEK;
    expect(candles.map(({ timestamp }) => timestamp)).toEqual(
      Array.from({ length: 10 }, (_, i) => newest - (9 - i) * WEEK),
    );
    expect(gaps).toEqual([]);
  });

  it('are never asked for, nor missed, before the epoch', async () => {
    const asked: unknown[] = [];
    const nothing: FetchPage = ({ since }) => {
      asked.push(since);
      return Promise.resolve([]);
    };
    const { quirks } = venue({ candlePage: 1000 });
    const months = plan(quirks, { interval: interval('1M'), limit: 2000 });
    expect((await collectCandles(months, nothing)).gaps).toMatchObject([{ from: 0 }]);
    // CCXT takes a period off.
    const latest = venue({ candlePage: 720, onlyLatestCandles: true }).quirks;
    await collectCandles(plan(latest, { since: 0 }), nothing);
    expect(asked).toEqual([undefined, MINUTE]);
  });

  it('miss nothing where a new one began while the answer was on its way', async () => {
    const { quirks } = venue({ candlePage: 10 });
    const next = CURRENT + MINUTE;
    const fetchPage: FetchPage = ({ limit }) =>
      Promise.resolve(Array.from({ length: limit }, (_, i) => row(next - (limit - 1 - i) * MINUTE)));
    const { candles, gaps } = await collectCandles(plan(quirks, { limit: 5 }), fetchPage);
    expect(candles.map(({ timestamp }) => timestamp)).toEqual([4, 3, 2, 1, 0].map((n) => next - n * MINUTE));
    expect(gaps).toEqual([]);
  });

  it('fail as a whole when a page fails', async () => {
    const { quirks, fetchPage, asked } = venue({ candlePage: 10 });
    const failing: FetchPage = (page) =>
      asked.length === 1 ? Promise.reject(new Error('page 2')) : fetchPage(page);
    await expect(collectCandles(plan(quirks, { limit: 30 }), failing)).rejects.toThrow('page 2');
  });
});
