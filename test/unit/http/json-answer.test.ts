import { describe, expect, test } from 'vitest';
import { freshnessHeaders, isNotModified } from '../../../src/http/answers/json-answer.js';
import { acceptsJson } from '../../../src/http/answers/presentation.js';

describe('Accept', () => {
  test.each([
    undefined,
    '',
    '*/*',
    'application/json',
    'Application/JSON',
    'application/*',
    'text/html, application/json;q=0.1',
    'text/html,application/xhtml+xml,*/*;q=0.8',
    'application/json; charset=utf-8',
    'text/*;q=0, */*',
  ])('%s leaves room for JSON', (accept) => {
    expect(acceptsJson(accept)).toBe(true);
  });

  test.each([
    'text/html',
    'application/xml',
    'application/json;q=0',
    'application/json;q=0, */*',
    '*/*;q=0',
    'application/*; q=0.0, */*;q=1',
    'nonsense',
  ])('%s does not', (accept) => {
    expect(acceptsJson(accept)).toBe(false);
  });
});

describe('If-None-Match', () => {
  test.each(['"a"', 'W/"a"', '*', ' * ', '"b", "a"', '"b",W/"a" , "c"'])('%s matches', (header) => {
    expect(isNotModified(header, '"a"')).toBe(true);
  });
  test.each([undefined, '', '"b"', 'a', 'W/"b", "c"', '"aa"'])('%s does not', (header) => {
    expect(isNotModified(header, '"a"')).toBe(false);
  });
});

test.each([
  [1999, 'public, max-age=1', '1'],
  [0, 'public, max-age=2', '0'],
  [2500, 'public, max-age=0', '2'],
  [-50, 'public, max-age=2', '0'],
  [1000, 'public, max-age=2', '1'],
])('%i ms after its receipt an answer is %s with age %s', (elapsed, cacheControl, age) => {
  const [cache, old] = freshnessHeaders({ receivedAt: 10_000, freshUntil: 12_000 }, 10_000 + elapsed);
  expect([cache[1], old[1]]).toEqual([cacheControl, age]);
});

test('a cache that takes Age from max-age arrives at the seconds that are left, at every age', () => {
  const answer = { receivedAt: 0, freshUntil: 300_000 };
  for (let at = 0; at < 300_000; at += 1700) {
    const [[, cacheControl], [, age]] = freshnessHeaders(answer, at);
    const maxAge = Number(/max-age=(\d+)/.exec(cacheControl)?.[1]);
    expect(maxAge - Number(age), `after ${at} ms`).toBe(Math.floor((300_000 - at) / 1000));
  }
});
