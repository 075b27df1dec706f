import { expect, test } from 'vitest';
import { holesOf, mergeCandles, placesOf, saysMore } from '../../../../web/dashboard/chart/candles.js';
import { endOfPeriod, periodOf } from '../../../../web/dashboard/state/periods.js';

const MINUTE = 60_000;
const candle = (minute: number, close: number | null = 100, closed = true) => ({
  timestamp: minute * MINUTE,
  ...{ open: close, high: close, low: close, close, volume: 1, closed },
});

test('a closed candle is not undone by what an earlier message says of it', () => {
  const merged = mergeCandles(
    [candle(1), candle(2, 100, false)],
    [candle(1, 99, false), candle(2, 101), candle(3, 102, false)],
  );
  expect(merged.map(({ timestamp, close, closed }) => [timestamp / MINUTE, close, closed])).toEqual([
    [1, 100, true],
    [2, 101, true],
    [3, 102, false],
  ]);
});

test('holes are what the server names, candles without prices, and what nobody has named', () => {
  const candles = [candle(1), candle(2), candle(5), candle(6, null), candle(7), candle(9)];
  const named = { from: 3 * MINUTE, to: 5 * MINUTE, reason: 'no_trades' } as const;
  const holes = holesOf(candles, [named], '1m');
  expect(holes.map(({ from, to, reason }) => [from / MINUTE, to / MINUTE, reason])).toEqual([
    [3, 5, 'no_trades'],
    [6, 7, 'no_values'],
    [8, 9, 'unexplained'],
  ]);
  // A blank place for each period, so that distances are true; nothing is drawn there.
  const places = placesOf(candles, holes, '1m');
  expect(places.map(({ timestamp, candle: at }) => [timestamp / MINUTE, at !== null])).toEqual([
    ...[
      [1, true],
      [2, true],
      [3, false],
      [4, false],
      [5, true],
      [6, false],
      [7, true],
      [8, false],
      [9, true],
    ],
  ]);
});

test('a hole before the first candle and one of years make no places without end', () => {
  const candles = [candle(10), candle(10_000_000)];
  const holes = holesOf(candles, [{ from: 0, to: 10 * MINUTE, reason: 'not_available_from_exchange' }], '1m');
  expect(holes).toHaveLength(2);
  expect(placesOf(candles, holes, '1m').length).toBeLessThanOrEqual(5002);
  expect(placesOf([], holes, '1m')).toEqual([]);
});

test('months and years are as long as they are', () => {
  expect([periodOf('1s'), periodOf('4h'), periodOf('1M'), periodOf('x')]).toEqual([
    1000,
    14_400_000,
    null,
    null,
  ]);
  expect(endOfPeriod(Date.UTC(2024, 1, 1), '1M')).toBe(Date.UTC(2024, 2, 1));
  expect(endOfPeriod(Date.UTC(2024, 0, 1), '1y')).toBe(Date.UTC(2025, 0, 1));
});

test('a candle that is there is no hole, whatever a server without its exchange names', () => {
  const named = [
    { from: 1 * MINUTE, to: 2 * MINUTE, reason: 'not_loaded_yet' } as const,
    { from: 3 * MINUTE, to: 4 * MINUTE, reason: 'not_loaded_yet' } as const,
  ];
  expect(holesOf([candle(1), candle(2), candle(4)], named, '1m')).toEqual([named[1]]);
});

test('a gap of which several answers name a part is one', () => {
  const gap = (from: number, to: number) =>
    ({ from: from * MINUTE, to: to * MINUTE, reason: 'not_available_from_exchange' }) as const;
  const candles = [candle(8), candle(9)];
  for (const named of [
    [gap(1, 8), gap(3, 8)],
    [gap(3, 8), gap(1, 8)],
    [gap(1, 8), gap(1, 8)],
  ])
    expect(holesOf(candles, named, '1m')).toEqual([gap(1, 8)]);
});

test('what a feed repeats is nothing new', () => {
  const known = [candle(1), candle(2, 100, false)];
  expect(saysMore(known, [candle(2, 100, false)])).toBe(false);
  expect(saysMore(known, [candle(2, 101, false)])).toBe(true);
  expect(saysMore(known, [candle(3, 100, false)])).toBe(true);
});
