// Numbers and times as venues write them.
import { type Millis } from './intervals.js';
import { itemAt } from './item-at.js';

const POWERS = Array.from({ length: 16 }, (_, i) => 10 ** i);

/** Whole units of 10^-decimals as a number: the one nearest to the exact decimal, as a parser would read it. */
export const toNumber = (units: number, decimals: number): number => units / itemAt(POWERS, decimals);

/** Whole units of 10^-decimals as a decimal string with `places` decimals (at least `decimals`). */
export const toDecimal = (units: number, decimals: number, places = decimals): string =>
  toNumber(units, decimals).toFixed(places);

/** `2023-09-10T13:47:41.447000Z`: Coinbase and Kraken write microseconds. */
export const isoMicros = (time: Millis): string => `${new Date(time).toISOString().slice(0, -1)}000Z`;
