import { expect, test } from 'vitest';
import { findListing, type AskPage } from '../../../src/ledger/listing.js';
import type { CandleTraits } from '../../../src/exchanges/exchange-client.js';
import { DAY, NAME, pageOf } from './candle-data.js';

const NOW = Date.UTC(2024, 0, 1, 12);
const WINDOW: CandleTraits = { page: 300, kind: 'window', omitsEmpty: true };
const JUMP: CandleTraits = { page: 1000, kind: 'jump', omitsEmpty: false };

/** A venue with days from `listed` on, without those in `quiet`. */
const venue = (listed: number, quiet: readonly number[] = []) => {
  const asked: { interval: string; since: number; limit: number }[] = [];
  const ask: AskPage = ({ interval }, { since, limit }) => {
    asked.push({ interval, since, limit });
    const rows = Array.from({ length: limit }, (_, index) => since + index * DAY)
      .filter((start) => start >= listed && start <= NOW && !quiet.includes(start))
      .map((timestamp) => ({ timestamp, open: 1, high: 1, low: 1, close: 1, volume: 1 }));
    return Promise.resolve(pageOf({ rows }));
  };
  return { asked, ask };
};
const search = ({ ask }: { ask: AskPage }, traits = WINDOW, intervals = ['1m', '1d']) =>
  findListing(NAME, { traits, intervals, before: NOW }, ask);
const day = (daysAgo: number): number => Date.UTC(2024, 0, 1) - daysAgo * DAY;

test('a venue that jumps is asked for its first candle', async () => {
  const asked: object[] = [];
  const first: AskPage = (_name, page) => {
    asked.push(page);
    return Promise.resolve(pageOf({ count: 1 }));
  };
  expect(await search({ ask: first }, JUMP)).toEqual({ kind: 'found', first: pageOf({}).rows[0]?.timestamp });
  expect(asked).toEqual([{ since: 0, limit: 1 }]);
  expect(await search({ ask: () => Promise.resolve(pageOf({ rows: [] })) }, JUMP)).toEqual({
    kind: 'unknown',
  });
});

test('windows: a month without a day before the first one is before the listing', async () => {
  const young = venue(day(100));
  expect(await search(young)).toEqual({ kind: 'found', first: day(100) });
  expect(young.asked).toEqual([{ interval: '1d', since: day(299), limit: 300 }]);
});

test('windows: a few days without trades are no listing; the window before tells', async () => {
  const quiet = venue(day(500), [day(299), day(298)]);
  expect(await search(quiet)).toEqual({ kind: 'found', first: day(500) });
  expect(quiet.asked).toHaveLength(2);
  const just = venue(day(298));
  expect(await search(just)).toEqual({ kind: 'found', first: day(298) });
  expect(just.asked).toHaveLength(2);
});

test('windows: three of them at most; what is older stays open', async () => {
  const old = venue(day(5_000));
  expect(await search(old)).toEqual({ kind: 'older', than: day(899) });
  expect(old.asked).toHaveLength(3);
});

test('nothing is told by a window without a day, by a venue without days, or by one that gives its latest only', async () => {
  expect(await search(venue(NOW + DAY))).toEqual({ kind: 'unknown' });
  const { asked, ask } = venue(day(100));
  expect(await search({ ask }, WINDOW, ['1m'])).toEqual({ kind: 'unknown' });
  expect(await search({ ask }, { page: 720, kind: 'latest', omitsEmpty: false })).toEqual({
    kind: 'unknown',
  });
  expect(asked).toEqual([]);
});
