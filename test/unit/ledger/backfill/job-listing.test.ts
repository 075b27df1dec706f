import { expect, test } from 'vitest';
import { AppError } from '../../../../src/errors.js';
import type { CandleTraits } from '../../../../src/exchanges/exchange-client.js';
import { createJobListing } from '../../../../src/ledger/backfill/job-listing.js';
import type { JobPlan, Work } from '../../../../src/ledger/backfill/job-plan.js';
import type { Coverage } from '../../../../src/ledger/coverage.js';
import type { AskPage } from '../../../../src/ledger/listing.js';
import type { CandleStore } from '../../../../src/ledger/store.js';
import { DAY, MINUTE, NAME, pageOf, T0 } from '../candle-data.js';

const JUMP: CandleTraits = { page: 1000, kind: 'jump', omitsEmpty: false };
const WINDOW: CandleTraits = { page: 300, kind: 'window', omitsEmpty: true };

const listingOf = (answer: AskPage, spelling?: string) => {
  const asked: { since: number; limit: number }[] = [];
  const noted: unknown[] = [];
  const listing = createJobListing(
    {
      ask: (name, page) => {
        asked.push(page);
        return answer(name, page);
      },
      spellingOf: () => spelling,
    },
    () => T0 + DAY,
  );
  const store = {
    noteListing: (name: object, of: object) => {
      noted.push({ ...name, ...of });
      return Promise.resolve();
    },
  } satisfies Pick<CandleStore, 'noteListing'>;
  const learn = (traits: CandleTraits, plan: Partial<JobPlan> = {}) =>
    listing.learn(
      store as unknown as CandleStore,
      { name: NAME, traits, intervals: ['1m', '1d'] } as unknown as Work,
      {
        ...{ series: null, span: { from: T0 - 10 * DAY, to: T0 + DAY }, coverage: [], traits, now: T0 + DAY },
        interval: { text: '1m', ms: MINUTE, months: 0, origin: 0 },
        done: null,
        ...plan,
      },
    );
  return { asked, noted, learn };
};
const range = (from: number, to: number, state: Coverage['state']): Coverage => ({
  ...{ from, to, state, reason: null, source: 'rest', recheckAt: null },
  ...{ checkedMin: 0, checkedMax: 0, firstSeen: 0 },
});
const first: AskPage = () => Promise.resolve(pageOf({ count: 1 }));

test('the first candle is noted once, under the spelling of the exchange and with the place of its periods', async () => {
  const { asked, noted, learn } = listingOf(first, 'BTC/USDT-SPOT');
  expect(await learn(JUMP)).toBe(true);
  expect(noted).toEqual([
    {
      ...NAME,
      ...{ symbol: 'BTC/USDT-SPOT', from: T0 - 10 * DAY, first: T0, at: T0 + DAY, anchor: 0 },
    },
  ]);
  expect(await learn(JUMP)).toBe(false);
  expect(asked).toHaveLength(1);
});

test('a search that failed is made again; one that the exchange refuses is not', async () => {
  let error = new AppError('upstream_rate_limited', 'too many');
  const { asked, learn } = listingOf(() => Promise.reject(error));
  await expect(learn(JUMP)).rejects.toBe(error);
  error = new AppError('upstream_error', 'too long ago');
  expect(await learn(JUMP)).toBe(false);
  expect(await learn(JUMP)).toBe(false);
  expect(asked).toHaveLength(2);
  const bug = new Error('a bug');
  await expect(listingOf(() => Promise.reject(bug)).learn(JUMP)).rejects.toBe(bug);
});

test('a venue that gives windows is searched where nothing came before what is known, and again only further back', async () => {
  // Days without end: three windows tell that there is more.
  const { asked, noted, learn } = listingOf((_name, { since, limit }) =>
    Promise.resolve(
      pageOf({
        rows: Array.from({ length: limit }, (_, index) => ({
          ...{ timestamp: since + index * DAY, open: 1, high: 1, low: 1, close: 1, volume: 1 },
        })),
      }),
    ),
  );
  const known = range(T0, T0 + DAY, 'known');
  expect(await learn(WINDOW, { coverage: [known] })).toBe(false);
  expect(await learn(WINDOW, { coverage: [known, range(T0 + DAY, T0 + 2 * DAY, 'suspect')] })).toBe(false);
  expect(asked).toHaveLength(0);
  const doubt = [range(T0 - DAY, T0, 'suspect'), known];
  expect(await learn(WINDOW, { coverage: doubt })).toBe(false);
  expect(asked).toHaveLength(3);
  expect(await learn(WINDOW, { coverage: doubt })).toBe(false);
  expect(asked).toHaveLength(3);
  const further = T0 - 1_000 * DAY;
  expect(await learn(WINDOW, { coverage: [range(further, T0, 'suspect')] })).toBe(false);
  expect(asked).toHaveLength(6);
  expect(noted).toEqual([]);
});

test('stored coverage decides whether the listing is searched, and where periods begin', async () => {
  const { asked, noted, learn } = listingOf(first);
  const series = {
    ...NAME,
    ...{ id: 1, anchor: 16, generation: 1, candles: 0, first: null, last: null, firstListed: T0 },
  };
  expect(await learn(JUMP, { series })).toBe(false);
  expect(await learn({ page: 720, kind: 'latest', omitsEmpty: false })).toBe(false);
  expect(asked).toEqual([]);
  expect(await learn(JUMP, { series: { ...series, firstListed: null } })).toBe(true);
  expect(noted).toMatchObject([{ ...NAME, anchor: 16 }]);
});
