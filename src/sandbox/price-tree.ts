// The price of one asset as a pure function of time.
//
// Days come from layered value noise. Each day is split into six 4 h bars, each of those into 1 h, 15 m, 5 m and 1 m
// bars, and each minute into slots of 100 ms with one trade each. A split keeps the parent's open, high, low, close and
// volume exactly, so any range can be summed up from a few dozen bars, and candles of all intervals agree.
import { mix, unit, valueNoise } from './hash.js';
import { DAY, HOUR, MINUTE, type Millis } from './intervals.js';
import { itemAt, numberAt } from './item-at.js';
import { bridge, minutePath, shareLots, SLOT, SLOTS_PER_MINUTE, type Bar } from './price-path.js';

/** Bar lengths from the top of the tree down to the minute. */
const LEVELS = [DAY, 4 * HOUR, HOUR, 15 * MINUTE, 5 * MINUTE, MINUTE] as const;
const MINUTE_LEVEL = LEVELS.length - 1;
/** Periods in days and strengths (in natural logarithm) of the long waves. */
const WAVES = [
  [701, 0.55],
  [173, 0.3],
  [37, 0.14],
  [9, 0.06],
  [2, 0.02],
] as const;
const MAX_BARS_PER_TREE = 96;
const MAX_MINUTES = 4096;

export interface PriceTreeOptions {
  readonly key: number;
  /** Around this price the asset moves. */
  readonly price: number;
  /** Average volume of a day in lots. */
  readonly dayLots: number;
  /** A thin market trades so seldom that whole minutes pass without a trade. */
  readonly thin: boolean;
}

interface Slots {
  readonly prices: Float64Array;
  readonly lots: Float64Array;
}

/** Minutes are shared by all trees, so that memory stays bounded however many assets there are. */
const minutes = new Map<number, Slots>();
let trees = 0;

function remember<T>(cache: Map<number, T>, key: number, entry: { value: T; max: number }): T {
  for (const oldest of cache.keys()) {
    if (cache.size < entry.max) break;
    cache.delete(oldest);
  }
  cache.set(key, entry.value);
  return entry.value;
}

export class PriceTree {
  readonly #options: PriceTreeOptions;
  readonly #id = (trees += 1);
  readonly #least: number;
  readonly #days = new Map<number, Bar>();
  readonly #children = new Map<number, readonly Bar[]>();

  constructor(options: PriceTreeOptions) {
    this.#options = options;
    this.#least = options.thin ? 0 : 1;
  }

  /** Everything that traded in [from, to); both must be multiples of SLOT. @throws RangeError for an empty range */
  aggregate(from: Millis, to: Millis): Bar {
    let sum: Bar | undefined;
    const add = (bar: Bar): void => {
      sum = sum
        ? {
            open: sum.open,
            high: Math.max(sum.high, bar.high),
            low: Math.min(sum.low, bar.low),
            close: bar.close,
            lots: sum.lots + bar.lots,
            trades: sum.trades + bar.trades,
          }
        : bar;
    };
    this.#walk({ from, to, level: 0 }, add);
    if (!sum) throw new RangeError(`nothing lies within ${from} and ${to}`);
    return sum;
  }

  /** The trade of one slot: its price and its volume in lots (0 in a thin market's empty slot). */
  slot(index: number): { price: number; lots: number } {
    const minute = Math.floor(index / SLOTS_PER_MINUTE);
    const slots = this.#slots(minute);
    const at = index - minute * SLOTS_PER_MINUTE;
    return { price: numberAt(slots.prices, at), lots: numberAt(slots.lots, at) };
  }

  #walk(range: { from: Millis; to: Millis; level: number }, add: (bar: Bar) => void): void {
    const length = itemAt(LEVELS, range.level);
    let from = range.from;
    while (from < range.to) {
      const index = Math.floor(from / length);
      const to = Math.min(range.to, (index + 1) * length);
      if (to - from === length) add(this.#bar(range.level, index));
      else if (range.level === MINUTE_LEVEL) this.#addSlots(from / SLOT, to / SLOT, add);
      else this.#walk({ from, to, level: range.level + 1 }, add);
      from = to;
    }
  }

  /** Slots [from, to) of one minute, in one pass: live tickers do this at every tick. */
  #addSlots(from: number, to: number, add: (bar: Bar) => void): void {
    const minute = Math.floor(from / SLOTS_PER_MINUTE);
    const slots = this.#slots(minute);
    const first = from - minute * SLOTS_PER_MINUTE;
    const end = to - minute * SLOTS_PER_MINUTE;
    const open = numberAt(slots.prices, first);
    let [high, low, close, lots, trades] = [open, open, open, 0, 0];
    for (let at = first; at < end; at += 1) {
      close = numberAt(slots.prices, at);
      const traded = numberAt(slots.lots, at);
      if (close > high) high = close;
      if (close < low) low = close;
      lots += traded;
      if (traded > 0) trades += 1;
    }
    add({ open, high, low, close, lots, trades });
  }

  #bar(level: number, index: number): Bar {
    if (level === 0) return this.#day(index);
    const parts = itemAt(LEVELS, level - 1) / itemAt(LEVELS, level);
    const parent = Math.floor(index / parts);
    return itemAt(this.#split(level - 1, parent), index - parent * parts);
  }

  #dayPrice(day: number): number {
    let log = 0;
    WAVES.forEach(([period, strength], i) => {
      log += strength * valueNoise(mix(this.#options.key, i + 1), day / period);
    });
    return this.#options.price * Math.exp(log + 0.006 * (unit(mix(mix(this.#options.key, 17), day)) - 0.5));
  }

  #day(index: number): Bar {
    const known = this.#days.get(index);
    if (known) return known;
    const key = mix(mix(this.#options.key, 23), index);
    const open = this.#dayPrice(index);
    const close = this.#dayPrice(index + 1);
    const lots = Math.floor(this.#options.dayLots * (0.6 + 0.8 * unit(mix(key, 3))));
    const bar: Bar = {
      open,
      close,
      high: Math.max(open, close) * (1 + 0.002 + 0.02 * unit(mix(key, 1))),
      low: Math.min(open, close) * (1 - 0.002 - 0.02 * unit(mix(key, 2))),
      lots,
      trades: this.#options.thin ? lots : DAY / SLOT,
    };
    return remember(this.#days, index, { value: bar, max: MAX_BARS_PER_TREE });
  }

  #split(level: number, index: number): readonly Bar[] {
    const cacheKey = index * LEVELS.length + level;
    const known = this.#children.get(cacheKey);
    if (known) return known;
    const parent = this.#bar(level, index);
    const length = itemAt(LEVELS, level + 1);
    const count = itemAt(LEVELS, level) / length;
    const key = mix(mix(this.#options.key, 31 + level), index);
    const knots = bridge(parent, key, count);
    const slots = length / SLOT;
    const lots = shareLots(parent.lots, mix(key, 1000), { count, least: this.#least * slots });
    const wick = (0.45 * (parent.high - parent.low)) / Math.sqrt(count);
    const top = mix(key, 2000) % count;
    const bottom = mix(key, 2001) % count;
    const bars = Array.from({ length: count }, (_, i): Bar => {
      const open = numberAt(knots, i);
      const close = numberAt(knots, i + 1);
      const high = Math.min(parent.high, Math.max(open, close) + wick * unit(mix(key, 3000 + i)));
      const low = Math.max(parent.low, Math.min(open, close) - wick * unit(mix(key, 4000 + i)));
      const share = numberAt(lots, i);
      return {
        open,
        close,
        high: i === top ? parent.high : high,
        low: i === bottom ? parent.low : low,
        lots: share,
        trades: this.#options.thin ? Math.min(share, slots) : slots,
      };
    });
    return remember(this.#children, cacheKey, { value: bars, max: MAX_BARS_PER_TREE });
  }

  #slots(minute: number): Slots {
    const cacheKey = this.#id * 0x1000_0000 + minute;
    const known = minutes.get(cacheKey);
    if (known) return known;
    const bar = this.#bar(MINUTE_LEVEL, minute);
    const key = mix(mix(this.#options.key, 47), minute);
    const value = {
      prices: minutePath(bar, key),
      lots: shareLots(bar.lots, mix(key, 5000), { count: SLOTS_PER_MINUTE, least: this.#least }),
    };
    return remember(minutes, cacheKey, { value, max: MAX_MINUTES });
  }
}
