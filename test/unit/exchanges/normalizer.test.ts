import { NO_STATS } from '../../../src/schemas/market.js';
import { describe, expect, it } from 'vitest';
import {
  normalizeCandles,
  normalizeOrderBook,
  normalizeTicker,
  normalizeTrades,
} from '../../../src/exchanges/normalizer.js';

const NOW = Date.UTC(2026, 0, 14);
const infoOf = { price: '0.0' };
const receipt = { exchange: 'kraken', now: NOW };
const refused = expect.objectContaining({ code: 'upstream_bad_response', upstream: { exchange: 'kraken' } });
const GARBAGE = [undefined, null, 'text', 7, true, {}, [1], [[]], { info: {} }, [{ a: 1 }], [undefined]];

describe('tickers', () => {
  it('keep the venue’s figures, time and own object', () => {
    const info = { c: ['1', '2'] };
    const ticker = {
      symbol: 'X/Y',
      bid: 1,
      ask: 3,
      last: 2,
      timestamp: NOW - 5.5,
      info,
      high: 9,
      low: 0,
      baseVolume: 0,
      percentage: -1.5,
    };
    expect(normalizeTicker(ticker, receipt)).toEqual({
      bid: 1,
      ask: 3,
      last: 2,
      timestamp: NOW - 6,
      timed: true,
      stats: { ...NO_STATS, high: 9, volume: 0, change_percent: -1.5 },
      raw: info,
    });
    expect(normalizeTicker(ticker, receipt).raw).toBe(info);
  });

  it('have null where the venue gives nothing, NaN or 0, and the time of receipt where it gives none', () => {
    expect(normalizeTicker({ bid: 0, ask: Number.NaN, last: 2 }, receipt)).toEqual({
      bid: null,
      ask: null,
      last: 2,
      timestamp: NOW,
      timed: false,
      stats: NO_STATS,
      raw: null,
    });
    for (const timestamp of [null, 0, 1_699_000_000, Number.NaN, 'x', Infinity])
      expect(normalizeTicker({ bid: 1, ask: '2', last: Infinity, timestamp }, receipt)).toMatchObject({
        ask: null,
        last: null,
        timestamp: NOW,
      });
  });

  it.each([
    { bid: '', ask: '', volume: '0' },
    { lastPrice: '0.0', count: 0 },
    { c: [] },
    ['tX', null, null, 0],
  ])('of a market without trades are all null: %j', (info) => {
    expect(normalizeTicker({ bid: undefined, last: 0, info }, receipt)).toEqual({
      bid: null,
      ask: null,
      last: null,
      timestamp: NOW,
      timed: false,
      stats: NO_STATS,
      raw: info,
    });
  });

  it.each([
    ...GARBAGE,
    { bid: null, ask: undefined, last: 0 },
    { last: undefined, info: { message: 'NotFound' } },
    { info: { code: 1, data: [] } },
  ])('%j is none', (value) => {
    expect(() => normalizeTicker(value, receipt)).toThrow(refused);
  });
});

describe('times', () => {
  it.each([NOW + 60_001, 1_999_000_000_000, 1_699_000_000_000_000])(
    '%d is none, so that of receipt is told',
    (at) => {
      expect(normalizeTicker({ last: 1, timestamp: at }, receipt)).toMatchObject({
        timestamp: NOW,
        timed: false,
      });
      expect(normalizeOrderBook({ bids: [[1, 1]], asks: [], timestamp: at }, receipt)).toMatchObject({
        timestamp: NOW,
        timed: false,
      });
      expect(
        normalizeTrades([{ id: '1', price: 5, amount: 1, side: 'buy', timestamp: at }], receipt),
      ).toMatchObject([{ timestamp: NOW }]);
    },
  );

  it('a little ahead of this machine is the venue’s, and so is one by the clock of a venue that is ahead', () => {
    expect(normalizeTicker({ last: 1, timestamp: NOW + 60_000 }, receipt).timestamp).toBe(NOW + 60_000);
    const behind = { ...receipt, venueNow: NOW + 3_600_000 };
    expect(normalizeTicker({ last: 1, timestamp: NOW + 3_600_000 }, behind).timestamp).toBe(NOW + 3_600_000);
  });
});

describe('order books', () => {
  it('are best first, cut to size, without deleted levels', () => {
    const book = {
      bids: [
        [9, 1, 77],
        [8, 0],
        [7, 2],
        [6, 3],
      ],
      asks: [
        [10, 1],
        [11, 2],
      ],
      timestamp: NOW - 1,
    };
    expect(normalizeOrderBook(book, receipt, 2)).toEqual({
      bids: [
        { price: 9, amount: 1 },
        { price: 7, amount: 2 },
      ],
      asks: [
        { price: 10, amount: 1 },
        { price: 11, amount: 2 },
      ],
      timestamp: NOW - 1,
      timed: true,
    });
  });

  it('are put in order where they are not', () => {
    const book = {
      bids: [
        [7, 1],
        [9, 1],
        [8, 1],
      ],
      asks: [
        [12, 1],
        [10, 1],
        [11, 1],
      ],
    };
    const { bids, asks, timestamp } = normalizeOrderBook(book, receipt, 2);
    expect(bids.map(({ price }) => price)).toEqual([9, 8]);
    expect(asks.map(({ price }) => price)).toEqual([10, 11]);
    expect(timestamp).toBe(NOW);
  });

  it('may have one empty side, or two', () => {
    expect(normalizeOrderBook({ bids: [], asks: [] }, receipt)).toEqual({
      bids: [],
      asks: [],
      timestamp: NOW,
      timed: false,
    });
    expect(normalizeOrderBook({ bids: [], asks: [[1, 1]] }, receipt).bids).toEqual([]);
  });

  it.each([
    ...GARBAGE,
    { bids: [[1]], asks: [] },
    { bids: [['1', 2]], asks: [] },
    { bids: [[Number.NaN, 1]], asks: [[1, 1]] },
  ])('%j is none', (value) => {
    expect(() => normalizeOrderBook(value, receipt)).toThrow(refused);
  });
});

describe('trades', () => {
  const trade = (id: unknown, timestamp: unknown = NOW, side: unknown = 'buy') => ({
    id,
    timestamp,
    price: 5,
    amount: 0,
    side,
  });

  it('are oldest first; those of one millisecond in the order of their ids', () => {
    const list = [
      trade('1000', NOW),
      trade('999', NOW),
      trade('7', NOW + 1),
      trade('x', NOW - 1),
      trade(12, NOW - 2),
    ];
    expect(normalizeTrades(list, receipt).map(({ trade_id }) => trade_id)).toEqual([
      '12',
      'x',
      '999',
      '1000',
      '7',
    ]);
  });

  it('have null for a side that is none', () => {
    const list = [
      trade('1', NOW, 'buy'),
      trade('2', NOW, 'sell'),
      trade('3', NOW, 'none'),
      trade('4', NOW, undefined),
    ];
    expect(normalizeTrades(list, receipt).map(({ side }) => side)).toEqual(['buy', 'sell', null, 'buy']);
  });

  it('of no price are left out without costing the others', () => {
    const dummy = { ...trade('2'), price: 0, amount: 0, info: infoOf };
    const list = [trade('1'), dummy, trade('3')];
    expect(normalizeTrades(list, receipt).map(({ trade_id }) => trade_id)).toEqual(['1', '3']);
    expect(normalizeTrades([dummy], receipt)).toEqual([]);
  });

  it('have null for an id or an amount that is not given; an amount of 0 is one', () => {
    expect(normalizeTrades([trade(undefined), { ...trade(''), amount: undefined }], receipt)).toMatchObject([
      { trade_id: null, amount: 0 },
      { trade_id: null, amount: null },
    ]);
    expect(normalizeTrades([], receipt)).toEqual([]);
  });

  it.each([
    ...GARBAGE,
    [trade('1', undefined)].map((one) => ({ ...one, timestamp: 5 })),
    [{ ...trade('1'), price: undefined }],
  ])('%j are none', (value) => {
    expect(() => normalizeTrades(value, receipt)).toThrow(refused);
  });
});

describe('candles', () => {
  it('are oldest first, one a period, the later of two', () => {
    const rows = [
      [NOW + 60_000, 1, 2, 3, 4, 5],
      [NOW, 1, 1, 1, 1, 1],
      [NOW, 2, 2, 2, 2, 0],
    ];
    expect(normalizeCandles(rows, receipt)).toEqual([
      { timestamp: NOW, open: 2, high: 2, low: 2, close: 2, volume: 0 },
      { timestamp: NOW + 60_000, open: 1, high: 2, low: 3, close: 4, volume: 5 },
    ]);
  });

  it('without prices are left out without costing the others, be they null or zero', () => {
    const good = [NOW + 60_000, 1, 2, 3, 4, 5];
    for (const empty of [
      [NOW, null, null, null, null, 0],
      [NOW, 0, 0, 0, 0, 0],
      [NOW, undefined, undefined, undefined, undefined],
    ]) {
      expect(normalizeCandles([empty, good], receipt)).toMatchObject([{ timestamp: NOW + 60_000 }]);
    }
    expect(normalizeCandles([[NOW, 0, 0, 0, 0, 0]], receipt)).toEqual([]);
  });

  it('have null for figures that are not given', () => {
    expect(normalizeCandles([[NOW, undefined, null, Number.NaN, 4, undefined]], receipt)).toEqual([
      { timestamp: NOW, open: null, high: null, low: null, close: 4, volume: null },
    ]);
  });

  it.each([
    ...GARBAGE,
    [[undefined, undefined, undefined, undefined, undefined, undefined]],
    [[NOW, 1, 1, 1]],
    [['{', 1, 1, 1, 1, 1]],
  ])('%j are none', (value) => {
    expect(() => normalizeCandles(value, receipt)).toThrow(refused);
  });
});
