import { expect, test } from 'vitest';
import { leastRecent } from '../../../src/cache/least-recent.js';

const heldBy = (map: ReturnType<typeof leastRecent<string>>): string[] =>
  ['a', 'b', 'c', 'd'].filter((key) => map.has(key));

test('holds as many as it may; one more drops what was read or set least recently', () => {
  const map = leastRecent<string>(3);
  for (const key of ['a', 'b', 'c']) map.set(key, key);
  expect(map.size).toBe(3);
  expect(map.get('a')).toBe('a');
  map.set('b', 'new');
  map.set('d', 'd');
  expect(heldBy(map)).toEqual(['a', 'b', 'd']);
  expect(map.size).toBe(3);
  expect(map.get('b')).toBe('new');
});

test('asking whether an entry is there does not count as use', () => {
  const map = leastRecent<string>(2);
  for (const key of ['a', 'b']) map.set(key, key);
  expect(map.has('a')).toBe(true);
  map.set('c', 'c');
  expect(heldBy(map)).toEqual(['b', 'c']);
});

test('an entry that is set again takes no second place, and one that is deleted makes room', () => {
  const map = leastRecent<string>(2);
  for (const value of ['1', '2', '3']) map.set('a', value);
  map.set('b', '4');
  expect(map.get('a')).toBe('3');
  map.delete('a');
  expect(map.get('a')).toBeUndefined();
  map.set('c', '5');
  expect(heldBy(map)).toEqual(['b', 'c']);
});
