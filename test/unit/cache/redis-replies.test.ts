import { describe, expect, it } from 'vitest';
import { RedisReplies } from '../../../src/cache/redis-replies.js';

/** Reads `text` in pieces of so many bytes; what was heard altogether. */
const read = (text: string, size = Infinity) => {
  const replies = new RedisReplies();
  const bytes = Buffer.from(text, 'latin1');
  const all = { whole: 0, nulls: 0 };
  for (let at = 0; at < bytes.length; at += Math.min(size, bytes.length)) {
    const heard = replies.read(bytes.subarray(at, Math.min(at + size, bytes.length)));
    if (heard === null) return null;
    all.whole += heard.whole;
    all.nulls += heard.nulls;
  }
  return all;
};

describe.each([1, 2, 3, 7, Infinity])('in pieces of %d bytes', (size) => {
  it.each([
    ['+OK\r\n', 1, 0],
    ['-ERR no\r\n:-12\r\n', 2, 0],
    ['$-1\r\n', 1, 1],
    ['*-1\r\n', 1, 1],
    ['$0\r\n\r\n', 1, 0],
    ['$9\r\n_\r\n\r\n*9\r\n\r\n$-1\r\n', 2, 1],
    ['*0\r\n+OK\r\n', 2, 0],
    ['*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nx\r\n', 1, 0],
    ['*2\r\n$-1\r\n*2\r\n:1\r\n$-1\r\n$-1\r\n', 2, 1],
    ['*2\r\n*1\r\n*-1\r\n$1\r\nx\r\n+OK\r\n', 2, 0],
    ['*2\r\n$1\r\nx\r\n', 0, 0],
    ['*999999\r\n', 0, 0],
    [`${'*1\r\n'.repeat(8)}:1\r\n`, 1, 0],
    ['$5\r\nab', 0, 0],
    ['', 0, 0],
  ])('%j are replies', (text, whole, nulls) => {
    expect(read(text, size)).toEqual({ whole, nulls });
  });

  it.each([
    ['_\r\n'],
    ['#t\r\n'],
    ['+OK\r\n\u0000'],
    ['$-2\r\n'],
    ['$x\r\n'],
    ['*1 \r\n'],
    [':\r\n'],
    ['+OK\n'],
    ['$1\r\nx\r\n>1\r\n'],
    ['HTTP/1.1 400 Bad Request\r\n'],
    ['*9999999\r\n'],
    ['*1\r\n'.repeat(9)],
  ])('%j are none', (text) => {
    expect(read(text, size)).toBeNull();
  });
});

it('a line that never ends is none', () => {
  expect(read(`+${'x'.repeat(60_000)}\r\n`, 1_000)).toEqual({ whole: 1, nulls: 0 });
  expect(read(`+${'x'.repeat(100_000)}`, 1_000)).toBeNull();
  expect(read(`+${'x'.repeat(100_000)}`)).toBeNull();
});
