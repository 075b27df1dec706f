import { describe, expect, it } from 'vitest';
import {
  addPeriods,
  alignedTo,
  nextPeriodStart,
  parseInterval,
  periodEnd,
  periodStart,
  sortIntervals,
  type Interval,
} from '../../../src/lib/intervals.js';

const of = (text: string): Interval => {
  const interval = parseInterval(text);
  if (interval === undefined) throw new Error(text);
  return interval;
};
const at = (text: string): number => Date.parse(text);

describe('intervals', () => {
  it.each([
    ['1s', 1000],
    ['15m', 900_000],
    ['4h', 14_400_000],
    ['3d', 259_200_000],
    ['2w', 1_209_600_000],
  ])('%s lasts %i ms', (text, ms) => {
    expect(of(text)).toMatchObject({ ms, months: 0 });
  });

  it.each(['', 'm', '0m', '01m', '1', '-1m', '1.5m', '1M1', '1000m', ' 1m', '1x', 'constructor'])(
    '%j is none',
    (text) => {
      expect(parseInterval(text)).toBeUndefined();
    },
  );

  it.each([
    ['1m', '2026-01-14T06:15:15Z', '2026-01-14T06:15:00Z', '2026-01-14T06:16:00Z'],
    ['1h', '2026-01-14T06:15:15Z', '2026-01-14T06:00:00Z', '2026-01-14T07:00:00Z'],
    ['1w', '2026-01-14T06:15:15Z', '2026-01-12T00:00:00Z', '2026-01-19T00:00:00Z'],
    ['1M', '2026-12-14T06:15:15Z', '2026-12-01T00:00:00Z', '2027-01-01T00:00:00Z'],
    ['3M', '2026-02-14T06:15:15Z', '2026-01-01T00:00:00Z', '2026-04-01T00:00:00Z'],
    ['1y', '2024-02-29T00:00:00Z', '2024-01-01T00:00:00Z', '2025-01-01T00:00:00Z'],
  ])('%s around %s is from %s to %s', (text, ...[inside, start, end]) => {
    const interval = of(text);
    expect(periodStart(interval, at(inside))).toBe(at(start));
    expect(periodEnd(interval, at(start))).toBe(at(end));
    expect(nextPeriodStart(interval, at(inside))).toBe(at(end));
    expect(nextPeriodStart(interval, at(start))).toBe(at(start));
    expect(addPeriods(interval, at(end), -1)).toBe(at(start));
  });

  it('begin where a venue begins them', () => {
    const thursday = alignedTo(of('1w'), at('2026-01-08T00:00:00Z'));
    expect(periodStart(thursday, at('2026-01-14T06:00:00Z'))).toBe(at('2026-01-08T00:00:00Z'));
    expect(alignedTo(of('1M'), 5)).toEqual(of('1M'));
  });

  it('are sorted by length, each once, without those that are none', () => {
    expect(sortIntervals(['1d', '1M', '1m', 'odd', '1h', '1w', '1m', '1s'])).toEqual([
      '1s',
      '1m',
      '1h',
      '1d',
      '1w',
      '1M',
    ]);
  });
});
