/** Messages between processes: what goes in comes out, whatever the stream cuts it into. */
import { expect, test } from 'vitest';
import { encodeFrame, FrameReader } from '../../../src/processes/framed-port.js';

const MESSAGES = [
  { t: 'q', m: 'fetch', a: [1, { symbol: 'BTC/USDT', since: undefined, missing: NaN }] },
  { body: new Uint8Array([1, 2, 3]), rows: new Float64Array([1.5, Number.NaN, -0]) },
  new Map([['a', Infinity]]),
  'ü'.repeat(100_000),
  null,
];

const readIn = (size: number): unknown[] => {
  const bytes = Buffer.concat(MESSAGES.map((message) => encodeFrame(message)));
  const read: unknown[] = [];
  const reader = new FrameReader((message) => read.push(message));
  for (let at = 0; at < bytes.length; at += size) reader.push(bytes.subarray(at, at + size));
  return read;
};

test.each([1, 3, 4, 5, 1_000, 65_536, 10_000_000])(
  'messages arrive as they were, in pieces of %i bytes',
  (size) => {
    expect(readIn(size)).toEqual(MESSAGES);
  },
);

test('what is kept of a message keeps nothing of the others', () => {
  const [, { body }] = readIn(10_000_000) as [unknown, { body: Uint8Array }];
  expect(body.buffer.byteLength).toBeLessThan(200);
});

test.each([0, 64 * 1024 * 1024 + 1])('a frame of %i bytes is refused before it is read', (length) => {
  const header = Buffer.alloc(4);
  header.writeUInt32BE(length);
  expect(() => new FrameReader(() => undefined).push(header)).toThrow(`A frame of ${length} bytes.`);
});
