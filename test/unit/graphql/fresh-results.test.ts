import { beforeEach, expect, test } from 'vitest';
import { FreshResults } from '../../../src/graphql/fresh-results.js';
import { MAX_RESULTS_TEXT } from '../../../src/graphql/limits.js';
import type { UsedAnswer } from '../../../src/graphql/operation-context.js';

let now: number;
let results: FreshResults;
beforeEach(() => {
  now = 1000;
  results = new FreshResults(() => now);
});

const part = (members: Partial<UsedAnswer> = {}): UsedAnswer => ({
  ...{ source: 'binance', cache: 'MISS', receivedAt: 900, freshUntil: 2000, dataSource: 'binance; via=rest' },
  ...members,
});

test('a result is found until the first of its parts expires, and its parts are hits by then', () => {
  results.store('a', { json: '{}', used: [part({ freshUntil: 3000 }), part()] });
  now = 1999;
  expect(results.find('a')).toMatchObject({ json: '{}', used: [{ cache: 'HIT' }, { cache: 'HIT' }] });
  expect(results.find('b')).toBeUndefined();
  now = 2000;
  expect(results.find('a')).toBeUndefined();
});

test('a result is not found once the clock was set back', () => {
  results.store('a', { json: '{}', used: [part()] });
  now = 999;
  expect(results.find('a')).toBeUndefined();
});

test('a result is not found once a live stream would answer better', () => {
  let live = false;
  results.store('a', { json: '{}', used: [part(), part({ isLive: () => live })] });
  expect(results.find('a')).toBeDefined();
  live = true;
  expect(results.find('a')).toBeUndefined();
});

test.each(['LIVE', 'STALE', 'STORE'] as const)('a result with a part that is %s is not stored', (cache) => {
  results.store('a', { json: '{}', used: [part(), part({ cache })] });
  expect(results.find('a')).toBeUndefined();
});

test('neither an expired result is stored nor one that is longer than all may be', () => {
  results.store('a', { json: '{}', used: [part({ freshUntil: 1000 })] });
  results.store('b', { json: 'x'.repeat(MAX_RESULTS_TEXT), used: [part()] });
  expect([results.find('a'), results.find('b')]).toEqual([undefined, undefined]);
});
