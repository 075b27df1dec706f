/** Market models: what every answer about a market looks like. The shapes are fixed by the contract. */
import { z } from 'zod';
import { exchangeName, nullableNumber, timestamp, unifiedSymbol } from './common.js';

/** What a caller can ask a venue for. */
export const MARKET_KINDS = ['ticker', 'ohlcv', 'orderbook', 'trades'] as const;
export type MarketKind = (typeof MARKET_KINDS)[number];

/** How amounts and volumes are counted. */
const AMOUNT_UNIT =
  "In base currency; of a derivative in the exchange's own unit, mostly contracts of contract_size (/v1/markets)";

/** Of the venue's last 24 hours, by its own account. */
export const tickerStats = z
  .object({
    open: nullableNumber.meta({ description: 'Price 24 hours ago' }),
    high: nullableNumber,
    low: nullableNumber,
    volume: nullableNumber.meta({ description: `Traded amount. ${AMOUNT_UNIT}` }),
    quote_volume: nullableNumber.meta({ description: 'Traded amount in quote currency' }),
    change_percent: nullableNumber.meta({ description: 'Signed move of the price, in percent' }),
  })
  .meta({ id: 'TickerStats' });
export type TickerStats = z.infer<typeof tickerStats>;

/** Of a source that has no such figures. */
export const NO_STATS: TickerStats = Object.freeze({
  open: null,
  high: null,
  low: null,
  volume: null,
  quote_volume: null,
  change_percent: null,
});

export const ticker = z
  .object({
    exchange: exchangeName,
    symbol: unifiedSymbol,
    bid: nullableNumber.meta({ description: 'Best bid price in quote currency' }),
    ask: nullableNumber.meta({ description: 'Best ask price in quote currency' }),
    last: nullableNumber.meta({ description: 'Price of the last trade in quote currency' }),
    timestamp,
    raw: z.unknown().meta({ description: "The venue's own object for this symbol, untouched" }),
    stats: tickerStats.optional().meta({
      description: 'The last 24 hours; null where the venue does not say. Where stats=true asks for it',
    }),
  })
  .meta({ id: 'Ticker' });
export type Ticker = z.infer<typeof ticker>;

export const tickers = z
  .object({
    exchange: exchangeName,
    tickers: z.array(ticker).meta({ description: 'In the order asked' }),
    errors: z
      .array(
        z.object({
          symbol: z.string().meta({ description: 'As it was asked for' }),
          code: z.string(),
          detail: z.string(),
        }),
      )
      .meta({ description: 'Why there is no ticker of a symbol' }),
  })
  .meta({ id: 'Tickers' });

export const candle = z
  .object({
    timestamp: timestamp.meta({ description: 'Start of the period, ms since the epoch' }),
    open: nullableNumber,
    high: nullableNumber,
    low: nullableNumber,
    close: nullableNumber,
    volume: nullableNumber.meta({ description: `Traded amount. ${AMOUNT_UNIT}` }),
    closed: z.boolean().meta({ description: 'false while the period has not ended' }),
  })
  .meta({ id: 'Candle' });
export type Candle = z.infer<typeof candle>;

const GAP_REASONS = ['not_available_from_exchange', 'no_trades', 'unconfirmed', 'not_loaded_yet'] as const;

/** A stretch of the asked-for range that the answer does not cover: from (inclusive) to (exclusive). */
const gap = z.object({ from: timestamp, to: timestamp, reason: z.enum(GAP_REASONS) }).meta({ id: 'Gap' });
export type Gap = z.infer<typeof gap>;

export const ohlcv = z
  .object({
    exchange: exchangeName,
    symbol: unifiedSymbol,
    interval: z.string().meta({ example: '1m' }),
    candles: z.array(candle).meta({ description: 'Oldest first' }),
    gaps: z.array(gap).optional().meta({ description: 'Present only where the answer has holes' }),
    next_since: timestamp
      .optional()
      .meta({ description: 'since of the next request, where more candles follow or the search stopped' }),
  })
  .meta({ id: 'Ohlcv' });
export type Ohlcv = z.infer<typeof ohlcv>;

export const priceLevel = z
  .object({ price: z.number(), amount: z.number().meta({ description: `Amount offered. ${AMOUNT_UNIT}` }) })
  .meta({ id: 'PriceLevel' });
export type PriceLevel = z.infer<typeof priceLevel>;

export const orderBook = z
  .object({
    exchange: exchangeName,
    symbol: unifiedSymbol,
    bids: z.array(priceLevel).meta({ description: 'Best (highest) first' }),
    asks: z.array(priceLevel).meta({ description: 'Best (lowest) first' }),
    timestamp,
  })
  .meta({ id: 'OrderBook' });
export type OrderBook = z.infer<typeof orderBook>;

export const trade = z
  .object({
    trade_id: z
      .string()
      .nullable()
      .meta({ description: "The exchange's own id, the same over REST and feeds; null where it gives none" }),
    timestamp,
    price: nullableNumber,
    amount: nullableNumber.meta({ description: `Traded amount. ${AMOUNT_UNIT}` }),
    side: z.enum(['buy', 'sell']).nullable().meta({ description: "The taker's side" }),
  })
  .meta({ id: 'Trade' });
export type Trade = z.infer<typeof trade>;

export const trades = z
  .object({
    exchange: exchangeName,
    symbol: unifiedSymbol,
    trades: z.array(trade).meta({ description: 'Oldest first' }),
  })
  .meta({ id: 'Trades' });
export type Trades = z.infer<typeof trades>;

const market = z
  .object({
    symbol: unifiedSymbol,
    id: z.string().meta({ description: "The exchange's own name of the market", example: 'BTCUSDT' }),
    base: z.string(),
    quote: z.string(),
    settle: z.string().nullable().meta({ description: 'Currency in which a derivative is settled' }),
    type: z.string().meta({ description: 'spot, swap, future, option, margin …', example: 'spot' }),
    active: z.boolean().nullable().meta({ description: 'false: listed, but trading is halted' }),
    price_step: nullableNumber.meta({ description: 'Prices are multiples of it', example: 0.01 }),
    amount_step: nullableNumber.meta({ description: 'Amounts are multiples of it', example: 0.00001 }),
    contract_size: nullableNumber.meta({
      description:
        'Base currency (quote currency of an inverse contract) in one contract; null: amounts are in base currency',
    }),
  })
  .meta({ id: 'Market' });
export type Market = z.infer<typeof market>;

export const marketsPage = z
  .object({ exchange: exchangeName, markets: z.array(market), next_cursor: z.string().nullable() })
  .meta({ id: 'Markets' });
export type MarketsPage = z.infer<typeof marketsPage>;

const capabilities = z
  .object({
    ticker: z.boolean(),
    ohlcv: z.boolean(),
    orderbook: z.boolean(),
    trades: z.boolean(),
    stream: z.enum(['websocket', 'polling']).nullable(),
  })
  .meta({ id: 'Capabilities' });
export type Capabilities = z.infer<typeof capabilities>;

const BOOK_INTEGRITIES = ['checksum', 'sequence', 'snapshot', 'crosscheck'] as const;
export const bookIntegrity = z.enum(BOOK_INTEGRITIES).meta({
  description:
    'How a live order book is checked: by the checksum of the venue, by its numbered updates, because each message is a whole book, or against REST once in a while',
});
export type BookIntegrity = z.infer<typeof bookIntegrity>;

export const exchangeEntry = z
  .object({
    id: exchangeName,
    ccxt_id: z.string(),
    name: z.string(),
    capabilities: capabilities
      .nullable()
      .meta({ description: 'null while this server cannot tell what the exchange offers' }),
    intervals: z.array(z.string()),
    book_integrity: bookIntegrity.nullable().meta({ description: 'null without order books' }),
  })
  .meta({ id: 'Exchange' });
export type ExchangeEntry = z.infer<typeof exchangeEntry>;

export const exchangesList = z.object({ exchanges: z.array(exchangeEntry) }).meta({ id: 'Exchanges' });
