/**
 * Where CCXT's parsers say something else than the venue's own answer: applied to CCXT's results before the normalizer
 * looks at them. Each entry names the venue's documentation of the member it reads.
 */
import type { ExchangeId } from '../../schemas/common.js';
import { isTable, member, type Table } from '../ccxt/tables.js';

/** Members that replace CCXT's; `raw` is the venue's own object. */
type Correct = (result: Table, raw: unknown) => Table;

export interface Corrections {
  readonly ticker?: Correct;
  /** Of REST and of the feed. */
  readonly trade?: Correct;
  /** The time of a REST order book, from the whole answer, where CCXT throws it away. */
  readonly bookTime?: (answer: unknown) => number | undefined;
  /** The time of a REST ticker likewise: that of the answer's envelope. */
  readonly tickerTime?: (answer: unknown) => number | undefined;
}

const OTHER_SIDE: ReadonlyMap<unknown, string> = new Map([
  ['buy', 'sell'],
  ['sell', 'buy'],
]);
/** The venue names the maker's side, which CCXT passes on as the taker's. */
const sideOfMaker: Correct = ({ side }) => ({ side: OTHER_SIDE.get(side) });

const numberOf = (value: unknown): number | undefined => {
  const figure = typeof value === 'string' && value !== '' ? Number(value) : value;
  return typeof figure === 'number' && Number.isFinite(figure) ? figure : undefined;
};
const instantOf = (value: unknown): number | undefined => {
  const instant = typeof value === 'string' ? Date.parse(value) : Number.NaN;
  return Number.isNaN(instant) ? undefined : instant;
};

/** Of the asset's description, which CCXT mixes with its figures, and CCXT's own. */
const HYPERLIQUID_ASSET = new Set([
  'baseId',
  'baseName',
  'quoteId',
  'collateralToken',
  'hip3TokensByName',
  'name',
  'szDecimals',
  'maxLeverage',
  'marginTableId',
  'onlyIsolated',
  'isDelisted',
  'marginMode',
  'growthMode',
  'lastGrowthModeChangeTime',
]);

const millisOf = (value: unknown): number | undefined => numberOf(value);
/** "time" beside "result" is when the answer was made (bybit-exchange.github.io, "Integration Guidance"). */
const BYBIT: Corrections = { tickerTime: (answer) => millisOf(member(answer, 'time')) };

const CORRECTIONS: ReadonlyMap<ExchangeId, Corrections> = new Map<ExchangeId, Corrections>([
  [
    'coinbase',
    // "side": the maker's; the taker's is the opposite (docs.cdp.coinbase.com, "Get Product Trades", "Market Trades Channel").
    { trade: sideOfMaker },
  ],
  [
    'coinbaseexchange',
    // "time" (docs.cdp.coinbase.com, "Get product book").
    { bookTime: (answer) => instantOf(member(answer, 'time')) },
  ],
  ['bybit', BYBIT],
  ['bybiteu', BYBIT],
  ['bybitid', BYBIT],
  [
    'coinone',
    // "is_seller_maker": true means that the buyer took (docs.coinone.co.kr, "Recent Completed Orders").
    { trade: sideOfMaker },
  ],
  [
    'hyperliquid',
    // Neither a last trade nor quotes: "midPx" is the middle of the book, "impactPxs" what a fixed notional would cost
    // (hyperliquid.gitbook.io, "Retrieve perpetuals asset contexts").
    {
      ticker: (_, raw) => ({
        bid: undefined,
        ask: undefined,
        last: undefined,
        info: isTable(raw)
          ? Object.fromEntries(Object.entries(raw).filter(([key]) => !HYPERLIQUID_ASSET.has(key)))
          : raw,
      }),
    },
  ],
  [
    'kraken',
    // "timestamp" of the ticker channel (docs.kraken.com, WebSocket v2, "Ticker"); REST tickers have none.
    { ticker: ({ timestamp }, raw) => ({ timestamp: timestamp ?? instantOf(member(raw, 'timestamp')) }) },
  ],
  [
    'krakenfutures',
    // "quantity" of inverse contracts too, which CCXT leaves out (docs.kraken.com, "Get market executions").
    { trade: ({ amount }, raw) => ({ amount: amount ?? numberOf(member(raw, 'quantity')) }) },
  ],
]);

const NONE: Corrections = {};
const correctionsOf = (exchange: ExchangeId): Corrections => CORRECTIONS.get(exchange) ?? NONE;

const corrected = (correct: Correct | undefined, result: unknown): unknown =>
  correct !== undefined && isTable(result)
    ? { ...result, ...correct(result, member(result, 'info')) }
    : result;

/** CCXT's ticker with what the venue itself says; anything else as it came. */
export const correctedTicker = (exchange: ExchangeId, ticker: unknown): unknown =>
  corrected(correctionsOf(exchange).ticker, ticker);

const timed = (result: unknown, time: number | undefined): unknown =>
  isTable(result) && time !== undefined && member(result, 'timestamp') === undefined
    ? { ...result, timestamp: time }
    : result;

/** CCXT's REST ticker with the time that its answer has, where CCXT has none. */
export const timedTicker = (exchange: ExchangeId, ticker: unknown, answer: unknown): unknown =>
  timed(correctedTicker(exchange, ticker), correctionsOf(exchange).tickerTime?.(answer));

/** CCXT's REST order book likewise. */
export const timedBook = (exchange: ExchangeId, book: unknown, answer: unknown): unknown =>
  timed(book, correctionsOf(exchange).bookTime?.(answer));

/** CCXT's list of trades likewise. */
export const correctedTrades = (exchange: ExchangeId, trades: unknown): unknown => {
  const correct = correctionsOf(exchange).trade;
  if (correct === undefined || !Array.isArray(trades)) return trades;
  return Array.from(trades, (trade: unknown) => corrected(correct, trade));
};
