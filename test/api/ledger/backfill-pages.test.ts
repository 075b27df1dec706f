// Pages that are not what a backfill asked for, and how its range ends: the real CCXT over simulated venues.
import { afterEach, beforeEach, expect, test } from 'vitest';
import { backfill, DAY, done, LedgerRig, MINUTE, rangesOf, series } from './ledger-app.js';
import { exported, minutes, states, truth } from './backfill-rig.js';

let rig: LedgerRig;
beforeEach(async () => {
  rig = await LedgerRig.start();
});
afterEach(() => rig.close());

test('a hole in a page is empty; one between pages is unconfirmed', async () => {
  const app = await rig.app();
  const asked = minutes(rig, 2_000);
  const hole = (index: number, length: number) =>
    rig.sandbox.control.setFault({
      match: 'ohlcv',
      fault: {
        type: 'candles_hole',
        from: asked.from + index * MINUTE,
        to: asked.from + (index + length) * MINUTE,
      },
    });
  hole(1_400, 3);
  const job = await backfill(app, asked);
  expect(await done(app, job.id)).toMatchObject({ state: 'done', candles: 1_997 });
  expect(await states(app, asked)).toEqual([
    [0, 1_400, 'known'],
    [1_400, 1_403, 'empty', 'not_available_from_exchange'],
    [1_403, 2_000, 'known'],
  ]);
});

test('a hole where two pages meet is asked for on its own, and unconfirmed where it does not come', async () => {
  const app = await rig.app();
  const asked = minutes(rig, 2_000);
  const [from, to] = [asked.from + 998 * MINUTE, asked.from + 1_003 * MINUTE];
  rig.sandbox.control.setFault({ match: 'ohlcv', fault: { type: 'candles_hole', from, to } });
  const job = await backfill(app, asked);
  expect(await done(app, job.id)).toMatchObject({ state: 'done', percent: 100, candles: 1_995 });
  expect(await states(app, asked)).toEqual([
    [0, 998, 'known'],
    [998, 1_003, 'suspect', 'unconfirmed'],
    [1_003, 2_000, 'known'],
  ]);
});

test('an empty page between full ones stays unconfirmed', async () => {
  const app = await rig.app();
  const asked = minutes(rig, 3_000);
  await done(app, (await backfill(app, { ...asked, from: asked.from + 2_000 * MINUTE })).id);
  rig.sandbox.control.setFault({ match: 'ohlcv', times: 1, fault: { type: 'candles_empty' } });
  const job = await backfill(app, asked);
  expect(await done(app, job.id)).toMatchObject({ state: 'done', percent: 100, candles: 2_000 });
  expect(await states(app, asked)).toEqual([
    [0, 1_000, 'known'],
    [1_000, 2_000, 'suspect', 'unconfirmed'],
    [2_000, 3_000, 'known'],
  ]);
});

test.each(['first', 'latest'] as const)('pages with the %s few rows only: no hole is left', async (keep) => {
  const app = await rig.app();
  const asked = minutes(rig, 1_500);
  rig.sandbox.control.setFault({ match: 'ohlcv', fault: { type: 'candles_short', rows: 400, keep } });
  const job = await backfill(app, asked);
  expect(await done(app, job.id)).toMatchObject({ state: 'done', percent: 100, candles: 1_500 });
  expect(await states(app, asked)).toEqual([[0, 1_500, 'known']]);
  expect(await exported(app, asked)).toEqual(truth(rig, asked));
  expect(rig.candleRequests()).toBeLessThanOrEqual(8);
});

test('a venue that leaves out minutes without trades: they are no_trades, the export is the truth', async () => {
  const app = await rig.app();
  const thin = rig.sandbox.market.markets('coinbaseexchange').find((market) => market.thin);
  const asked = { ...minutes(rig, 600), exchange: 'coinbaseexchange', symbol: thin?.symbol ?? '' };
  const job = await backfill(app, asked);
  expect(await done(app, job.id)).toMatchObject({ state: 'done', percent: 100 });
  const of = series(asked.exchange, asked.symbol);
  expect(await exported(app, asked)).toEqual(truth(rig, asked));
  const ranges = await rangesOf(app, of, `&from=${asked.from}&to=${asked.to}`);
  expect(ranges).toContainEqual(expect.objectContaining({ state: 'empty', reason: 'no_trades' }));
  expect(ranges.filter(({ state }) => state === 'unknown' || state === 'pending')).toEqual([]);
});

test.each([
  ['binance', 'SOL/USDT', Date.UTC(2020, 7, 11)],
  ['coinbaseexchange', 'SOL/USD', Date.UTC(2020, 7, 11)],
  ['coinbaseexchange', 'MUSE/USD', Date.UTC(2021, 5, 1)],
])(
  'before the listing on %s of %s nothing is to be had, and that is known for good',
  async (exchange, symbol, listed) => {
    const app = await rig.app();
    const asked = { exchange, symbol, interval: '1h', from: listed - 40 * DAY, to: listed + DAY };
    const job = await backfill(app, asked);
    expect(await done(app, job.id)).toMatchObject({ state: 'done', percent: 100 });
    const of = series(exchange, symbol, '1h');
    const [before, ...rest] = await rangesOf(app, of, `&from=${asked.from}&to=${asked.to}`);
    expect(before).toMatchObject({ to: listed, state: 'unavailable', reason: 'before_listing' });
    expect(rest.map(({ state }) => state)).not.toContain('suspect');
    const answer = await app.inject(`/v1/markets/ohlcv?${of}&since=${listed - DAY}&limit=5`);
    expect(answer.json<{ gaps: object[] }>().gaps[0]).toMatchObject({
      reason: 'not_available_from_exchange',
    });
    rig.sandbox.control.resetLog();
    const earlier = await backfill(app, { ...asked, from: asked.from, to: listed });
    expect(await done(app, earlier.id)).toMatchObject({ state: 'done', pages: 0 });
    expect(rig.candleRequests()).toBe(0);
  },
);

test('Kraken keeps its latest 720: one request, the rest is unavailable', async () => {
  const app = await rig.app();
  const from = rig.now() - 30 * DAY;
  const job = await backfill(app, { exchange: 'kraken', symbol: 'BTC/USD', interval: '1m', from });
  expect(await done(app, job.id)).toMatchObject({ state: 'done', percent: 100, pages: 1 });
  expect(rig.candleRequests()).toBe(1);
  const [before] = await rangesOf(app, series('kraken', 'BTC/USD'), `&from=${from}`);
  expect(before).toMatchObject({ state: 'unavailable', reason: 'older_than_exchange_keeps' });
});
