/**
 * What the tools take and give, made from the schemas of the HTTP contract: the same rules and limits, with numbers as
 * numbers (a URL carries them as text), and beside each answer the truth about it.
 */
import { z } from 'zod';
import { timestamp } from '../schemas/common.js';
import { exchangeEntry, marketsPage, ohlcv, orderBook, ticker, trades } from '../schemas/market.js';
import { marketsQuery, ohlcvQuery, orderBookQuery, tickerQuery, tradesQuery } from '../schemas/query.js';

/** Rows that a tool answers with unless it is asked for more: a model reads every one of them. */
export const DEFAULT_ROWS = 100;
/** An order book has rows on two sides. */
const DEFAULT_LEVELS = DEFAULT_ROWS / 2;

/** The number behind a number that a URL carries as text, with its bounds. */
const numberOf = (field: { unwrap(): { readonly out: z.ZodInt } }): z.ZodInt => field.unwrap().out;

export const listExchangesInput = z.strictObject({});
export const searchMarketsInput = marketsQuery.extend({
  limit: numberOf(marketsQuery.shape.limit)
    .default(DEFAULT_ROWS)
    .meta({ description: 'Markets to answer with at most; next_cursor leads on' }),
});
export const getTickerInput = tickerQuery.extend({
  raw: z
    .boolean()
    .default(false)
    .meta({ description: "true: with the venue's own object as it came, which may be long" }),
});
export const getOhlcvInput = ohlcvQuery.extend({
  since: numberOf(ohlcvQuery.shape.since).optional().meta({
    description: 'Start of the first candle wanted, ms since the epoch; default: the latest candles',
  }),
  limit: numberOf(ohlcvQuery.shape.limit)
    .default(DEFAULT_ROWS)
    .meta({ description: 'Candles to answer with at most' }),
});
export const getOrderBookInput = orderBookQuery.extend({
  limit: numberOf(orderBookQuery.shape.limit)
    .default(DEFAULT_LEVELS)
    .meta({ description: 'Price levels a side at most' }),
});
export const getTradesInput = tradesQuery.extend({
  limit: numberOf(tradesQuery.shape.limit)
    .default(DEFAULT_ROWS)
    .meta({ description: 'Latest trades to answer with at most' }),
});

/** Where an answer came from and how old it is; beside the data in every answer. */
export const provenance = z.object({
  source: z.string().meta({
    description:
      'Where the data came from: `<exchange>; via=rest`, `<exchange>; via=websocket`, `coinmarketcap`, `sandbox; via=…` (simulated) or `server` (its own settings)',
  }),
  cache: z
    .enum(['HIT', 'MISS', 'STALE', 'LIVE'])
    .optional()
    .meta({ description: 'STALE: the exchange is failing and this is its last good answer' }),
  received_at: timestamp.meta({ description: "When the exchange's answer arrived, ms since the epoch" }),
  age_ms: z.int().nonnegative().meta({ description: 'Age of the data when this answer was given' }),
  sandbox: z.literal(true).optional().meta({ description: 'Present where the data is simulated' }),
});
export type Provenance = z.infer<typeof provenance>;

export const listExchangesOutput = z.object({
  exchanges: z.array(exchangeEntry),
  ...provenance.shape,
});
export const searchMarketsOutput = marketsPage.extend(provenance.shape);
export const tickerOutput = ticker.extend({
  raw: ticker.shape.raw.optional().meta({ description: "The venue's own object, where it was asked for" }),
  ...provenance.shape,
});
export const ohlcvOutput = ohlcv.extend(provenance.shape);
export const orderBookOutput = orderBook.extend(provenance.shape);
export const tradesOutput = trades.extend(provenance.shape);
