/** What the processes count together. */
import { expect, test } from 'vitest';
import { SharedCounts } from '../../../src/processes/shared-counts.js';

const start = (maxKeys?: number) => {
  let at = 1_000;
  const counts = new SharedCounts({ monotonic: () => at, ...(maxKeys === undefined ? {} : { maxKeys }) });
  const add = (key: string, hits: number, { windowMs = 60_000, leftMs = 60_000 } = {}) =>
    counts.add([{ key, hits, windowMs, leftMs }])[0];
  return { add, after: (ms: number) => (at += ms) };
};

test('hits of a key add up until the window ends that was open first', () => {
  const { add, after } = start();
  expect(add('a', 3, { leftMs: 50_000 })).toEqual({ total: 3, leftMs: 50_000 });
  after(20_000);
  expect(add('a', 4)).toEqual({ total: 7, leftMs: 30_000 });
  after(30_000);
  expect(add('a', 1)).toEqual({ total: 1, leftMs: 60_000 });
});

test('keys, and windows of different lengths of one key, count apart', () => {
  const { add } = start();
  add('a', 3);
  expect(add('b', 1)?.total).toBe(1);
  expect(add('a', 1, { windowMs: 1_000 })?.total).toBe(1);
});

test('beyond the bound the longest known keys are forgotten', () => {
  const { add } = start(2);
  for (const key of ['a', 'b', 'c']) add(key, 1);
  expect(add('c', 1)?.total).toBe(2);
  expect(add('a', 1)?.total).toBe(1);
});
