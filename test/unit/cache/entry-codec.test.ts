import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeEntry, encodeEntry } from '../../../src/cache/entry-codec.js';
import { NO_STATS } from '../../../src/schemas/market.js';
import { entryOf } from '../../support/cache-entries.js';

const T = 1_700_000_000_000;
const KEY = 'mcds:v1:ticker:binance:BTC/USDT';

describe('an encoded entry', () => {
  it('comes back as it was, whatever its bytes and times', () => {
    const time = fc.integer({ min: 0, max: 80_000_000 });
    const times = fc.tuple(time, time, fc.option(time));
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 2_000 }), times, (bytes, [fresh, stale, closes]) => {
        const [freshFor = 0, staleFor = 0] = [fresh, stale].sort((a, b) => a - b);
        const more = {
          body: Buffer.from(bytes),
          freshUntil: T + freshFor,
          staleUntil: T + staleFor + 1,
          closesAt: closes === null ? null : T + closes,
          ...(closes === null ? { untimed: true as const } : {}),
          ...(freshFor % 2 === 0 ? { stats: { ...NO_STATS, high: freshFor / 7, change_percent: -0.5 } } : {}),
        };
        const entry = entryOf('', T, more);
        expect(decodeEntry(KEY, encodeEntry(KEY, entry), T)).toEqual({ entry });
      }),
    );
  });

  it('is not taken for an answer to another key', () => {
    expect(decodeEntry(`${KEY}2`, encodeEntry(KEY, entryOf('x', T)), T)).toBe('corrupt');
  });

  it('is refused wherever a byte of it was changed', () => {
    const value = encodeEntry(KEY, entryOf('{"exchange":"binance"}', T, { stats: NO_STATS }));
    for (let i = 0; i < value.length; i++) {
      const changed = Buffer.from(value);
      changed[i] = changed[i]! ^ 1;
      expect(decodeEntry(KEY, changed, T), `byte ${i}`).toBe('corrupt');
    }
  });

  it('is refused wherever it was cut, or if something was added', () => {
    const value = encodeEntry(KEY, entryOf('{"exchange":"binance"}', T));
    for (let i = 0; i < value.length; i++) expect(decodeEntry(KEY, value.subarray(0, i), T)).toBe('corrupt');
    expect(decodeEntry(KEY, Buffer.concat([value, Buffer.from('x')]), T)).toBe('corrupt');
  });

  it('never throws, whatever is read', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        expect(decodeEntry(KEY, Buffer.concat([Buffer.from('MCD2'), bytes]), T)).toBe('corrupt');
      }),
    );
  });

  it.each([
    ['a time that is no number', { freshUntil: NaN }],
    ['an end before its beginning', { freshUntil: T - 1 }],
    ['staleness that ends before freshness', { staleUntil: T + 1 }],
    ['a life of years', { staleUntil: T * 2 }],
    ['a header that would split', { source: 'binance\r\nSet-Cookie: x' }],
    ['no validator', { etag: '' }],
    ['figures of a day that are none', { stats: { ...NO_STATS, open: 'x' as unknown as number } }],
  ])('with %s is refused though it is sound', (_name, more) => {
    expect(decodeEntry(KEY, encodeEntry(KEY, entryOf('x', T, more)), T)).toBe('corrupt');
  });

  it('is of no use once it may not be served, nor from a clock that runs far ahead', () => {
    const value = encodeEntry(KEY, entryOf('x', T));
    expect(decodeEntry(KEY, value, T + 300_000)).toEqual({ entry: undefined });
    expect(decodeEntry(KEY, value, T - 1_001)).toEqual({ entry: undefined });
    expect(decodeEntry(KEY, value, T - 1_000)).not.toEqual({ entry: undefined });
  });

  it('does not keep the buffer alive that it was read from', () => {
    // In memory of its own, as a read buffer is: small Buffers share Node's pool, whose size differs by version.
    const value = Buffer.from(new Uint8Array(encodeEntry(KEY, entryOf('x'.repeat(10_000), T))).buffer);
    const decoded = decodeEntry(KEY, value, T);
    if (decoded === 'corrupt') throw new Error('corrupt');
    expect(decoded.entry!.body.buffer).not.toBe(value.buffer);
  });
});
