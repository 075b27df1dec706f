import { expect, test } from 'vitest';
import { bodyOf, gapsOf, joinCandles, oldestCheck } from '../../../src/ledger/answer.js';
import type { Coverage, CoverageState } from '../../../src/ledger/coverage.js';

const range = (
  from: number,
  to: number,
  what: CoverageState | readonly [CoverageState, string],
): Coverage => {
  const [state, reason = null] = typeof what === 'string' ? [what] : what;
  return {
    ...{ from, to, state, reason, source: 'rest', checkedMin: 100 + from, checkedMax: 200 },
    ...{ firstSeen: 100, recheckAt: null },
  };
};

test('gaps say why: proven, not given, seen once, or not asked for', () => {
  const coverage = [
    range(0, 10, 'known'),
    range(10, 20, ['empty', 'no_trades']),
    range(20, 30, ['empty', 'not_available_from_exchange']),
    range(30, 40, ['unavailable', 'before_listing']),
    range(40, 50, ['suspect', 'unconfirmed']),
    range(60, 70, 'known'),
  ];
  expect(gapsOf({ from: 5, to: 75 }, coverage, 'not_loaded_yet')).toEqual([
    { from: 10, to: 20, reason: 'no_trades' },
    // Two states, one reason: one gap.
    { from: 20, to: 40, reason: 'not_available_from_exchange' },
    { from: 40, to: 50, reason: 'unconfirmed' },
    { from: 50, to: 60, reason: 'not_loaded_yet' },
    { from: 70, to: 75, reason: 'not_loaded_yet' },
  ]);
  expect(gapsOf({ from: 2, to: 8 }, coverage, 'not_loaded_yet')).toEqual([]);
});

test('the oldest check of what is known in a span', () => {
  const coverage = [range(0, 10, 'known'), range(10, 20, 'empty'), range(20, 30, 'known')];
  expect(oldestCheck({ from: 5, to: 30 }, coverage, 999)).toBe(100);
  expect(oldestCheck({ from: 12, to: 30 }, coverage, 999)).toBe(120);
  expect(oldestCheck({ from: 11, to: 19 }, coverage, 999)).toBe(999);
});

test('of two candles of one period the newer one counts, sorted by time', () => {
  const candle = (timestamp: number, close: number) => ({
    ...{ timestamp, open: 1, high: 1, low: 1, close, volume: 1, closed: true },
  });
  expect(joinCandles([candle(1, 1), candle(3, 1)], [candle(2, 2), candle(3, 2)])).toEqual([
    candle(1, 1),
    candle(2, 2),
    candle(3, 2),
  ]);
});

test('the body has gaps and next_since only where there are any', () => {
  const parts = { exchange: 'a', symbol: 'B/C', interval: '1m', candles: Buffer.from('{"timestamp":1}') };
  const text = (given: Partial<Parameters<typeof bodyOf>[0]>) =>
    Buffer.from(bodyOf({ ...parts, gaps: [], nextSince: null, ...given })).toString();
  expect(text({})).toBe('{"exchange":"a","symbol":"B/C","interval":"1m","candles":[{"timestamp":1}]}');
  expect(JSON.parse(text({ gaps: [{ from: 1, to: 2, reason: 'no_trades' }], nextSince: 5 }))).toMatchObject({
    gaps: [{ from: 1, to: 2, reason: 'no_trades' }],
    next_since: 5,
  });
});
