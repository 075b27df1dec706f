/**
 * Input and output schemas of the tools, made from the schemas of the HTTP contract: the same rules and limits for the
 * same text (arguments.ts turns numbers into text). Each answer also has its source and age.
 */
import { z } from 'zod';
import { timestamp } from '../schemas/common.js';
import { exchangeEntry, marketsPage, ohlcv, orderBook, ticker, trades } from '../schemas/market.js';
import { coverageAnswer } from '../schemas/ledger.js';
import {
  coverageQuery,
  marketsQuery,
  ohlcvQuery,
  orderBookQuery,
  tickerQuery,
  tradesQuery,
} from '../schemas/query.js';

/** Rows that a tool answers with unless it is asked for more: a model reads every one of them. */
const DEFAULT_ROWS = 100;
/** An order book has rows on two sides. */
const DEFAULT_LEVELS = DEFAULT_ROWS / 2;

const limitOf = (field: { unwrap(): z.ZodType<number, string> }, rows: number, description: string) =>
  field.unwrap().default(rows).meta({ 'x-default': rows, description });

/** Rough size of an answer in tokens, given in the descriptions. */
const COST =
  'One row costs about 70 tokens; what does not fit into 100 kB is cut, and the answer says how to go on.';

export const listExchangesInput = z.strictObject({});
export const searchMarketsInput = marketsQuery.extend({
  limit: limitOf(
    marketsQuery.shape.limit,
    DEFAULT_ROWS,
    `Markets to answer with at most; next_cursor leads on. ${COST}`,
  ),
});
const flagOf = (description: string) =>
  z
    .string()
    .regex(/^(true|false)$/i, 'must be true or false')
    .transform((text) => text.toLowerCase() === 'true')
    .prefault('false')
    .meta({ type: 'boolean', 'x-default': false, description });
export const getTickerInput = tickerQuery.extend({
  stats: flagOf('true: with the open, high, low, volumes and change of the last 24 hours'),
  raw: flagOf("true: with the venue's own object as it came, which may be long"),
});
export const getOhlcvInput = ohlcvQuery.extend({
  interval: ohlcvQuery.shape.interval.meta({
    description: 'One of the intervals that list_exchanges shows for this exchange, such as 1m, 1h or 1d',
  }),
  limit: limitOf(ohlcvQuery.shape.limit, DEFAULT_ROWS, `Candles to answer with at most. ${COST}`),
});
export const getOrderBookInput = orderBookQuery.extend({
  limit: limitOf(orderBookQuery.shape.limit, DEFAULT_LEVELS, `Price levels a side at most. ${COST}`),
});
export const getTradesInput = tradesQuery.extend({
  limit: limitOf(tradesQuery.shape.limit, DEFAULT_ROWS, `Latest trades to answer with at most. ${COST}`),
});
const INSTANT = 'ms since the epoch, or ISO 8601 (UTC where it names no zone)';
export const getCandleCoverageInput = coverageQuery.extend({
  interval: coverageQuery.shape.interval.meta({
    description: 'Interval of the candles, such as 1m, 1h or 1d',
  }),
  from: coverageQuery.shape.from.meta({
    description: `Start of the range: ${INSTANT}; default: the first stored candle`,
  }),
  to: coverageQuery.shape.to.meta({
    description: `End of the range, itself not in it: ${INSTANT}; default: the latest settled candle`,
  }),
});

/** Where an answer came from and how old it is; beside the data in every answer. */
const provenance = z.object({
  source: z.string().meta({
    description:
      'Where the data came from: `<exchange>; via=rest`, `<exchange>; via=websocket`, `coinmarketcap`, `sandbox; via=…` (simulated) or `server` (its own settings)',
  }),
  cache: z
    .enum(['HIT', 'MISS', 'STALE', 'LIVE', 'STORE'])
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
export const ohlcvOutput = ohlcv.extend({
  next_since: timestamp.optional().meta({
    description: 'Present where candles follow that are not in this answer: ask on with it as since',
  }),
  ...provenance.shape,
});
export const orderBookOutput = orderBook.extend(provenance.shape);
export const tradesOutput = trades.extend(provenance.shape);
export const candleCoverageOutput = coverageAnswer.extend({
  next_from: timestamp.optional().meta({
    description: 'Present where ranges follow that are not in this answer: ask on with it as from',
  }),
  ...provenance.shape,
});
