import { expect, test } from 'vitest';
import { untilLoaded } from '../../../src/lib/once.js';

test('callers share one load, and what it brought is kept', async () => {
  let loads = 0;
  const load = untilLoaded(() => Promise.resolve(++loads));
  expect(await Promise.all([load(), load()])).toEqual([1, 1]);
  expect(await load()).toBe(1);
});

test('a load that failed is tried again by the next caller', async () => {
  let loads = 0;
  const load = untilLoaded(() =>
    ++loads === 1 ? Promise.reject(new Error('too many open files')) : Promise.resolve(loads),
  );
  await expect(Promise.all([load(), load()])).rejects.toThrow('too many open files');
  expect(await load()).toBe(2);
  expect(await load()).toBe(2);
});
