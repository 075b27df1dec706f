import { expect, test } from 'vitest';
import { nestsDeeperThan } from '../../../src/lib/nesting.js';

test('levels are objects and lists within one another', () => {
  expect([null, 'text', 1, undefined].some((value) => nestsDeeperThan(value, 0))).toBe(false);
  expect([nestsDeeperThan({}, 0), nestsDeeperThan([], 1)]).toEqual([true, false]);
  const three = { list: [{ a: 1 }], other: 2 };
  expect([nestsDeeperThan(three, 2), nestsDeeperThan(three, 3)]).toEqual([true, false]);
});

test('a value that nests far more deeply than the stack allows is told without descending into it', () => {
  const deep: unknown = JSON.parse(`${'['.repeat(100_000)}${']'.repeat(100_000)}`);
  expect(nestsDeeperThan(deep, 8)).toBe(true);
});
