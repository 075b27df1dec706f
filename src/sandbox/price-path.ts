// How a bar is divided: its volume among parts, its price along a path from open to close.
import { mix, unit } from './hash.js';
import { MINUTE, type Millis } from './intervals.js';
import { itemAt, numberAt } from './item-at.js';

/** The shortest distance between two trades, in milliseconds. */
export const SLOT: Millis = 100;
export const SLOTS_PER_MINUTE = MINUTE / SLOT;

/** Prices in units of the asset's reference currency, volume in lots. */
export interface Bar {
  readonly open: number;
  readonly high: number;
  readonly low: number;
  readonly close: number;
  readonly lots: number;
  readonly trades: number;
}

const clamp = (value: number, low: number, high: number): number => Math.min(high, Math.max(low, value));

/** Shares `total` whole lots among `count` parts by hashed weights; each part gets at least `least`. */
export function shareLots(total: number, key: number, parts: { count: number; least: number }): Float64Array {
  const weights = new Float64Array(parts.count + 1);
  let sum = 0;
  for (let i = 0; i < parts.count; i += 1) {
    sum = sum + 0.2 + unit(mix(key, i)) ** 2;
    weights[i + 1] = sum;
  }
  const spare = Math.max(0, total - parts.least * parts.count);
  const shares = new Float64Array(parts.count);
  // The end is `spare` itself: a rounded quotient could lose a lot.
  const upto = (i: number): number =>
    i === parts.count ? spare : Math.floor((spare * numberAt(weights, i)) / sum);
  for (let i = 0; i < parts.count; i += 1) shares[i] = parts.least + upto(i + 1) - upto(i);
  return shares;
}

/** `count` + 1 prices from a bar's open to its close: a random walk tied down at both ends, inside high and low. */
export function bridge(bar: Bar, key: number, count: number): Float64Array {
  const walk = new Float64Array(count + 1);
  let drift = 0;
  for (let i = 1; i <= count; i += 1) {
    drift = drift + unit(mix(key, i)) - 0.5;
    walk[i] = drift;
  }
  const scale = (1.4 * (bar.high - bar.low)) / Math.sqrt(count);
  return walk.map((value, i) => {
    if (i === 0) return bar.open;
    if (i === count) return bar.close;
    const line = bar.open + ((bar.close - bar.open) * i) / count;
    return clamp(line + (value - (drift * i) / count) * scale, bar.low, bar.high);
  });
}

/** The slots of a minute: from open over high and low, in either order, to close. */
export function minutePath(bar: Bar, key: number): Float64Array {
  const last = SLOTS_PER_MINUTE - 1;
  const top = 1 + (mix(key, 1) % (last - 2));
  let bottom = 1 + (mix(key, 2) % (last - 2));
  if (bottom === top) bottom = top + 1;
  const stops = [
    { slot: 0, price: bar.open },
    { slot: top, price: bar.high },
    { slot: bottom, price: bar.low },
    { slot: last, price: bar.close },
  ].sort((a, b) => a.slot - b.slot);
  const prices = new Float64Array(SLOTS_PER_MINUTE);
  const noise = 0.1 * (bar.high - bar.low);
  for (let stop = 0; stop < stops.length - 1; stop += 1) {
    const { slot: from, price: start } = itemAt(stops, stop);
    const { slot: to, price: end } = itemAt(stops, stop + 1);
    for (let i = from; i <= to; i += 1) {
      const x = (i - from) / (to - from);
      const wobble = i === from || i === to ? 0 : noise * (unit(mix(key, 10 + i)) - 0.5);
      prices[i] = i === to ? end : clamp(start + (end - start) * x + wobble, bar.low, bar.high);
    }
  }
  return prices;
}
