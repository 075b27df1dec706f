/** What a field costs, in REST's units: one request of REST is 1, and what reads much costs its share more. */

/**
 * From a field's arguments, as graphql-js coerced them, to its units; stands in the field's `extensions.cost`. A field
 * without costs 1 in Query and Subscription, and nothing elsewhere.
 */
export type Cost = (args: Readonly<Record<string, unknown>>) => number;

const limitOf = (limit: unknown, fallback: number): number =>
  typeof limit === 'number' ? Math.max(0, limit) : fallback;

/** Rows that cost a unit more. */
const ROWS = 100;
const CANDLES = 500;

export const costs = {
  nothing: () => 0,
  ticker: () => 1,
  orderBook: ({ limit }) => 1 + limitOf(limit, 50) / ROWS,
  trades: ({ limit }) => 1 + limitOf(limit, 100) / ROWS,
  ohlcv: ({ limit }) => 1 + limitOf(limit, 500) / CANDLES,
  tickers: ({ markets }) => (Array.isArray(markets) ? markets.length : 1),
} as const satisfies Readonly<Record<string, Cost>>;
