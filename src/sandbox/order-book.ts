// Order books as a pure function of time: levels on a fixed price grid around the last price, quantities from hashes
// that change at staggered times, so that from one slot to the next only a few levels change.
import { mix, unit } from './hash.js';
import { type Market } from './listings.js';

/** Levels a side in the whole book. */
export const BOOK_LEVELS = 1000;
/** Book quantities have three decimals on every venue (Kraken's REST book has no more). */
export const QUANTITY_DECIMALS = 3;
/** A level's quantity lasts this many slots. */
const LEVEL_LIFE = 64;
/** A difference over more slots than these looks at both ends only. */
const MAX_WALK = 600;

export type Side = 'bid' | 'ask';
/** Price in ticks of the market, quantity in thousandths of the base; quantity 0 in a difference removes the level. */
export type Level = readonly [price: number, quantity: number];
export interface BookSides {
  readonly bids: readonly Level[];
  readonly asks: readonly Level[];
}

/** The price of a market's slot in whole ticks, at least one. Monotone, so highs stay highs. */
export const toTicks = (market: Market, treePrice: number): number =>
  Math.max(1, Math.round(treePrice * market.factor * 10 ** market.priceDecimals));

const lastTicks = (market: Market, slot: number): number => toTicks(market, market.tree.slot(slot).price);

/** The best level's price: the grid's nearest one strictly below or above the last price. */
function bestPrice(market: Market, slot: number, side: Side): number {
  const last = lastTicks(market, slot);
  const step = market.bookStep;
  return side === 'bid' ? Math.floor((last - 1) / step) * step : Math.ceil((last + 1) / step) * step;
}

const levelKey = (market: Market, side: Side, price: number): number =>
  mix(mix(market.key, side === 'bid' ? 61 : 67), price);

function quantityAt(market: Market, key: number, slot: number): number {
  const life = Math.floor((slot + (key % LEVEL_LIFE)) / LEVEL_LIFE);
  return 1 + Math.floor(unit(mix(key, life)) ** 2 * market.bookQuantity);
}

const away = (side: Side): number => (side === 'bid' ? -1 : 1);

/** The best `count` levels of one side at a slot, best first. */
export function bookSide(market: Market, at: { slot: number; side: Side }, count: number): Level[] {
  const best = bestPrice(market, at.slot, at.side);
  const step = market.bookStep * away(at.side);
  const levels: Level[] = [];
  for (let i = 0; i < count; i += 1) {
    const price = best + i * step;
    if (price < 1) break;
    levels.push([price, quantityAt(market, levelKey(market, at.side, price), at.slot)]);
  }
  return levels;
}

/** The best `depth` levels of both sides at a slot. */
export const bookAt = (market: Market, slot: number, depth: number): BookSides => ({
  bids: bookSide(market, { slot, side: 'bid' }, depth),
  asks: bookSide(market, { slot, side: 'ask' }, depth),
});

export interface BookChange {
  /** The slot the reader's book is at, and the one it goes to. */
  readonly from: number;
  readonly to: number;
  readonly depth: number;
  /**
   * Also name levels that changed on the way, even if they are back where they were: needed where a reader may start
   * from a snapshot in between (Binance).
   */
  readonly everySlot: boolean;
}

/** What changes in the best `depth` levels between two slots, in new absolute quantities. */
export const bookChange = (market: Market, change: BookChange): BookSides => ({
  bids: sideChange(market, 'bid', change),
  asks: sideChange(market, 'ask', change),
});

function sideChange(market: Market, side: Side, change: BookChange): Level[] {
  const window = sideWindow(market, side, change.depth);
  const { from, to } = change;
  const touched = to - from > MAX_WALK ? window.touchedAtEnds(from, to) : window.touchedOnTheWay(from, to);
  const first = window.at(change.from);
  const last = window.at(change.to);
  const levels: Level[] = [];
  for (const price of touched) {
    const now = last.quantity(price);
    if (change.everySlot || first.quantity(price) !== now) levels.push([price, now]);
  }
  return levels.sort((a, b) => (b[0] - a[0]) * -away(side) * 1);
}

/** The moving window of one side: which prices it holds at a slot, and which of them change from one slot to another. */
function sideWindow(market: Market, side: Side, depth: number) {
  const step = market.bookStep;
  const range = (slot: number): [low: number, high: number] => {
    const best = bestPrice(market, slot, side);
    const worst = best + away(side) * step * (depth - 1);
    return side === 'bid' ? [Math.max(step, worst), best] : [best, worst];
  };
  const at = (slot: number) => {
    const [low, high] = range(slot);
    return {
      quantity: (price: number): number =>
        price < low || price > high ? 0 : quantityAt(market, levelKey(market, side, price), slot),
    };
  };
  const touchedAtEnds = (from: number, to: number): Set<number> => {
    const [low, high] = range(from);
    const [newLow, newHigh] = range(to);
    const found = new Set<number>();
    for (let price = Math.min(low, newLow); price <= Math.max(high, newHigh); price += step) {
      const was = price >= low && price <= high;
      const is = price >= newLow && price <= newHigh;
      if (was !== is || (was && is && expires(levelKey(market, side, price), from, to))) found.add(price);
    }
    return found;
  };
  /** Slot by slot; the keys of a thousand levels are looked up once. */
  const touchedOnTheWay = (from: number, to: number): Set<number> => {
    const ranges = Array.from({ length: to - from + 1 }, (_slot, i) => range(from + i));
    const expiring = Array.from({ length: LEVEL_LIFE }, (): number[] => []);
    const highest = Math.max(...ranges.map(([, high]) => high));
    for (let price = Math.min(...ranges.map(([low]) => low)); price <= highest; price += step)
      expiring[expiryOf(levelKey(market, side, price))]?.push(price);
    const found = new Set<number>();
    const add = (low: number, high: number): void => {
      for (let price = low; price <= high; price += step) found.add(price);
    };
    for (const [i, [newLow, newHigh]] of ranges.entries()) {
      const before = ranges[i - 1];
      if (before === undefined) continue;
      const [low, high] = before;
      add(low, Math.min(high, newLow - step));
      add(Math.max(low, newHigh + step), high);
      add(newLow, Math.min(newHigh, low - step));
      add(Math.max(newLow, high + step), newHigh);
      for (const price of expiring[(from + i) % LEVEL_LIFE] ?? [])
        if (price >= Math.max(low, newLow) && price <= Math.min(high, newHigh)) found.add(price);
    }
    return found;
  };
  return { at, touchedAtEnds, touchedOnTheWay };
}

/** The slots at which a level's quantity is replaced, modulo its life. */
const expiryOf = (key: number): number => (LEVEL_LIFE - (key % LEVEL_LIFE)) % LEVEL_LIFE;

/** Whether a level's quantity is replaced in (before, after]. */
function expires(key: number, before: number, after: number): boolean {
  const offset = key % LEVEL_LIFE;
  return Math.floor((before + offset) / LEVEL_LIFE) !== Math.floor((after + offset) / LEVEL_LIFE);
}
