/**
 * What a venue's own JSON is, told by its members: CCXT makes the same empty result of a market without trades and of an
 * answer that is something else altogether. Pure.
 */

const isTable = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Words and letters that venues name the figures of a market with. */
const FIGURES = new Set(
  'bid bids ask asks buy sell last latest price prices px close open high low volume vol prev turnover avg mark a b c p v o h l q'.split(
    ' ',
  ),
);

/** `bestBidPrice`, `last_price`, `askPx` as words in lower case. */
const wordsOf = (name: string): string[] =>
  name
    .replace(/([a-z0-9])([A-Z])/g, '$1 $2')
    .toLowerCase()
    .split(/[^a-z]+/);

const isFigure = (value: unknown): boolean =>
  value === null || typeof value === 'number' || (typeof value === 'string' && /^[\d.eE+-]*$/.test(value));

/** Fewer figures in a row of a list without names may be anything. */
const LEAST_FIGURES = 3;
/** Venues put their figures at most this deep into the object of one market. */
const MAX_DEPTH = 3;

/** Whether a venue's object of one market or trade has a field for a price, be it empty. */
export const hasPriceField = (info: unknown, depth = MAX_DEPTH): boolean => {
  if (Array.isArray(info)) return info.filter(isFigure).length >= LEAST_FIGURES;
  if (!isTable(info)) return false;
  return Object.entries(info).some(
    ([name, value]) =>
      wordsOf(name).some((word) => FIGURES.has(word)) ||
      (depth > 0 && isTable(value) && hasPriceField(value, depth - 1)),
  );
};

const SIDES = [
  ['bids', 'asks'],
  ['bid', 'ask'],
  ['b', 'a'],
  ['buy', 'sell'],
  ['buys', 'sells'],
  ['buyLevels', 'sellLevels'],
] as const;
/** Members that hold both sides in one list. */
const LEVELS = ['orderbook_units', 'levels'] as const;

const isHolder = (value: unknown): boolean => typeof value === 'object';

/** Whether an answer has the two sides of an order book in it, be they empty. */
export const hasBookSides = (json: unknown, depth = MAX_DEPTH + 1): boolean => {
  if (Array.isArray(json))
    return depth > 0 && json.slice(0, 2).some((entry) => hasBookSides(entry, depth - 1));
  if (!isTable(json)) return false;
  const has = (name: string): boolean => Object.hasOwn(json, name) && isHolder(json[name]);
  if (SIDES.some(([bids, asks]) => has(bids) && has(asks)) || LEVELS.some(has)) return true;
  return depth > 0 && Object.values(json).some((value) => hasBookSides(value, depth - 1));
};
