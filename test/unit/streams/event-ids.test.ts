import { expect, it } from 'vitest';
import { compareEventIds, createUnsharedIds, positionOf } from '../../../src/streams/event-ids.js';

it('unshared ids repeat neither over feeds nor over the lives of a server, and fit into 64 characters', () => {
  const name = 'a'.repeat(32);
  const lives = [1_795_350_115_200, 1_795_350_115_201].map((at) => createUnsharedIds(name, at));
  const ids = lives.flatMap((feedOf) => [feedOf(), feedOf()].flatMap((next) => [next(0), next(1), next(1)]));
  expect(new Set(ids).size).toBe(12);
  for (const id of ids) expect(id).toMatch(/^u\w{32}\.\d+$/);
  expect(Math.max(...ids.map(({ length }) => length))).toBeLessThanOrEqual(64);
});

it('the place in a feed counts rows, and every feed is an epoch of its own', () => {
  const feedOf = createUnsharedIds('a', 1_795_350_115_200);
  const [one, other] = [feedOf(), feedOf()];
  const [first, later, foreign] = [one(2), one(3), other(2)].map(positionOf);
  expect([first?.seq, later?.seq, foreign?.seq]).toEqual([2, 5, 2]);
  expect(later?.epoch).toBe(first?.epoch);
  expect(foreign?.epoch).not.toBe(first?.epoch);
});

it('shared ids are ordered by fence, then by number; other texts are older than all', () => {
  const ids = ['9-10', 'garbage', '10-2', '9-9', '10-10'];
  expect(ids.sort(compareEventIds)).toEqual(['garbage', '9-9', '9-10', '10-2', '10-10']);
});

it.each(['', '1-', '-1', '1-2-3', 'u.1', 'ua.1', 'u-a.17953501152001000000004', '1-2\n'])(
  '%j is no event id',
  (text) => {
    expect(positionOf(text)).toBeNull();
  },
);
