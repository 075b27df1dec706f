/**
 * TradingView's Universal Data Feed: what its adapter asks, and what it is answered. Members and units are the protocol's:
 * https://www.tradingview.com/charting-library-docs/latest/connecting_data/UDF/
 */
import { z } from 'zod';

const MAX_TEXT = 200;
const MAX_QUOTES = 100;
/** 2100-01-01 in seconds. */
const LATEST_S = 4_102_444_800;

const text = z.string().max(MAX_TEXT);
const ticker = text.meta({
  description: 'Exchange in upper case, colon, symbol',
  example: 'BINANCE:BTC/USDT',
});
const seconds = z
  .string()
  .regex(/^\d{1,11}(\.\d+)?$/, 'must be seconds since the epoch')
  .transform((value) => Math.min(LATEST_S, Math.floor(Number(value))))
  .meta({ type: 'number', description: 'Seconds since the epoch' });
const count = z
  .string()
  .regex(/^[1-9]\d{0,6}$/, 'must be a whole number')
  .transform(Number)
  .meta({ type: 'integer' });

const RESULTS = 30;

// Adapters send more than is used here (currencyCode, unitId), and newer ones may send still more.
export const udfSymbolQuery = z.object({ symbol: ticker });
export const udfSearchQuery = z.object({
  query: text.default('').meta({ description: 'Part of a symbol, any case', example: 'BTC' }),
  exchange: text.default('').meta({ description: 'One exchange; empty: all that are enabled' }),
  type: text.default('').meta({ description: 'crypto, or empty; of another type there is nothing' }),
  limit: count.default(RESULTS).meta({ 'x-default': RESULTS, description: 'At most 100 are given' }),
});
export type UdfSearchQuery = z.infer<typeof udfSearchQuery>;

export const udfRangeQuery = z.object({
  symbol: ticker,
  resolution: z.string().max(5).meta({ description: 'Minutes, or 1D, 3D, 1W, 1M', example: '60' }),
  from: seconds.meta({ description: 'Begin in seconds, inclusive' }),
  to: seconds.meta({ description: 'End in seconds, exclusive' }),
  countback: count.optional().meta({ description: 'So many bars before `to`, whatever `from` is' }),
});
export type UdfRangeQuery = z.infer<typeof udfRangeQuery>;

export const udfQuotesQuery = z.object({
  symbols: z
    .string()
    .transform((list) => [...new Set(list.split(',').filter((item) => item !== ''))])
    .pipe(z.array(text).min(1).max(MAX_QUOTES))
    .meta({
      type: 'string',
      description: `Up to ${MAX_QUOTES}, with commas between`,
      example: 'BINANCE:BTC/USDT,KRAKEN:BTC/USD',
    }),
});

export const udfConfig = z
  .object({
    supports_search: z.boolean(),
    supports_group_request: z.boolean(),
    supports_marks: z.boolean(),
    supports_timescale_marks: z.boolean(),
    supports_time: z.boolean(),
    exchanges: z.array(z.object({ value: z.string(), name: z.string(), desc: z.string() })),
    symbols_types: z.array(z.object({ name: z.string(), value: z.string() })),
    supported_resolutions: z.array(z.string()),
  })
  .meta({ id: 'UdfConfig' });

export const udfTime = z.int().meta({ description: 'Seconds since the epoch' });

export const udfSymbol = z
  .object({
    name: z.string(),
    ticker: z.string(),
    full_name: z.string(),
    description: z.string(),
    type: z.literal('crypto'),
    exchange: z.string(),
    listed_exchange: z.string(),
    timezone: z.literal('Etc/UTC'),
    session: z.literal('24x7'),
    pricescale: z.number().meta({ description: 'A price moves by minmov / pricescale' }),
    minmov: z.number(),
    has_intraday: z.boolean(),
    intraday_multipliers: z.array(z.string()).meta({ description: "The exchange's own minutes" }),
    has_daily: z.boolean(),
    daily_multipliers: z.array(z.string()),
    has_weekly_and_monthly: z.boolean(),
    supported_resolutions: z.array(z.string()),
    volume_precision: z.int(),
    currency_code: z.string(),
    format: z.literal('price'),
  })
  .meta({ id: 'UdfSymbol' });

export const udfSearchResults = z
  .array(
    z
      .object({
        symbol: z.string(),
        full_name: z.string(),
        description: z.string(),
        exchange: z.string(),
        ticker: z.string(),
        type: z.literal('crypto'),
      })
      .meta({ id: 'UdfSearchResult' }),
  )
  .meta({
    description:
      'The symbol that was typed first, then its base currency by quote currency, spot before derivatives',
  });

const prices = z.array(z.number());
export const udfHistory = z
  .union([
    z
      .object({
        s: z.literal('ok'),
        t: z.array(z.int()).meta({ description: 'Begin of each bar in seconds, ascending' }),
        o: prices,
        h: prices,
        l: prices,
        c: prices,
        v: prices.optional().meta({ description: 'Absent where the exchange tells not all volumes' }),
      })
      .meta({ id: 'UdfBars' }),
    z
      .object({
        s: z.literal('no_data'),
        nextTime: z.int().optional().meta({ description: 'Of the bar before; absent where there is none' }),
      })
      .meta({ id: 'UdfNoData' }),
  ])
  .meta({ id: 'UdfHistory' });

export const udfMarks = z.array(
  z
    .object({
      id: z.string(),
      time: z.int().meta({ description: 'Seconds since the epoch' }),
      color: z.string(),
      label: z.string(),
      tooltip: z.array(z.string()),
    })
    .meta({ id: 'UdfMark', description: 'A stretch without candles, with the reason' }),
);

const quoteValues = z
  .object({
    lp: z.number().optional().meta({ description: 'Last price' }),
    bid: z.number().optional(),
    ask: z.number().optional(),
    volume: z.number().optional(),
    ch: z.number().optional().meta({ description: 'Move of the last 24 hours' }),
    chp: z.number().optional().meta({ description: 'The same in percent' }),
    open_price: z.number().optional(),
    high_price: z.number().optional(),
    low_price: z.number().optional(),
    short_name: z.string(),
    exchange: z.string(),
    original_name: z.string(),
    description: z.string(),
  })
  .meta({ id: 'UdfQuoteValues', description: 'What is not known is absent' });
export const udfQuotes = z
  .object({
    s: z.literal('ok'),
    d: z.array(
      z.union([
        z
          .object({ s: z.literal('ok'), n: z.string().meta({ description: 'As asked' }), v: quoteValues })
          .meta({ id: 'UdfQuote' }),
        z
          .object({
            s: z.literal('error'),
            n: z.string(),
            v: z.object({}),
            errmsg: z.string(),
            code: z.string(),
          })
          .meta({ id: 'UdfQuoteError' }),
      ]),
    ),
  })
  .meta({ id: 'UdfQuotes' });

/** Of every refusal and fault, whatever its status: adapters read the body alone. */
export const udfError = z.object({
  s: z.literal('error'),
  errmsg: z.string().meta({ description: 'For people; the adapter shows it' }),
  code: z.string().meta({ description: 'As in problems' }),
  retryable: z.boolean(),
  retry_after_ms: z.int().optional(),
  request_id: z.string(),
});
export type UdfError = z.infer<typeof udfError>;

export const openBbWidgets = z
  .record(
    z.string(),
    z.object({
      name: z.string(),
      description: z.string(),
      category: z.string(),
      type: z.literal('advanced_charting'),
      endpoint: z.string().meta({ description: 'Where UDF is' }),
      gridData: z.object({ w: z.int(), h: z.int() }),
      data: z.object({ defaultSymbol: z.string(), updateFrequency: z.int() }),
    }),
  )
  .meta({ id: 'OpenBbWidgets' });

const place = z.object({ i: z.string(), x: z.int(), y: z.int(), w: z.int(), h: z.int() });
export const openBbApps = z
  .array(
    z.object({
      name: z.string(),
      description: z.string(),
      allowCustomization: z.boolean(),
      tabs: z.record(z.string(), z.object({ id: z.string(), name: z.string(), layout: z.array(place) })),
      groups: z.array(z.unknown()),
    }),
  )
  .meta({ id: 'OpenBbApps' });
