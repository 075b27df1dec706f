/**
 * Event loop delay, measured as the lateness of a timer: requests are late by the same time. One pause (a large parse, a collection) is not overload; several late rounds in a row are.
 */
import type { Millis } from '../../schemas/common.js';

/** A round of measuring. */
const ROUND_MS = 200;
/** Rounds that are averaged: 1 s together. */
const ROUNDS = 5;
/** What one round counts for at most, in lags that are allowed: half of the rounds' sum, so that one pause is no overload. */
const MAX_COUNTED_LAGS = ROUNDS / 2;

export interface LoadGauge {
  overloaded(): boolean;
  /** Mean lateness over the last second, in milliseconds. */
  lagMs(): Millis;
  close(): void;
}

/**
 * `maxLagMs`: mean lateness beyond which answers come too late to be worth making; 0: they never do. `now` must be monotonic,
 * in milliseconds.
 */
export const createLoadGauge = (maxLagMs: Millis, now: () => Millis = () => performance.now()): LoadGauge => {
  const lags = new Array<Millis>(ROUNDS).fill(0);
  let round = 0;
  let last = now();
  let mean = 0;
  let counted = 0;
  const timer = setInterval(() => {
    const at = now();
    lags[round % ROUNDS] = Math.max(0, at - last - ROUND_MS);
    round += 1;
    last = at;
    mean = lags.reduce((sum, lag) => sum + lag, 0) / ROUNDS;
    counted = lags.reduce((sum, lag) => sum + Math.min(lag, MAX_COUNTED_LAGS * maxLagMs), 0) / ROUNDS;
  }, ROUND_MS);
  timer.unref();
  return {
    lagMs: () => mean,
    overloaded: () => counted > maxLagMs,
    close: () => clearInterval(timer),
  };
};
