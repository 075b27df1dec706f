/**
 * A venue's clock, as far as its answers' `Date` tells: whether a candle's period has ended is the venue's to say, and a
 * machine whose clock is minutes off would call open candles closed.
 */
import type { Millis } from '../../schemas/common.js';

/** `Date` has whole seconds and is written before the answer travels: smaller differences mean nothing. */
export const TOLERATED_SKEW_MS: Millis = 2500;

export interface VenueClock {
  /** The venue's time. */
  now(): Millis;
  /** From the venue's time to ours. */
  toLocal(at: Millis): Millis;
  /** `date`: the answer's header; `receivedAt`: our time. */
  observe(date: string | undefined, receivedAt: Millis): void;
}

export const createVenueClock = (now: () => Millis): VenueClock => {
  let skew = 0;
  return {
    now: () => now() + skew,
    toLocal: (at) => at - skew,
    observe: (date, receivedAt) => {
      const said = date === undefined ? Number.NaN : Date.parse(date);
      if (Number.isNaN(said)) return;
      const difference = said + 500 - receivedAt;
      skew = Math.abs(difference) > TOLERATED_SKEW_MS ? difference : 0;
    },
  };
};

/** The sandbox tells its market by this machine's clock (or by one that a test gives to both), whatever its `Date`. */
export const createLocalClock = (now: () => Millis): VenueClock => ({
  now,
  toLocal: (at) => at,
  observe: () => undefined,
});
