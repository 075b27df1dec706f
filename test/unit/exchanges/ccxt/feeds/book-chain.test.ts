// Whether updates follow each other: verdicts by the numbers alone.
import { describe, expect, it } from 'vitest';
import {
  BookChain,
  type BookSequence,
  type BookVerdict,
} from '../../../../../src/exchanges/ccxt/feeds/book-chain.js';

type Step = readonly [sequence: Partial<BookSequence>, verdict: BookVerdict, isShown?: boolean];

/** Each step's message is its sequence; `same` in a sequence tells messages of the same numbers apart. */
const expectVerdicts = (chain: BookChain, steps: readonly Step[]): void => {
  const given = steps.map(([sequence, , isShown = true]) =>
    chain.judge({ reset: false, ...sequence }, sequence, { isShown }),
  );
  expect(given).toEqual(steps.map(([, verdict]) => verdict));
};
const chainOf = (startsWhole: boolean, proof = 0): BookChain => new BookChain({ startsWhole, proof });

describe('a feed that begins with a whole book', () => {
  it('has no use for updates before it, nor for those that the whole book has in it', () => {
    expectVerdicts(chainOf(true), [
      [{ first: 5, last: 5 }, 'skip'],
      [{ reset: true, last: 10 }, 'apply'],
      [{ first: 8, last: 9 }, 'skip'],
      [{ first: 9, last: 12 }, 'apply'],
      // Only the first update after a whole book may reach back before it.
      [{ first: 12, last: 14 }, 'apply'],
      [{ first: 9, last: 12 }, 'lost'],
    ]);
  });

  it('is wrong after a hole, whether the hole comes right after the whole book or later', () => {
    expectVerdicts(chainOf(true), [
      [{ reset: true, last: 10 }, 'apply'],
      [{ first: 12, last: 13 }, 'lost'],
    ]);
    expectVerdicts(chainOf(true), [
      [{ reset: true, last: 10 }, 'apply'],
      [{ previous: 10, last: 20 }, 'apply'],
      [{ previous: 19, last: 30 }, 'lost'],
    ]);
  });

  it('goes on where the exchange names a lower number after the one before', () => {
    expectVerdicts(chainOf(true), [
      [{ reset: true, last: 10 }, 'apply'],
      [{ previous: 10, last: 3 }, 'apply'],
      [{ previous: 3, last: 3 }, 'apply'],
      [{ previous: 3, last: 4 }, 'apply'],
    ]);
  });
});

describe('a feed of updates alone', () => {
  it('begins with the first one, and begins anew after a hole before any book was shown', () => {
    const chain = chainOf(false);
    expectVerdicts(chain, [
      [{ first: 5, last: 6 }, 'apply', false],
      [{ first: 7, last: 8 }, 'apply', false],
      [{ first: 11, last: 12 }, 'restart', false],
      [{ first: 13, last: 14 }, 'apply', true],
      [{ first: 17, last: 18 }, 'lost', true],
    ]);
  });

  it('joins a snapshot that reaches the first update since counting began', () => {
    const chain = chainOf(false);
    expect(chain.joins(1)).toBe(true);
    expectVerdicts(chain, [
      [{ first: 5, last: 6 }, 'apply', false],
      [{ first: 11, last: 12 }, 'restart', false],
    ]);
    expect([9, 10, 11, 50].map((number) => chain.joins(number))).toEqual([false, true, true, true]);
  });
});

describe('numbers', () => {
  it('that are the same are those of one message, or of a message in the sequence of another', () => {
    expectVerdicts(chainOf(false), [
      [{ first: 5, last: 6 }, 'apply'],
      [{ first: 5, last: 6 }, 'skip'],
      [{ first: 6, last: 6 }, 'lost'],
    ]);
  });

  it('without a beginning only have to grow', () => {
    expectVerdicts(chainOf(false), [
      [{ last: 6 }, 'apply'],
      [{ last: 90 }, 'apply'],
      [{ last: 89 }, 'lost'],
    ]);
  });

  it('that a message lacks leave it unjudged, and the next one begins anew', () => {
    expectVerdicts(chainOf(false), [
      [{ first: 5, last: 6 }, 'apply'],
      [{}, 'apply'],
      [{ first: 50, last: 60 }, 'apply'],
      [{ first: 62, last: 63 }, 'lost'],
    ]);
  });

  it('are exact beyond what JavaScript numbers hold', () => {
    const far = 9_007_199_254_740_993n;
    expectVerdicts(chainOf(false), [
      [{ first: far, last: far }, 'apply'],
      [{ first: far + 1n, last: far + 1n }, 'apply'],
      [{ first: far + 3n, last: far + 3n }, 'lost'],
    ]);
    expectVerdicts(chainOf(true), [
      [{ reset: true, last: Number.MAX_SAFE_INTEGER }, 'apply'],
      [{ first: far - 1n, last: far }, 'apply'],
      [{ previous: far, last: far + 2n }, 'apply'],
      [{ previous: far, last: far + 3n }, 'lost'],
    ]);
  });

  it('that are not documented are believed once they have followed each other as often as asked', () => {
    const chain = chainOf(false, 2);
    expectVerdicts(chain, [
      [{ first: 1, last: 1 }, 'apply'],
      [{ first: 2, last: 2 }, 'apply'],
      // A hole before the proof: they are not what we take them for, and the count of those in a row begins anew.
      [{ first: 9, last: 9 }, 'apply'],
      [{ first: 10, last: 10 }, 'apply'],
    ]);
    expect(chain.trusted).toBe(false);
    expectVerdicts(chain, [
      [{ first: 11, last: 11 }, 'apply'],
      [{ first: 13, last: 13 }, 'lost'],
    ]);
    expect(chain.trusted).toBe(true);
  });
});
