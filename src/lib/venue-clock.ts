/** The clock of a venue, by the headers of its answers. */
import type { Millis } from './timers.js';

/** `Date` has whole seconds and is written before the answer travels: smaller differences mean nothing. */
export const TOLERATED_SKEW_MS: Millis = 2500;

/**
 * When an answer was sent, by its sender's clock; NaN where it does not say. One out of a cache has the time when it was
 * written in `Date`, and in `Age` how many seconds ago that was. Header names in lower case.
 */
export const timeOfAnswer = (headers: Readonly<Record<string, string>>): Millis =>
  Date.parse(headers['date'] ?? '') + Number(headers['age'] ?? 0) * 1000;

/**
 * A venue's clock, as far as its answers' `Date` tells: whether a candle's period has ended is the venue's to say, and a
 * machine whose clock is minutes off would call open candles closed.
 */
export interface VenueClock {
  /** The venue's time. */
  now(): Millis;
  /** From the venue's time to ours. */
  toLocal(at: Millis): Millis;
  /** An answer's headers, names in lower case, and our time when they arrived. */
  observe(headers: Readonly<Record<string, string>>, receivedAt: Millis): void;
}

/**
 * Between two answers it runs on by the clock of durations: a wall clock that is set in between does not close the open
 * candle, after which its updates would be dropped. Before the first answer it is the wall clock.
 */
export const createVenueClock = (now: () => Millis, monotonic: () => Millis): VenueClock => {
  /** The venue's time less the clock of durations. */
  let ahead: Millis | null = null;
  // Whole milliseconds: it stamps what is stored and sent.
  const venueNow = (): Millis => (ahead === null ? now() : Math.floor(monotonic() + ahead));
  return {
    now: venueNow,
    toLocal: (at) => at - (venueNow() - now()),
    observe: (headers, receivedAt) => {
      const said = timeOfAnswer(headers);
      if (Number.isNaN(said)) return;
      const difference = said + 500 - receivedAt;
      const skew = Math.abs(difference) > TOLERATED_SKEW_MS ? difference : 0;
      ahead = now() + skew - monotonic();
    },
  };
};
