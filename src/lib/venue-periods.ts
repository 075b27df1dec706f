/**
 * A series' periods as the venue lays them: learnt from the starts of its rows, never from the interval's name (Bitstamp's
 * `1w` is three days, HTX's months are those of UTC+8, some days begin at 16:00 UTC or have 25 hours). Pure.
 */
import type { Millis } from './timers.js';
import { calendarOffset, DAY_MS, HOUR_MS, type Interval } from './intervals.js';

/** Clocks that are put forward and back move the starts of days and longer periods by an hour. */
export const toleranceOf = ({ ms }: Pick<Interval, 'ms'>): Millis => (ms >= DAY_MS ? HOUR_MS : 0);

/** No place on earth is further from UTC. */
const MAX_OFFSET_MS: Millis = 14 * HOUR_MS;
const LONGEST_MONTH_DAYS = 31;

const isMultiple = (step: Millis, length: Millis, tolerance: Millis): boolean => {
  const count = Math.round(step / length);
  return count >= 1 && Math.abs(step - count * length) <= tolerance;
};

/** Periods of one length, where the rows allow for one; else of the length that the name says. */
const fixedPeriods = (named: Interval, steps: readonly Millis[], origin: Millis): Interval => {
  const fixed = { ...named, months: 0, origin };
  const shortest = Math.min(...steps);
  if (steps.length > 0 && steps.every((step) => isMultiple(step, shortest, 0)))
    return { ...fixed, ms: shortest };
  return named.months === 0 ? fixed : { ...fixed, ms: named.months * LONGEST_MONTH_DAYS * DAY_MS };
};

/**
 * `named` as rows that start at `starts` (ascending) show it to be: its length and where its periods begin. Without rows
 * it stays as it is.
 */
export const learnInterval = (named: Interval, starts: readonly Millis[]): Interval => {
  const latest = starts.at(-1);
  if (latest === undefined) return named;
  const steps = starts.slice(1).map((start, index) => start - (starts[index] ?? start));
  if (named.months === 0) {
    const fits = steps.every((step) => isMultiple(step, named.ms, toleranceOf(named)));
    return fits ? { ...named, origin: latest } : fixedPeriods(named, steps, latest);
  }
  const offset = calendarOffset(latest);
  const fits =
    Math.abs(offset) <= MAX_OFFSET_MS &&
    starts.every((start) => Math.abs(calendarOffset(start) - offset) <= HOUR_MS);
  return fits ? { ...named, origin: offset } : fixedPeriods(named, steps, latest);
};

/** Some periods are an hour longer or shorter than the others: the venue's days follow a clock that is put back. */
export const isIrregular = ({ ms, months }: Interval, starts: readonly Millis[]): boolean =>
  months === 0 &&
  starts.some((start, index) => index > 0 && (start - (starts[index - 1] ?? start)) % ms !== 0);
