/** How far a price moved, and whether that is far enough for an event. */

/** Decimal prices are no binary fractions: 100 to 100.1 is 0.1 % to a reader and a hair less to a double. */
const TOLERANCE = 1e-9;
const PERCENT_DECIMALS = 1e8;

/**
 * Whether `last` is at least `threshold` (a fraction) away from `base`. Without a price on either side, or from a base of
 * zero, any difference counts; a price that went missing is never an event.
 */
export const hasMoved = (base: number | null, last: number | null, threshold: number): boolean => {
  if (last === null) return false;
  if (base === null || base === 0) return last !== base;
  return Math.abs(last - base) >= threshold * Math.abs(base) * (1 - TOLERANCE);
};

/** Signed move in percent; 0 where it can't be told. */
export const percentMove = (base: number | null, last: number | null): number => {
  if (last === null || base === null || base === 0) return 0;
  const percent = ((last - base) / Math.abs(base)) * 100;
  return Math.round(percent * PERCENT_DECIMALS) / PERCENT_DECIMALS;
};
