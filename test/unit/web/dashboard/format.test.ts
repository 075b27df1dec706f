import { expect, test } from 'vitest';
import {
  formatAge,
  formatIso,
  formatLeft,
  formatNumber,
  formatPercent,
  formatTime,
  spreadOf,
} from '../../../../web/dashboard/state/format.js';

test.each([
  [45755.7, 0.01, '45,755.70'],
  [1234567.125, 0.01, '1,234,567.125'],
  [0.00000123, 1e-8, '0.00000123'],
  [1.5e-7, null, '0.00000015'],
  [-1234.5, null, '-1,234.5'],
  [1e21, null, '1,000,000,000,000,000,000,000'],
  [100, 10, '100'],
  [0, 0.001, '0.000'],
  [null, 0.01, '–'],
  [undefined, null, '–'],
])('%j in steps of %j is %s', (value, step, text) => {
  expect(formatNumber(value, step)).toBe(text);
});

test('ages and what is left are told in the unit that fits', () => {
  expect([0, -5, 1234, 119_900, 180_000, 3 * 3_600_000].map(formatAge)).toEqual([
    ...['0.0 s', '0.0 s', '1.2 s', '119.9 s', '3 min', '3.0 h'],
  ]);
  expect(formatAge(null)).toBe('–');
  expect([22_100, -1, 250_000, 7 * 3_600_000].map(formatLeft)).toEqual([
    '23 s',
    '0 s',
    '4 min 10 s',
    '7 h 0 min',
  ]);
});

test('moves have a sign, times are UTC, a spread is in hundredths of a percent', () => {
  expect([0.516, -0.1, 0, null].map(formatPercent)).toEqual(['+0.52 %', '-0.10 %', '0.00 %', '–']);
  expect(formatIso(1_699_000_000_000)).toBe('2023-11-03T08:26:40Z');
  expect(formatTime(1_699_000_000_123)).toBe('08:26:40.123');
  expect(spreadOf(99, 101)).toBe(200);
  expect(spreadOf(null, 101)).toBeNull();
  expect(spreadOf(0, 0)).toBeNull();
});
