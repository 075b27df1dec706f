/** How far a REST order book is from the live books that were seen around it. Pure. */
import type { PriceLevel } from '../../schemas/market.js';

export interface BookSides {
  readonly bids: readonly PriceLevel[];
  readonly asks: readonly PriceLevel[];
}

/** Levels a side that are compared. */
const DEPTH = 10;
/** REST books of some venues round amounts. */
const AMOUNT_TOLERANCE = 0.01;

const sameAmount = (a: number, b: number): boolean => Math.abs(a - b) <= AMOUNT_TOLERANCE * Math.max(a, b);

const amounts = (side: readonly PriceLevel[]): Map<number, number> =>
  new Map(side.map(({ price, amount }) => [price, amount]));

/** `sign`: 1 where lower prices are better (asks), -1 where higher ones are. */
const differingOnSide = (
  rest: readonly PriceLevel[],
  live: readonly (readonly PriceLevel[])[],
  { sign, liveDepth }: { readonly sign: 1 | -1; readonly liveDepth: number },
): number => {
  const top = rest.slice(0, DEPTH);
  const full = top.length === DEPTH;
  // Beyond the worst price of a full list there may be levels that it does not show.
  const reaches = live.filter((side) => side.length >= liveDepth).map((side) => side.at(-1)?.price ?? 0);
  const limits = full ? [...reaches, top.at(-1)?.price ?? 0] : reaches;
  const isSeen = (price: number): boolean => limits.every((limit) => (limit - price) * sign >= 0);
  const restAmounts = amounts(rest);
  const liveAmounts = live.map(amounts);
  const prices = new Set([...top, ...live.flat()].map(({ price }) => price));
  let differing = 0;
  let rank = 0;
  for (const price of [...prices].filter(isSeen).sort((a, b) => (a - b) * sign)) {
    const told = restAmounts.get(price) ?? 0;
    const held = liveAmounts.map((side) => side.get(price) ?? 0);
    const amount = held[0] ?? 0;
    // What moved meanwhile proves nothing.
    const stable = held.every((other) => other === amount);
    if (stable && (told === 0) !== (amount === 0))
      // One level too many or too few shifts all that are behind it.
      return differing + Math.max(1, top.length - rank);
    if (stable && !sameAmount(told, amount)) differing += 1;
    if (told > 0) rank += 1;
  }
  return differing;
};

/**
 * How many of the ten best levels a side differ for certain: those that all of the `live` books agree on, and REST does
 * not. `liveDepth`: levels a side at which live books are cut.
 */
export const differingLevels = (rest: BookSides, live: readonly BookSides[], liveDepth: number): number => {
  if (live.length === 0) return 0;
  const side = (key: 'bids' | 'asks', sign: 1 | -1): number =>
    differingOnSide(
      rest[key],
      live.map((book) => book[key]),
      { sign, liveDepth },
    );
  return side('bids', -1) + side('asks', 1);
};
