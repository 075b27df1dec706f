// Candle intervals of the venues, and where a period begins.

/** Milliseconds since the epoch, or a duration in milliseconds. */
export type Millis = number;

export const SECOND: Millis = 1000;
export const MINUTE: Millis = 60 * SECOND;
export const HOUR: Millis = 60 * MINUTE;
export const DAY: Millis = 24 * HOUR;

/** One interval: `start` gives the beginning of the period that holds a time, `next` that of the following period. */
export interface Interval {
  readonly name: string;
  readonly start: (time: Millis) => Millis;
  readonly next: (start: Millis) => Millis;
  /** The period `count` periods before `start`. */
  readonly back: (start: Millis, count: number) => Millis;
}

/** Periods of equal length, the first of them beginning `offset` after the epoch. */
export function fixedInterval(name: string, length: Millis, offset: Millis = 0): Interval {
  return {
    name,
    start: (time) => Math.floor((time - offset) / length) * length + offset,
    next: (start) => start + length,
    back: (start, count) => start - count * length,
  };
}

const monthStart = (time: Millis, shift: number): Millis => {
  const date = new Date(time);
  return Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + shift, 1);
};

/** Calendar months in UTC. */
const MONTH: Interval = {
  name: '1M',
  start: (time) => monthStart(time, 0),
  next: (start) => monthStart(start, 1),
  back: (start, count) => monthStart(start, -count),
};

const UNITS = { s: SECOND, m: MINUTE, h: HOUR, d: DAY, w: 7 * DAY } as const;

/** The interval of a name such as `5m` or `1d`; weeks begin on Monday. Null if it is none. */
export function parseInterval(name: string): Interval | null {
  if (name === '1M') return MONTH;
  const match = /^(\d{1,4})([smhdw])$/.exec(name);
  if (!match) return null;
  const unit = match[2] as keyof typeof UNITS;
  const count = Number(match[1]);
  if (count === 0) return null;
  return fixedInterval(name, count * UNITS[unit], unit === 'w' ? 4 * DAY : 0);
}
