/** Periods of candles by the name of their interval. */
const UNITS: Readonly<Record<string, number>> = {
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
};

/** In milliseconds; null for months and years, whose length differs. */
export const periodOf = (interval: string): number | null => {
  const [, count, unit = ''] = /^(\d+)([a-zA-Z])$/.exec(interval) ?? [];
  const length = UNITS[unit];
  return count === undefined || length === undefined ? null : Number(count) * length;
};

/** End of the period that begins at `begin`. */
export const endOfPeriod = (begin: number, interval: string): number => {
  const length = periodOf(interval);
  if (length !== null) return begin + length;
  const [, count = '1', unit = 'M'] = /^(\d+)([a-zA-Z])$/.exec(interval) ?? [];
  const end = new Date(begin);
  end.setUTCMonth(end.getUTCMonth() + Number(count) * (unit === 'y' ? 12 : 1));
  return end.getTime();
};
