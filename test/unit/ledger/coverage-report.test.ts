import { expect, test } from 'vitest';
import type { Coverage } from '../../../src/ledger/coverage.js';
import { coverageRanges } from '../../../src/ledger/coverage-report.js';

const range = (from: number, to: number, given: Partial<Coverage> = {}): Coverage => ({
  ...{ from, to, state: 'known', reason: null, source: 'rest', checkedMin: 100, checkedMax: 200 },
  ...{ firstSeen: 100, recheckAt: null, ...given },
});
const told = (...given: Parameters<typeof coverageRanges>) =>
  coverageRanges(...given).map(({ from, to, state }) => [from, to, state]);

test('what nobody has asked for is unknown, and pending where a job is on its way', () => {
  const span = { from: 0, to: 100 };
  expect(told(span, [], [])).toEqual([[0, 100, 'unknown']]);
  expect(told(span, [range(20, 30)], [{ from: 10, to: 40 }])).toEqual([
    [0, 10, 'unknown'],
    [10, 20, 'pending'],
    [20, 30, 'known'],
    [30, 40, 'pending'],
    [40, 100, 'unknown'],
  ]);
});

test('a job without an end is on its way for ever; overlapping jobs are told as one', () => {
  const span = { from: 0, to: 100 };
  expect(told(span, [], [{ from: 60, to: null }])).toEqual([
    [0, 60, 'unknown'],
    [60, 100, 'pending'],
  ]);
  const jobs = [
    { from: 10, to: 50 },
    { from: 30, to: 70 },
    { from: 30, to: 50 },
  ];
  expect(told(span, [], jobs)).toEqual([
    [0, 10, 'unknown'],
    [10, 70, 'pending'],
    [70, 100, 'unknown'],
  ]);
});

test('neighbours that say the same are one, checked when the older of them was', () => {
  const ranges = [
    range(0, 10, { checkedMin: 300 }),
    range(10, 20),
    range(20, 30, { source: 'websocket' }),
    range(30, 40, { state: 'empty', reason: 'no_trades' }),
    range(40, 50, { state: 'empty', reason: 'not_available_from_exchange' }),
  ];
  expect(coverageRanges({ from: 0, to: 50 }, ranges, [])).toEqual([
    { from: 0, to: 20, state: 'known', reason: null, source: 'rest', checkedAt: 100 },
    { from: 20, to: 30, state: 'known', reason: null, source: 'websocket', checkedAt: 100 },
    { from: 30, to: 40, state: 'empty', reason: 'no_trades', source: 'rest', checkedAt: 100 },
    {
      from: 40,
      to: 50,
      state: 'empty',
      reason: 'not_available_from_exchange',
      source: 'rest',
      checkedAt: 100,
    },
  ]);
});

test('an empty span has no ranges', () => {
  expect(coverageRanges({ from: 5, to: 5 }, [], [{ from: 0, to: null }])).toEqual([]);
});
