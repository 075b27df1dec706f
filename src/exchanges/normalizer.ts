/**
 * From CCXT's results to the contract's words. The only place where what a venue said is checked on its way in; nothing
 * checks it again on the way out. Pure: no I/O, no clock; the time of receipt comes in as `now`.
 *
 * CCXT answers an odd body with odd results (rows of undefined, tickers without a price) rather than with an error
 * (docs/ccxt.md#odd-answers), so everything here refuses with `upstream_bad_response` what makes no sense. Known fields
 * that are empty are data: a market without trades is a ticker of nulls; only the row without prices is left out.
 */
import { z } from 'zod';
import { AppError } from '../errors.js';
import type { PriceLevel, TickerStats, Trade } from '../schemas/market.js';
import type { ExchangeId, Millis } from '../schemas/common.js';

/** Who said it and when it arrived. */
export interface Receipt {
  readonly exchange: ExchangeId;
  readonly now: Millis;
  /** The same moment by the venue's clock, where that is known to differ. */
  readonly venueNow?: Millis;
}

export interface TickerFigures {
  readonly bid: number | null;
  readonly ask: number | null;
  readonly last: number | null;
  readonly timestamp: Millis;
  /** false: the venue gave no time, and `timestamp` is that of receipt. */
  readonly timed: boolean;
  readonly stats: TickerStats;
  /** The venue's own object, untouched. */
  readonly raw: unknown;
}

export interface BookFigures {
  /** Best first. */
  readonly bids: PriceLevel[];
  readonly asks: PriceLevel[];
  readonly timestamp: Millis;
  readonly timed: boolean;
}

/** A candle before anybody knows whether its period has ended. */
export interface CandleRow {
  readonly timestamp: Millis;
  readonly open: number | null;
  readonly high: number | null;
  readonly low: number | null;
  readonly close: number | null;
  readonly volume: number | null;
}

const isFinite = (value: unknown): value is number => typeof value === 'number' && Number.isFinite(value);
/** Amounts and volumes: 0 is a real value. */
const amountOf = (value: unknown): number | null => (isFinite(value) ? value : null);
/** Prices: venues write 0 for "none"; nothing is ever traded at it. */
const priceOf = (value: unknown): number | null => (isFinite(value) && value !== 0 ? value : null);

/** Earlier instants are no milliseconds since the epoch but seconds, or nothing at all. */
const EARLIEST: Millis = Date.UTC(2009, 0, 1);
const timeOf = (value: unknown): Millis | null =>
  isFinite(value) && value >= EARLIEST ? Math.trunc(value) : null;

/** A time further ahead than this is a slip of the venue's (other units, a broken clock): no time at all. */
const MAX_AHEAD_MS: Millis = 60_000;
const notAhead = (at: Millis | null, { now, venueNow = now }: Receipt): Millis | null =>
  at !== null && at <= Math.max(now, venueNow) + MAX_AHEAD_MS ? at : null;

const isList = (value: unknown): value is readonly unknown[] => Array.isArray(value);
const isTable = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

// A venue's own JSON, by its members: CCXT's result is equally empty for a market without trades and for another shape.

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
const hasPriceField = (info: unknown, depth = MAX_DEPTH): boolean => {
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

/** Whether an answer has the two sides of an order book in it, be they empty. */
export const hasBookSides = (json: unknown, depth = MAX_DEPTH + 1): boolean => {
  if (Array.isArray(json))
    return depth > 0 && json.slice(0, 2).some((entry) => hasBookSides(entry, depth - 1));
  if (!isTable(json)) return false;
  const has = (name: string): boolean => Object.hasOwn(json, name) && typeof json[name] === 'object';
  if (SIDES.some(([bids, asks]) => has(bids) && has(asks)) || LEVELS.some(has)) return true;
  return depth > 0 && Object.values(json).some((value) => hasBookSides(value, depth - 1));
};

// Optional: CCXT leaves members out as often as it sets them to undefined.
const figure = z.unknown().optional().transform(priceOf);
const amount = z.unknown().optional().transform(amountOf);

const tickerSchema = z
  .object({
    bid: figure,
    ask: figure,
    last: figure,
    open: figure,
    high: figure,
    low: figure,
    baseVolume: amount,
    quoteVolume: amount,
    percentage: amount,
    timestamp: z.unknown().optional().transform(timeOf),
    info: z.unknown().optional(),
  })
  .refine(({ bid, ask, last, info }) => bid !== null || ask !== null || last !== null || hasPriceField(info));

/** `[timestamp, open, high, low, close, volume]`; a hand check, since a tuple schema costs as much as the parsing. */
const isCandleRow = (row: unknown): row is readonly unknown[] =>
  isList(row) && timeOf(row[0]) !== null && priceOf(row[4]) !== null;
/** A candle of nulls or zeros, as venues write one for a period without trades. */
const isEmptyCandleRow = (row: unknown): boolean =>
  isList(row) && row.length >= 5 && timeOf(row[0]) !== null && row.slice(1).some(isFinite);

const isLevel = (level: unknown): level is readonly [number, number] =>
  isList(level) && isFinite(level[0]) && isFinite(level[1]);
const levels = z.custom<readonly (readonly [number, number])[]>(
  (value) => isList(value) && value.every(isLevel),
);
const bookSchema = z.object({
  bids: levels,
  asks: levels,
  timestamp: z.unknown().optional().transform(timeOf),
});

const isTrade = (trade: unknown): trade is Readonly<Record<string, unknown>> =>
  isTable(trade) && priceOf(trade['price']) !== null && timeOf(trade['timestamp']) !== null;
/** A trade of no price, as venues write one to mark that something else happened. */
const isEmptyTrade = (trade: unknown): boolean =>
  isTable(trade) && timeOf(trade['timestamp']) !== null && hasPriceField(trade['info']);

/** An answer of another shape. It concerns what was asked about alone: the venue is there and answers. */
export const senselessAnswer = (exchange: ExchangeId): AppError =>
  new AppError('upstream_bad_response', `${exchange} gave an answer that makes no sense.`, {
    upstream: { exchange },
    confined: true,
  });

const checked = <Output>(schema: z.ZodType<Output>, value: unknown, exchange: ExchangeId): Output => {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw senselessAnswer(exchange);
};

/** The good rows of a list. Throws where there are rows and none of them is even an empty one of its kind. */
const goodRows = <Row>(
  value: unknown,
  exchange: ExchangeId,
  {
    isGood,
    isEmpty,
  }: { readonly isGood: (row: unknown) => row is Row; readonly isEmpty: (row: unknown) => boolean },
): Row[] => {
  if (!isList(value)) throw senselessAnswer(exchange);
  const good = value.filter(isGood);
  if (good.length === 0 && value.length > 0 && !value.some(isEmpty)) throw senselessAnswer(exchange);
  return good;
};

/**
 * A market without trades has a ticker of nulls; throws `upstream_bad_response` for what has no field of a price at all.
 * Without a time of the venue's it is the receipt's.
 */
export const normalizeTicker = (value: unknown, receipt: Receipt): TickerFigures => {
  const { exchange, now } = receipt;
  const { bid, ask, last, timestamp, info, ...day } = checked(tickerSchema, value, exchange);
  const at = notAhead(timestamp, receipt);
  const { open, high, low, baseVolume: volume, quoteVolume: quote_volume, percentage: change_percent } = day;
  const stats = { open, high, low, volume, quote_volume, change_percent };
  return { bid, ask, last, timestamp: at ?? now, timed: at !== null, stats, raw: info ?? null };
};

/** At most `limit` levels a side. Levels of amount 0 are deletions that CCXT kept, not offers. */
export const normalizeOrderBook = (value: unknown, receipt: Receipt, limit = Infinity): BookFigures => {
  const { exchange, now } = receipt;
  const book = checked(bookSchema, value, exchange);
  const at = notAhead(book.timestamp, receipt);
  const side = (from: readonly (readonly [number, number])[], descending: boolean): PriceLevel[] => {
    const result: PriceLevel[] = [];
    let sorted = true;
    for (const [price, amount] of from) {
      if (amount <= 0) continue;
      const before = result.at(-1);
      if (before !== undefined && (descending ? before.price < price : before.price > price)) sorted = false;
      else if (result.length >= limit && sorted) break;
      result.push({ price, amount });
    }
    if (!sorted) result.sort((a, b) => (descending ? b.price - a.price : a.price - b.price));
    return result.slice(0, limit);
  };
  return {
    bids: side(book.bids, true),
    asks: side(book.asks, false),
    timestamp: at ?? now,
    timed: at !== null,
  };
};

/** Ids that are whole numbers go by size, so that trades of one millisecond keep the venue's order. */
const compareIds = (a: string | null, b: string | null): number => {
  if (a === null || b === null || !/^\d+$/.test(a) || !/^\d+$/.test(b)) return 0;
  return a.length - b.length || (a < b ? -1 : Number(a > b));
};

const idOf = (value: unknown): string | null => {
  if (typeof value === 'string' && value !== '') return value;
  return isFinite(value) ? String(value) : null;
};

/** Oldest first. Trades without a price are left out. */
export const normalizeTrades = (value: unknown, receipt: Receipt): Trade[] =>
  goodRows(value, receipt.exchange, { isGood: isTrade, isEmpty: isEmptyTrade })
    .map((trade): Trade => {
      const side = trade['side'];
      return {
        trade_id: idOf(trade['id']),
        timestamp: notAhead(timeOf(trade['timestamp']), receipt) ?? receipt.now,
        price: priceOf(trade['price']),
        amount: amountOf(trade['amount']),
        side: side === 'buy' || side === 'sell' ? side : null,
      };
    })
    .sort((a, b) => a.timestamp - b.timestamp || compareIds(a.trade_id, b.trade_id));

/**
 * Oldest first, one row a period: of two the later one in the list, which was fetched later. Rows without a closing
 * price are left out.
 */
export const normalizeCandles = (value: unknown, { exchange }: Receipt): CandleRow[] => {
  const good = goodRows(value, exchange, { isGood: isCandleRow, isEmpty: isEmptyCandleRow });
  const rows = good.map((row): CandleRow => ({
    timestamp: timeOf(row[0]) ?? 0,
    open: priceOf(row[1]),
    high: priceOf(row[2]),
    low: priceOf(row[3]),
    close: priceOf(row[4]),
    volume: amountOf(row[5]),
  }));
  const ascending = rows.every(
    (row, index) => index === 0 || row.timestamp > (rows[index - 1]?.timestamp ?? 0),
  );
  return ascending ? rows : sortUnique(rows);
};

/**
 * Rows whose period can have begun: one that starts later than this is a slip of the venue's, like any time that is still
 * to come. Some venues name a period by its end, so it may lie `periodMs` ahead.
 */
export const begunCandles = (
  rows: readonly CandleRow[],
  { now, venueNow = now }: Receipt,
  periodMs: Millis,
): CandleRow[] => {
  const latest = Math.max(now, venueNow) + Math.max(MAX_AHEAD_MS, periodMs);
  return rows.filter(({ timestamp }) => timestamp <= latest);
};

const sortUnique = (rows: readonly CandleRow[]): CandleRow[] =>
  [...new Map(rows.map((row) => [row.timestamp, row])).values()].sort((a, b) => a.timestamp - b.timestamp);
