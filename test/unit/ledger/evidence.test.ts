import { expect, test } from 'vitest';
import { feedPagesOf, pagesOf } from '../../../src/ledger/evidence.js';
import { MINUTE, NAME, T0 } from './candle-data.js';
import { feedCandle } from './ledger-rig.js';

test('a page of a venue keeps what it was asked and what the venue left out', () => {
  const rows = Float64Array.from([T0, 1, 2, 0.5, 1.5, 10, T0 + MINUTE, NaN, NaN, NaN, NaN, NaN]);
  const traits = { page: 300, kind: 'window', omitsEmpty: true } as const;
  const pages = [{ since: T0, limit: 2, askedAt: T0 + 5 * MINUTE, rows }];
  expect(pagesOf(NAME, { marketId: 'BTCUSDT', traits, pages })).toEqual([
    {
      ...NAME,
      ...{ marketId: 'BTCUSDT', source: 'rest', kind: 'window', omitsEmpty: true },
      ...{ since: T0, limit: 2, pageSize: 300, askedAt: T0 + 5 * MINUTE },
      rows: [
        { timestamp: T0, open: 1, high: 2, low: 0.5, close: 1.5, volume: 10 },
        { timestamp: T0 + MINUTE, open: null, high: null, low: null, close: null, volume: null },
      ],
    },
  ]);
});

test('candles of a feed: each run of neighbours is a page, open ones and holes prove nothing', () => {
  const candles = [feedCandle(0), feedCandle(1), feedCandle(4), feedCandle(5), feedCandle(6, false)];
  const pages = feedPagesOf(NAME, candles, T0 + 7 * MINUTE);
  expect(pages.map(({ rows }) => rows.map(({ timestamp }) => (timestamp - T0) / MINUTE))).toEqual([
    [0, 1],
    [4, 5],
  ]);
  expect(pages[0]).toMatchObject({
    ...NAME,
    ...{ marketId: null, source: 'websocket', since: null, limit: 2, askedAt: T0 + 7 * MINUTE },
  });
});

test('a feed of what is no interval gives no page', () => {
  expect(feedPagesOf({ ...NAME, interval: 'tick' }, [feedCandle(0)], T0)).toEqual([]);
});
