import { expect, test } from 'vitest';
import { settlePage, type PageEvidence } from '../../../src/ledger/settle.js';
import { candleAt, DAY, MINUTE, pageOf, T0 } from './candle-data.js';

const settled = (given: Parameters<typeof pageOf>[0], settleMs = 10_000) => {
  const page = settlePage(pageOf(given), settleMs);
  return {
    rows: page?.rows.map(({ timestamp }) => (timestamp - T0) / MINUTE),
    ranges: page?.coverage.map(({ from, to, state }) => [(from - T0) / MINUTE, (to - T0) / MINUTE, state]),
    reasons: page?.coverage.map(({ reason }) => reason),
  };
};
const rowsOf = (...indices: number[]) => indices.map((index) => candleAt(index));

test('a candle is kept when its period has ended ten seconds ago, by the clock of the venue', () => {
  const page = (askedAt: number) => settled({ count: 3, askedAt }).rows;
  expect(page(T0 + 3 * MINUTE + 9_999)).toEqual([0, 1]);
  expect(page(T0 + 3 * MINUTE + 10_000)).toEqual([0, 1, 2]);
});

test('a page of nothing but the open candle is not kept', () => {
  expect(settlePage(pageOf({ count: 1, askedAt: T0 + MINUTE }), 10_000)).toBeNull();
});

test('a hole between candles of one page is empty; no_trades is said of venues that leave such periods out', () => {
  expect(settled({ rows: rowsOf(0, 3) })).toMatchObject({
    ranges: [
      [0, 1, 'known'],
      [1, 3, 'empty'],
      [3, 4, 'known'],
    ],
    reasons: [null, 'not_available_from_exchange', null],
  });
  expect(settled({ rows: rowsOf(0, 3), omitsEmpty: true }).reasons).toEqual([null, 'no_trades', null]);
});

test('a hole at the beginning of a page is suspect, and so is an empty page as far as it reaches', () => {
  expect(settled({ since: T0 - MINUTE, rows: rowsOf(3) }).ranges).toEqual([
    [-1, 3, 'suspect'],
    [3, 4, 'known'],
  ]);
  expect(settled({ rows: [], limit: 7 }).ranges).toEqual([[0, 7, 'suspect']]);
});

test('a short page of a venue that jumps says nothing of what follows it', () => {
  expect(settled({ rows: rowsOf(0, 1), limit: 10 }).ranges).toEqual([[0, 2, 'known']]);
});

test('a venue that jumps and is asked for more than a page before its first candle has nothing there', () => {
  expect(settled({ since: T0 - 1000 * MINUTE, rows: rowsOf(0) }).ranges?.[0]).toEqual([
    -1000,
    0,
    'unavailable',
  ]);
  expect(settled({ since: T0 - 999 * MINUTE, rows: rowsOf(0) }).ranges?.[0]).toEqual([-999, 0, 'suspect']);
});

test('a window speaks for its whole length', () => {
  expect(settled({ kind: 'window', rows: rowsOf(0, 1), limit: 10 }).ranges).toEqual([
    [0, 2, 'known'],
    [2, 10, 'suspect'],
  ]);
});

test('what is older than a venue keeps is not to be had; a hole within what it keeps is suspect', () => {
  // It gives 720 with the open one.
  const askedAt = T0 + 719 * MINUTE;
  const page = (first: number): Partial<PageEvidence> => ({
    kind: 'latest',
    limit: 720,
    pageSize: 720,
    askedAt,
    since: T0 - DAY,
    rows: rowsOf(first, first + 1),
  });
  expect(settled(page(0)).ranges?.[0]).toEqual([-1440, 0, 'unavailable']);
  expect(settled(page(2)).ranges?.slice(0, 2)).toEqual([
    [-1440, 0, 'unavailable'],
    [0, 2, 'suspect'],
  ]);
});

test('an answer that came a minute later than it was asked for keeps a minute less, and nothing of it is in doubt', () => {
  const asked = { kind: 'latest', limit: 720, pageSize: 720, since: T0 - DAY } as const;
  const rows = rowsOf(...Array.from({ length: 720 }, (_, index) => index));
  expect(settled({ ...asked, rows, askedAt: T0 + 719 * MINUTE - 1 }).ranges).toEqual([
    [-1440, 0, 'unavailable'],
    [0, 718, 'known'],
  ]);
});

test('days that begin at 16:00 UTC have an anchor of their own; days of 25 hours are not kept', () => {
  const midnight = T0 - (T0 % DAY);
  const days = (...starts: number[]) =>
    settlePage(
      pageOf({
        interval: '1d',
        askedAt: T0 + 30 * DAY,
        rows: starts.map((timestamp) => ({ ...candleAt(0), timestamp })),
      }),
      10_000,
    );
  expect(days(midnight, midnight + DAY)?.anchor).toBe(0);
  expect(days(midnight + DAY * (16 / 24))?.anchor).toBe(16 * 60 * MINUTE);
  expect(days(midnight, midnight + DAY + 60 * MINUTE)).toBeNull();
});

test('months are as long as they are', () => {
  const months = [Date.UTC(2023, 0, 1), Date.UTC(2023, 1, 1), Date.UTC(2023, 2, 1)];
  const page = settlePage(
    pageOf({
      interval: '1M',
      since: null,
      askedAt: Date.UTC(2023, 2, 15),
      rows: months.map((timestamp) => ({ ...candleAt(0), timestamp })),
    }),
    10_000,
  );
  expect(page?.rows).toHaveLength(2);
  expect(page?.coverage).toMatchObject([{ from: months[0], to: months[2], state: 'known' }]);
});
