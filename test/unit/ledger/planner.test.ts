import { expect, test } from 'vitest';
import type { Coverage } from '../../../src/ledger/coverage.js';
import { doneOf, nextPage, progressOf, type PlanInput } from '../../../src/ledger/planner.js';
import { MINUTE, T0 } from './candle-data.js';

const at = (index: number): number => T0 + index * MINUTE;
const range = (from: number, to: number, { state = 'known', recheckAt = null }: Partial<Coverage> = {}) =>
  ({
    ...{ from: at(from), to: at(to), state, reason: null, source: 'rest', recheckAt },
    ...{ checkedMin: 0, checkedMax: 0, firstSeen: 0 },
  }) satisfies Coverage;
const plan = (coverage: readonly Coverage[], more: Partial<PlanInput> = {}): PlanInput => ({
  interval: { text: '1m', ms: MINUTE, months: 0, origin: 0 },
  span: { from: at(0), to: at(1000) },
  coverage,
  traits: { page: 300, kind: 'jump', omitsEmpty: false },
  now: at(2000),
  ...more,
});

test('the newest missing page comes first, as a whole page over what is known', () => {
  expect(nextPage(plan([]))).toEqual({ since: at(700), limit: 300 });
  expect(nextPage(plan([range(600, 1000)]))).toEqual({ since: at(300), limit: 300 });
  expect(nextPage(plan([range(0, 500), range(510, 1000)]))).toEqual({ since: at(210), limit: 300 });
  expect(nextPage(plan([range(100, 1000)]))).toEqual({ since: at(0), limit: 100 });
  expect(nextPage(plan([range(0, 1000)]))).toBeNull();
});

test('what a short page has left of its range is asked for from where it ended', () => {
  const coverage = [range(700, 800)];
  expect(nextPage(plan(coverage, { resumeAt: at(800) }))).toEqual({ since: at(800), limit: 200 });
  expect(nextPage(plan(coverage, { resumeAt: at(850) }))).toEqual({ since: at(700), limit: 300 });
  const long = [range(100, 200)];
  expect(nextPage(plan(long, { resumeAt: at(200) }))).toEqual({ since: at(700), limit: 300 });
});

test('a venue that gives its latest only is asked once, from the beginning', () => {
  const traits = { page: 720, kind: 'latest', omitsEmpty: false } as const;
  expect(nextPage(plan([], { traits }))).toEqual({ since: at(0), limit: 720 });
  expect(progressOf(plan([], { traits }))).toMatchObject({ requests: 1 });
  expect(progressOf(plan([range(0, 1000)], { traits }))).toMatchObject({ requests: 0 });
});

test('progress: what is settled, what has candles, and how far the end is complete', () => {
  const coverage = [range(0, 100), range(700, 750, { state: 'empty' }), range(750, 1000)];
  expect(progressOf(plan(coverage))).toEqual({
    ...{ percent: 40, candles: 350, requests: 2, left: 600 * MINUTE, reached: at(700) },
  });
  expect(progressOf(plan([range(0, 10)]))).toMatchObject({ percent: 1, reached: null });
  expect(progressOf(plan([range(0, 1000)]))).toMatchObject({ percent: 100, left: 0, reached: at(0) });
  const nothing = { span: { from: at(0), to: at(0) } };
  expect(progressOf(plan([], nothing))).toMatchObject({ percent: 100, candles: 0, reached: null });
});

test('a hole is settled until it is due again', () => {
  const coverage = [
    range(0, 500),
    range(500, 600, { state: 'suspect', recheckAt: at(2060) }),
    range(600, 1000),
  ];
  expect(nextPage(plan(coverage))).toBeNull();
  expect(nextPage(plan(coverage, { now: at(2060) }))).toEqual({ since: at(300), limit: 300 });
});

test('a stretch that is done stands for its coverage: the same page and progress, from the ranges before it alone', () => {
  const thin = Array.from({ length: 100 }, (_, index) => range(700 + 3 * index, 701 + 3 * index));
  const holes = thin.map(({ to }) => ({
    ...range(0, 0, { state: 'empty', recheckAt: at(9000) }),
    from: to,
    to: to + 2 * MINUTE,
  }));
  const coverage = [range(300, 310), ...[...thin, ...holes].sort((a, b) => a.from - b.from)];
  const whole = plan(coverage);
  const done = doneOf(whole);
  expect(done).toEqual({ from: at(700), to: at(1000), candles: 100 });
  const rest = plan([range(300, 310)], { done });
  expect(nextPage(rest)).toEqual(nextPage(whole));
  expect(progressOf(rest)).toEqual(progressOf(whole));
  expect(doneOf(rest)).toEqual(done);
  const more = plan([range(300, 310), range(400, 700)], { done });
  expect(doneOf(more)).toEqual({ from: at(400), to: at(1000), candles: 400 });
  expect(progressOf(more)).toMatchObject({ candles: 410, left: 390 * MINUTE });
});

test('nothing is done while the newest part is missing, and what comes before the first candle stays to be judged', () => {
  expect(doneOf(plan([range(0, 999)]))).toBeNull();
  const before = range(0, 400, { state: 'suspect', recheckAt: at(9000) });
  expect(doneOf(plan([before, range(400, 1000)]))).toMatchObject({ from: at(400), candles: 600 });
  expect(doneOf(plan([range(0, 1000, { state: 'empty' })]))).toBeNull();
});
