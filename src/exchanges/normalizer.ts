/**
 * From CCXT's results to the contract's words. The only place where what a venue said is checked on its way in; nothing
 * checks it again on the way out. Pure: no I/O, no clock; the time of receipt comes in as `now`.
 *
 * CCXT answers an odd body with odd results (rows of undefined, tickers without a price) rather than with an error
 * (docs/ccxt.md#odd-answers), so everything here refuses with `upstream_bad_response` what makes no sense. Known fields that are empty
 * are data: a market without trades is a ticker of nulls, and a row without prices is left out without costing the others.
 */
import { z } from 'zod';
import { AppError } from '../errors.js';
import type { Market, PriceLevel, Trade } from '../schemas/market.js';
import type { ExchangeId, Millis } from '../schemas/common.js';
import { hasPriceField } from './answer-shapes.js';

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

// Optional: CCXT leaves members out as often as it sets them to undefined.
const figure = z.unknown().optional().transform(priceOf);

const tickerSchema = z
  .object({
    bid: figure,
    ask: figure,
    last: figure,
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
  const { bid, ask, last, timestamp, info } = checked(tickerSchema, value, exchange);
  const at = notAhead(timestamp, receipt);
  return { bid, ask, last, timestamp: at ?? now, timed: at !== null, raw: info ?? null };
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

/** How CCXT writes steps: DECIMAL_PLACES, SIGNIFICANT_DIGITS and TICK_SIZE of its base/functions/number. */
const DECIMAL_PLACES = 2;
const TICK_SIZE = 4;

const stepOf = (precision: unknown, mode: unknown): number | null => {
  if (!isFinite(precision)) return null;
  if (mode === TICK_SIZE) return precision > 0 ? precision : null;
  return mode === DECIMAL_PLACES && Number.isInteger(precision) ? Number(`1e${-precision}`) : null;
};

const textOf = (value: unknown): string | null =>
  typeof value === 'string' && value !== '' && value !== 'undefined' ? value : null;

/** CCXT writes `ETH/undefined:undefined` where a venue leaves a currency out: no request can name such a market. */
const isNameless = (symbol: string): boolean => /(^|[^\p{L}\p{N}])undefined($|[^\p{L}\p{N}])/u.test(symbol);

/**
 * CCXT's `markets` as the contract's list, sorted by symbol; `precisionMode` is the instance's. Throws
 * `upstream_bad_response` where there is none.
 */
export const normalizeMarkets = (
  value: unknown,
  { exchange }: Receipt,
  precisionMode?: unknown,
): Market[] => {
  const entries = isTable(value) ? Object.values(value) : [];
  const markets = entries.flatMap((entry): Market[] => {
    if (!isTable(entry)) return [];
    const { type, active, precision, contract } = entry;
    const [symbol, base] = [textOf(entry['symbol']), textOf(entry['base'])];
    if (symbol === null || base === null || isNameless(symbol)) return [];
    const steps = isTable(precision) ? precision : {};
    const size = entry['contractSize'];
    return [
      {
        symbol,
        id: textOf(entry['id']) ?? symbol,
        base,
        quote: textOf(entry['quote']) ?? '',
        settle: textOf(entry['settle']),
        type: typeof type === 'string' ? type : 'spot',
        active: typeof active === 'boolean' ? active : null,
        price_step: stepOf(steps['price'], precisionMode),
        amount_step: stepOf(steps['amount'], precisionMode),
        contract_size: contract === true && isFinite(size) && size > 0 ? size : null,
      },
    ];
  });
  if (markets.length === 0) checked(z.never(), value, exchange);
  return markets.sort((a, b) => (a.symbol < b.symbol ? -1 : Number(a.symbol > b.symbol)));
};
