/**
 * Candle intervals: CCXT's texts (`1m`, `4h`, `1d`, `1w`, `1M`) as time. Pure. Periods begin where venues begin them:
 * at multiples of their length since the epoch, weeks on Monday, months and years on their first day (UTC).
 */
import type { Millis } from './timers.js';

const SECOND_MS: Millis = 1000;
const MINUTE_MS: Millis = 60 * SECOND_MS;
export const HOUR_MS: Millis = 60 * MINUTE_MS;
export const DAY_MS: Millis = 24 * HOUR_MS;
const WEEK_MS: Millis = 7 * DAY_MS;
/** 1970-01-05, the first Monday. */
const FIRST_MONDAY: Millis = 4 * DAY_MS;

const FIXED: ReadonlyMap<string, Millis> = new Map([
  ['s', SECOND_MS],
  ['m', MINUTE_MS],
  ['h', HOUR_MS],
  ['d', DAY_MS],
  ['w', WEEK_MS],
]);
const MONTHS: ReadonlyMap<string, number> = new Map([
  ['M', 1],
  ['y', 12],
]);

export interface Interval {
  readonly text: string;
  /** Length; of months the average, for comparing and estimating only. */
  readonly ms: Millis;
  /** 0 where the length is fixed. */
  readonly months: number;
  /** Start of some period; of months how much later than in UTC they begin (negative east of Greenwich). */
  readonly origin: Millis;
}

const AVERAGE_MONTH_MS: Millis = 30.436875 * DAY_MS;

/** undefined where the text is no interval. */
export const parseInterval = (text: string): Interval | undefined => {
  const match = /^([1-9]\d{0,2})([smhdwMy])$/.exec(text);
  const count = Number(match?.[1]);
  const unit = match?.[2];
  if (unit === undefined) return undefined;
  const fixed = FIXED.get(unit);
  if (fixed !== undefined)
    return { text, ms: count * fixed, months: 0, origin: unit === 'w' ? FIRST_MONDAY : 0 };
  const months = count * (MONTHS.get(unit) ?? 1);
  return { text, ms: months * AVERAGE_MONTH_MS, months, origin: 0 };
};

const monthsSinceEpoch = (at: Millis): number => {
  const date = new Date(at);
  return (date.getUTCFullYear() - 1970) * 12 + date.getUTCMonth();
};
const startOfMonth = (month: number): Millis => Date.UTC(1970, month, 1);

/**
 * The interval with its periods laid so that one starts at `start`: some venues begin weeks and other long periods
 * elsewhere. Months stay where they are.
 */
export const alignedTo = (interval: Interval, start: Millis): Interval =>
  interval.months > 0 ? interval : { ...interval, origin: start };

/** How much later than the nearest first of a month (UTC) `at` is; negative: earlier. */
export const calendarOffset = (at: Millis): Millis => {
  const month = monthsSinceEpoch(at);
  const offset = at - startOfMonth(month);
  const before = at - startOfMonth(month + 1);
  return offset <= -before ? offset : before;
};

/** Start of the period that `at` lies in. */
export const periodStart = (interval: Interval, at: Millis): Millis => {
  if (interval.months > 0) {
    const month = monthsSinceEpoch(at - interval.origin);
    return startOfMonth(month - (month % interval.months)) + interval.origin;
  }
  const { ms, origin } = interval;
  return origin + Math.floor((at - origin) / ms) * ms;
};

/** Start of the period `count` (may be negative) periods after the one that starts at `start`. */
export const addPeriods = (interval: Interval, start: Millis, count: number): Millis =>
  interval.months > 0
    ? startOfMonth(monthsSinceEpoch(start - interval.origin + DAY_MS / 2) + count * interval.months) +
      interval.origin
    : start + count * interval.ms;

/** Instant at which the period that starts at `start` has ended. */
export const periodEnd = (interval: Interval, start: Millis): Millis => addPeriods(interval, start, 1);

/** The first period start at or after `at`. */
export const nextPeriodStart = (interval: Interval, at: Millis): Millis => {
  const start = periodStart(interval, at);
  return start === at ? start : periodEnd(interval, start);
};

/** Valid intervals without repetitions, shortest first. */
export const sortIntervals = (texts: readonly string[]): string[] =>
  [...new Set(texts)]
    .map(parseInterval)
    .filter((interval) => interval !== undefined)
    .sort((a, b) => a.ms - b.ms)
    .map(({ text }) => text);
