// Pages that a venue refuses or cuts short, walked by what came.
import { expect, test } from 'vitest';
import { AppError } from '../../../../src/errors.js';
import { parseInterval } from '../../../../src/lib/intervals.js';
import type { CandlePlan, FetchPage } from '../../../../src/exchanges/ccxt/candle-pages.js';
import { collectCandles } from '../../../../src/exchanges/ccxt/candles.js';
import { PageRefusedError, type PageRefusal } from '../../../../src/exchanges/ccxt/candle-pages.js';
import { venueQuirks, type VenueQuirks } from '../../../../src/exchanges/venues/venue-quirks.js';

const MINUTE = 60_000;
const NOW = Date.UTC(2026, 0, 14, 6, 15, 15);
const CURRENT = NOW - 15_000;
const ago = (minutes: number): number => CURRENT - minutes * MINUTE;
const minute = parseInterval('1m');

const refused = (refusal: PageRefusal): AppError =>
  new AppError('upstream_error', 'refused', { cause: new PageRefusedError(refusal, null) });
const TOO_OLD: PageRefusal = { kind: 'too_old', count: 100, unit: 'points' };

interface Page {
  readonly since: number | undefined;
  readonly limit: number;
}

/** Every minute from `since` on (or the latest), of which `cut` keeps what the venue gives. */
const collect = (
  quirks: Partial<VenueQuirks>,
  range: Partial<CandlePlan>,
  cut: (starts: number[], page: Page) => number[] = (starts) => starts,
) => {
  const asked: Page[] = [];
  const fetchPage: FetchPage = (page) => {
    asked.push(page);
    const { since = ago(page.limit - 1), limit } = page;
    const first = Math.ceil(since / MINUTE) * MINUTE;
    const starts = Array.from({ length: limit }, (_, index) => first + index * MINUTE);
    const given = cut(
      starts.filter((at) => at <= CURRENT),
      page,
    );
    return Promise.resolve(
      given.map((timestamp) => ({ timestamp, open: 1, high: 2, low: 1, close: 2, volume: 3 })),
    );
  };
  if (minute === undefined) throw new Error('1m is an interval');
  const plan = { interval: minute, since: undefined, limit: 10, now: () => NOW };
  const collected = collectCandles(
    { ...plan, ...range, quirks: { ...venueQuirks('any'), ...quirks } },
    (page) => fetchPage(page),
  );
  return { asked, collected };
};
const startsOf = async ({ collected }: ReturnType<typeof collect>): Promise<number[]> =>
  (await collected).candles.map(({ timestamp }) => (CURRENT - timestamp) / MINUTE);
const minutesAgo = (from: number, to: number): number[] =>
  Array.from({ length: from - to }, (_, index) => from - index);
const refuseBefore =
  (oldest: number, refusal: PageRefusal) =>
  (starts: number[], { since }: Page): number[] => {
    if (since !== undefined && since < oldest) throw refused(refusal);
    return starts;
  };

test('the latest before an end reach back to what the venue keeps, and no further', async () => {
  const walk = collect({ candlePage: 50 }, { until: ago(20), limit: 300 }, refuseBefore(ago(99), TOO_OLD));
  expect(await startsOf(walk)).toEqual(minutesAgo(99, 20));
  expect((await walk.collected).gaps).toEqual([
    { from: ago(320), to: ago(99), reason: 'not_available_from_exchange' },
  ]);
});

test('nothing before what the venue keeps is asked for again', async () => {
  // It keeps 10: all of them are known when the page before them is refused.
  const ten = { ...TOO_OLD, count: 10 };
  const walk = collect({ candlePage: 10 }, { limit: 40 }, refuseBefore(ago(9), ten));
  expect(await startsOf(walk)).toEqual(minutesAgo(9, -1));
  expect(walk.asked).toHaveLength(2);
});

test.each([
  ['gives nothing of it', () => []],
  [
    'refuses that too',
    () => {
      throw refused(TOO_OLD);
    },
  ],
] as const)('a venue that says what it keeps and %s is believed in what it gives', async (_name, rest) => {
  let refusals = 0;
  const walk = collect({ candlePage: 50 }, { until: ago(20), limit: 300 }, (starts, { since }) => {
    if (since !== undefined && since < ago(99)) {
      refusals += 1;
      throw refused(TOO_OLD);
    }
    return refusals > 0 ? rest() : starts;
  });
  expect(await startsOf(walk)).toEqual(minutesAgo(70, 20));
  expect(walk.asked).toHaveLength(3);
});

test('a page before an end that is too long is asked for in shorter ones', async () => {
  const walk = collect({ candlePage: 100 }, { until: ago(20), limit: 100 }, (starts, { limit }) => {
    if (limit > 40) throw refused({ kind: 'too_many', most: 40 });
    return starts;
  });
  expect(await startsOf(walk)).toEqual(minutesAgo(120, 20));
  expect(walk.asked.map(({ limit }) => limit)).toEqual([100, 40, 40, 20]);
  expect((await walk.collected).traits).toEqual({ rows: 40 });
});

test('a venue that calls the shortest page too long fails the call', async () => {
  const walk = collect({ candlePage: 100 }, { since: ago(200), limit: 100 }, () => {
    throw refused({ kind: 'too_many', most: null });
  });
  await expect(walk.collected).rejects.toMatchObject({ code: 'upstream_error' });
  expect(walk.asked.map(({ limit }) => limit)).toEqual([100, 50, 25, 12, 6, 3]);
});

test('the latest rows can not be refused as too old', async () => {
  const walk = collect({ candlePage: 100 }, {}, () => {
    throw refused(TOO_OLD);
  });
  await expect(walk.collected).rejects.toMatchObject({ code: 'upstream_error' });
});

test('a page before an end of which only the oldest rows come is filled up to the end', async () => {
  const walk = collect({ candlePage: 100 }, { until: ago(20), limit: 100 }, (starts) => starts.slice(0, 30));
  expect(await startsOf(walk)).toEqual(minutesAgo(120, 20));
});

test('a venue that gives its latest only is asked for all it has, also before an end', async () => {
  const walk = collect({ candlePage: 60, onlyLatestCandles: true }, { until: ago(20), limit: 10 });
  expect(await startsOf(walk)).toEqual(minutesAgo(30, 20));
  expect(walk.asked).toEqual([{ since: undefined, limit: 60 }]);
});

test('a whole page that begins behind its start tells that there is nothing before', async () => {
  const listed = ago(150);
  const walk = collect({ candlePage: 50 }, { since: ago(300), limit: 100 }, (_starts, { since = 0, limit }) =>
    Array.from({ length: limit }, (_, index) => Math.max(since, listed) + index * MINUTE).filter(
      (at) => at <= CURRENT,
    ),
  );
  expect(await startsOf(walk)).toEqual(minutesAgo(150, 50));
  expect(walk.asked).toHaveLength(2);
});
