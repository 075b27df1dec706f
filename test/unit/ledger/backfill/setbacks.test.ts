import { expect, test } from 'vitest';
import { createSetbacks } from '../../../../src/ledger/backfill/setbacks.js';

test('waits double from five seconds to a minute, and end with the first success', () => {
  let now = 0;
  const setbacks = createSetbacks(() => now);
  const waits = Array.from({ length: 6 }, () => {
    setbacks.failed('a', 'upstream_timeout');
    return setbacks.of('a');
  });
  expect(waits).toEqual([5, 10, 20, 40, 60, 60].map((s) => ({ ms: s * 1000, reason: 'upstream_timeout' })));
  expect(setbacks.of('b')).toBeNull();
  now = 60_000;
  expect(setbacks.of('a')).toBeNull();
  setbacks.ended('a');
  setbacks.failed('a', 'x');
  expect(setbacks.of('a')).toEqual({ ms: 5_000, reason: 'x' });
});

test('a fault that tells its time is taken at its word, within bounds', () => {
  const setbacks = createSetbacks(() => 0);
  for (const [told, taken] of [
    [1, 250],
    [3_000, 3_000],
    [3_600_000, 60_000],
  ] as const) {
    setbacks.failed('a', 'x', told);
    expect(setbacks.of('a')?.ms).toBe(taken);
  }
});
