import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  clip,
  missing,
  put,
  subtract,
  union,
  type Coverage,
  type CoverageState,
  type Span,
} from '../../../src/ledger/coverage.js';

const HOUR = 3_600_000;
const LENGTH = 40;

const spans = fc
  .array(fc.tuple(fc.nat(LENGTH - 1), fc.integer({ min: 1, max: 8 })), { maxLength: 6 })
  .map((pairs) => union(pairs.map(([from, length]) => ({ from, to: Math.min(LENGTH, from + length) }))));

const bits = (ranges: readonly Span[]): boolean[] =>
  Array.from({ length: LENGTH }, (_, at) => ranges.some(({ from, to }) => from <= at && at < to));

const STATES: readonly CoverageState[] = ['suspect', 'unavailable', 'empty', 'known'];
const rangeOf = (span: Span, state: CoverageState, at: number): Coverage => ({
  ...span,
  state,
  reason: null,
  source: 'rest',
  checkedMin: at,
  checkedMax: at,
  firstSeen: at,
  recheckAt: state === 'suspect' ? at + HOUR : null,
});
const rangesAt = (at: number) =>
  spans.chain((list) =>
    fc
      .array(fc.constantFrom(...STATES), { minLength: list.length, maxLength: list.length })
      .map((states) => list.map((span, index) => rangeOf(span, states[index] ?? 'known', at))),
  );
const stateAt = (ranges: readonly Coverage[], at: number): CoverageState | undefined =>
  ranges.find(({ from, to }) => from <= at && at < to)?.state;

describe('the algebra, beside a list of bits', () => {
  test('what is left of a span', () => {
    fc.assert(
      fc.property(spans, fc.nat(LENGTH - 2), (covered, from) => {
        const left = bits(subtract({ from, to: LENGTH }, covered));
        expect(left).toEqual(bits(covered).map((bit, at) => at >= from && !bit));
      }),
    );
  });

  test('ranges cut to a span', () => {
    fc.assert(
      fc.property(spans, spans, (ranges, [span]) => {
        if (span === undefined) return;
        expect(bits(clip(ranges, span))).toEqual(
          bits(ranges).map((bit, at) => bit && span.from <= at && at < span.to),
        );
      }),
    );
  });

  test('what is learnt beside what is known: the stronger state, period by period, disjoint and in order', () => {
    fc.assert(
      fc.property(rangesAt(0), rangesAt(60_000), (known, learnt) => {
        const result = put(known, learnt);
        for (let at = 0; at < LENGTH; at += 1) {
          const both = [stateAt(known, at), stateAt(learnt, at)].filter((state) => state !== undefined);
          const strongest = both.toSorted((a, b) => STATES.indexOf(b) - STATES.indexOf(a))[0];
          expect(stateAt(result, at)).toBe(strongest);
        }
        for (const [index, { from }] of result.entries())
          expect(from).toBeGreaterThanOrEqual(result[index - 1]?.to ?? 0);
      }),
    );
  });

  test('learning the same once more changes nothing but times', () => {
    fc.assert(
      fc.property(rangesAt(0), rangesAt(1), (known, learnt) => {
        const once = put(known, learnt);
        const twice = put(once, learnt);
        expect(twice.map(({ from, to, state }) => [from, to, state])).toEqual(
          once.map(({ from, to, state }) => [from, to, state]),
        );
      }),
    );
  });
});

test('ranges checked within an hour become one; later ones stay apart, so that their age is told', () => {
  const known = [rangeOf({ from: 0, to: 10 }, 'known', 0)];
  expect(put(known, [rangeOf({ from: 10, to: 20 }, 'known', HOUR)])).toMatchObject([
    { from: 0, to: 20, checkedMin: 0, checkedMax: HOUR },
  ]);
  expect(put(known, [rangeOf({ from: 10, to: 20 }, 'known', HOUR + 1)])).toHaveLength(2);
});

test('a suspect hole is to be asked for again an hour later, a known range never', () => {
  const ranges = [rangeOf({ from: 0, to: 10 }, 'known', 0), rangeOf({ from: 10, to: 20 }, 'suspect', 0)];
  expect(missing({ from: 0, to: 30 }, ranges, HOUR - 1)).toEqual([{ from: 20, to: 30 }]);
  expect(missing({ from: 0, to: 30 }, ranges, HOUR)).toEqual([{ from: 10, to: 30 }]);
});

test('a hole that is there again half an hour later is believed for a week', () => {
  const first = [rangeOf({ from: 0, to: 10 }, 'suspect', 0)];
  const soon = put(first, [rangeOf({ from: 0, to: 10 }, 'suspect', HOUR / 2 - 1)]);
  expect(soon).toMatchObject([{ state: 'suspect', firstSeen: 0 }]);
  const later = put(soon, [rangeOf({ from: 0, to: 10 }, 'suspect', HOUR / 2)]);
  expect(later).toMatchObject([{ state: 'empty', recheckAt: HOUR / 2 + 7 * 24 * HOUR }]);
});
