/**
 * Where CCXT's parsers say something else than the venue's own answer: applied to CCXT's results before the normalizer
 * checks them. Each entry names the venue's documentation of the member it reads.
 */
import type { ExchangeId } from '../../schemas/common.js';
import { type Table, isTable, member } from '../ccxt/ccxt-exchange.js';

/** Members that replace CCXT's; `raw` is the venue's own object. */
type Correct = (result: Table, raw: unknown) => Table;

export interface Corrections {
  readonly ticker?: Correct;
  /** One of the list of markets. */
  readonly market?: Correct;
  /** Of REST and of the feed. */
  readonly trade?: Correct;
  /** The time of a REST order book, from the whole answer, where CCXT throws it away. */
  readonly bookTime?: (answer: unknown) => number | undefined;
  /** The time of a REST ticker likewise: that of the answer's envelope. */
  readonly tickerTime?: (answer: unknown) => number | undefined;
  /** What a REST ticker was made of, where CCXT keeps a part of it only; undefined: CCXT's part is all. */
  readonly tickerRaw?: (answer: unknown) => unknown;
  /** The moment in a feed's message around a ticker, which CCXT hands on without it. */
  readonly messageTime?: (message: unknown) => Stamped | undefined;
}

/** A venue's own object, and the time that stands beside it. */
interface Stamped {
  readonly object: object;
  readonly time: number;
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
const textOf = (value: unknown): string | undefined =>
  (typeof value === 'string' && value !== '') || typeof value === 'number' ? String(value) : undefined;
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
  // Of a spot pair.
  'tokens',
  'index',
  'isCanonical',
]);

const millisOf = (value: unknown): number | undefined => numberOf(value);
const secondsOf = (value: unknown): number | undefined => {
  const seconds = numberOf(value);
  // A fraction of three digits times a thousand may come out a hair below the whole number.
  return seconds === undefined ? undefined : Number((seconds * 1000).toFixed(3));
};
/** "time" beside "result" is when the answer was made (bybit-exchange.github.io, "Integration Guidance"). */
const BYBIT: Corrections = { tickerTime: (answer) => millisOf(member(answer, 'time')) };

/** "current": when the answer was made; milliseconds of spot markets, seconds with a fraction of contracts. */
const gateBookTime = (answer: unknown): number | undefined => {
  const current = numberOf(member(answer, 'current'));
  return current !== undefined && current < 1e11 ? secondsOf(current) : current;
};
/** "time_ms" of each message (gate.com/docs/developers/apiv4/ws, "Server Response"). */
const gateMessageTime = (message: unknown): Stamped | undefined => {
  const [object, time] = [member(message, 'result'), numberOf(member(message, 'time_ms'))];
  return isTable(object) && time !== undefined ? { object, time } : undefined;
};
/**
 * "sequence" of spot trades, which REST and feed have; the feed's "tradeId" REST lacks (kucoin.com/docs, "Get Trade
 * History", "Match Execution Data"). Contracts have "tradeId" on both.
 */
const KUCOIN: Corrections = {
  trade: ({ id, symbol }, raw) =>
    String(symbol).includes(':') ? {} : { id: textOf(member(raw, 'sequence')) ?? id },
};

/** "trade-id" over REST, "tradeId" on the feed; "id" is longer than a number can be (huobiapi.github.io, "Spot"). */
const HTX: Corrections = {
  trade: ({ id }, raw) => ({ id: textOf(member(raw, 'trade-id')) ?? textOf(member(raw, 'tradeId')) ?? id }),
};

/**
 * "base" and "quote" of a currency pair (gate.com/docs/developers/apiv4, "Query single currency pair details"). CCXT takes
 * what stands before and after the first underscore of the id, also where the base has one itself.
 */
const GATE: Corrections = {
  bookTime: gateBookTime,
  messageTime: gateMessageTime,
  market: ({ id, spot, baseId }, raw) => {
    const [base, quote] = [member(raw, 'base'), member(raw, 'quote')];
    if (spot !== true || typeof base !== 'string' || typeof quote !== 'string') return {};
    if (base === baseId || id !== `${base}_${quote}`) return {};
    return { symbol: `${base}/${quote}`, base, quote, baseId: base, quoteId: quote };
  },
};

const CORRECTIONS: ReadonlyMap<ExchangeId, Corrections> = new Map<ExchangeId, Corrections>([
  [
    'coinbase',
    // "side": the maker's; the taker's is the opposite (docs.cdp.coinbase.com, "Get Product Trades", "Market Trades Channel").
    // The ticker is the answer of "Get Product Trades": quotes beside trades, of which CCXT keeps the latest alone.
    {
      trade: sideOfMaker,
      tickerRaw: (answer) => (member(answer, 'best_bid') === undefined ? undefined : answer),
    },
  ],
  [
    'coinbaseexchange',
    // "time" (docs.cdp.coinbase.com, "Get product book").
    { bookTime: (answer) => instantOf(member(answer, 'time')) },
  ],
  ['bybit', BYBIT],
  ['bybiteu', BYBIT],
  ['bybitid', BYBIT],
  ['bittrade', HTX],
  ['gate', GATE],
  ['gateeu', GATE],
  ['htx', HTX],
  ['huobi', HTX],
  ['kucoin', KUCOIN],
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
    // "timestamp" of the ticker channel (docs.kraken.com, WebSocket v2, "Ticker"); REST tickers have none, and their "o" is
    // today's opening price, of which CCXT makes the price 24 hours ago (docs.kraken.com, "Get Ticker Information").
    {
      ticker: ({ timestamp }, raw) => ({
        timestamp: timestamp ?? instantOf(member(raw, 'timestamp')),
        ...(member(raw, 'o') === undefined ? {} : { open: undefined, percentage: undefined }),
      }),
    },
  ],
  [
    'krakenfutures',
    // "quantity" of inverse contracts too, which CCXT leaves out (docs.kraken.com, "Get market executions"); "time" of the
    // ticker feed (Futures WebSocket, "Ticker").
    {
      trade: ({ amount }, raw) => ({ amount: amount ?? numberOf(member(raw, 'quantity')) }),
      ticker: ({ timestamp }, raw) => ({ timestamp: timestamp ?? millisOf(member(raw, 'time')) }),
    },
  ],
  [
    'poloniex',
    // "createTime": the trade's; "ts": when it was pushed (api-docs.poloniex.com, "Trades").
    { trade: ({ timestamp }, raw) => ({ timestamp: millisOf(member(raw, 'createTime')) ?? timestamp }) },
  ],
  [
    'upbit',
    // "trade_timestamp": the trade's; the feed's "timestamp" is when it was sent (docs.upbit.com, "Trade").
    { trade: ({ timestamp }, raw) => ({ timestamp: millisOf(member(raw, 'trade_timestamp')) ?? timestamp }) },
  ],
]);

const NONE: Corrections = {};
const correctionsOf = (exchange: ExchangeId): Corrections => CORRECTIONS.get(exchange) ?? NONE;

const corrected = (correct: Correct | undefined, result: unknown): unknown =>
  correct !== undefined && isTable(result)
    ? { ...result, ...correct(result, member(result, 'info')) }
    : result;

/** Times of messages, by the venue's own object in them: kept as long as that is. */
const messageTimes = new WeakMap<object, number>();

/** What notes the time of a feed's messages; undefined where CCXT keeps it. */
export const noteOfMessage = (exchange: ExchangeId): ((message: unknown) => void) | undefined => {
  const { messageTime } = correctionsOf(exchange);
  if (messageTime === undefined) return undefined;
  return (message) => {
    const stamped = messageTime(message);
    if (stamped !== undefined) messageTimes.set(stamped.object, stamped.time);
  };
};

/** CCXT's ticker with what the venue itself says; anything else as it came. */
export const correctedTicker = (exchange: ExchangeId, ticker: unknown): unknown => {
  const known = corrected(correctionsOf(exchange).ticker, ticker);
  const info = member(known, 'info');
  return isTable(info) ? timed(known, messageTimes.get(info)) : known;
};

/** CCXT's time may be the same one, cut to seconds. */
const timed = (result: unknown, time: number | undefined): unknown =>
  isTable(result) && time !== undefined ? { ...result, timestamp: time } : result;

/** CCXT's REST ticker with the time that its answer has, and all that it was made of. */
export const timedTicker = (exchange: ExchangeId, ticker: unknown, answer: unknown): unknown => {
  const { tickerTime, tickerRaw } = correctionsOf(exchange);
  const known = timed(correctedTicker(exchange, ticker), tickerTime?.(answer));
  const raw = tickerRaw?.(answer);
  return raw === undefined || !isTable(known) ? known : { ...known, info: raw };
};

/** CCXT's REST order book likewise. */
export const timedBook = (exchange: ExchangeId, book: unknown, answer: unknown): unknown =>
  timed(book, correctionsOf(exchange).bookTime?.(answer));

const correctedList = (correct: Correct | undefined, list: unknown): unknown =>
  correct === undefined || !Array.isArray(list)
    ? list
    : Array.from(list, (entry: unknown) => corrected(correct, entry));

/** CCXT's list of trades likewise. */
export const correctedTrades = (exchange: ExchangeId, trades: unknown): unknown =>
  correctedList(correctionsOf(exchange).trade, trades);

/** CCXT's list of markets likewise. */
export const correctedMarkets = (exchange: ExchangeId, markets: unknown): unknown =>
  correctedList(correctionsOf(exchange).market, markets);
