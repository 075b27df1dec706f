/**
 * What has to be known of single venues and is in none of CCXT's tables. The only place that names venues: everything
 * else asks this table. docs/ccxt.md has the measurements.
 */
import type { ExchangeId, Millis } from '../../schemas/common.js';
import { DAY_MS } from '../../lib/intervals.js';
import { member } from '../ccxt/ccxt-exchange.js';
import type { RefusalWords } from '../ccxt/faults.js';
import { CAUTIOUS_SIZES, callSizes, candlePageOf, type CallSizes } from './venue-sizes.js';

export interface VenueQuirks extends CallSizes, RefusalWords {
  /** Candles the venue gives per call. */
  readonly candlePage: number;
  /** It keeps only the latest `candlePage` candles, whatever `since` says: one call has all there is. */
  readonly onlyLatestCandles: boolean;
  /**
   * A page is the window [since, since + page), even where it is empty; else it begins with the first candle at or
   * after `since`, however far away.
   */
  readonly candleWindows: boolean;
  /** An empty page has nothing after it either; else it may be an empty window. */
  readonly emptyPageIsLast: boolean;
  /** Empty periods have no row: a hole between two rows means that nothing was traded. */
  readonly omitsEmptyCandles: boolean;
  /** Intervals that are not as long as their name says. */
  readonly oddIntervals: ReadonlyMap<string, Millis>;
  /** Its order books are bare lists of levels, so that an empty one is `[]`. */
  readonly booksAreLists: boolean;
  /** Member of each answer that holds what was asked for; CCXT takes a missing or empty one for an empty market. */
  readonly answerIn: string | null;
  /** URLs of lists without which CCXT would name markets wrongly: where one fails, the whole load does. */
  readonly neededLists: RegExp | null;
  /** CCXT's method for one list of markets, which throws where that list is empty. */
  readonly emptyListThrows: string | null;
  /** CCXT makes a ticker of lists of all markets, of each type, unless it is told the market's type. */
  readonly tickersByType: boolean;
  /** CCXT's methods that another one of its methods takes the place of. */
  readonly methods: ReadonlyMap<string, string>;
  /** It counts requests in the rolling window that CCXT states (`rollingWindowSize`), and takes many of them at once. */
  readonly countsInWindow: boolean;
  /** Merged into CCXT's constructor options. */
  readonly construct: Readonly<Record<string, unknown>>;
}

/** For venues that have not been examined: what almost all of them take. CCXT's `features` refine the page size. */
const CAUTIOUS: VenueQuirks = {
  ...CAUTIOUS_SIZES,
  candlePage: 100,
  onlyLatestCandles: false,
  candleWindows: false,
  emptyPageIsLast: false,
  omitsEmptyCandles: false,
  oddIntervals: new Map(),
  unknownSymbol: null,
  forbiddenIsTooFrequent: false,
  booksAreLists: false,
  answerIn: null,
  neededLists: null,
  emptyListThrows: null,
  tickersByType: false,
  methods: new Map(),
  countsInWindow: false,
  construct: {},
};

/** CCXT's options for the feeds of Binance and its siblings. */
const BINANCE_FEEDS = {
  // Without it `watchTicker` subscribes to the mini ticker, which has neither bid nor ask.
  watchTickers: { name: 'ticker' },
  watchTicker: { name: 'ticker' },
  // REST answers aggregate trades (`a`); the default feed sends single fills, which are numbered apart (`t`).
  watchTrades: { name: 'aggTrade' },
  watchTradesForSymbols: { name: 'aggTrade' },
};

/** One trade a message, as REST has them; its "trades" channel sums up what one order took at one price. */
const OKX_FEEDS = { watchTrades: { channel: 'trades-all' } };

/** Trades of the feed have no ids where REST has them, the other way round, or those of another series. */
const POLLED_TRADES: Partial<VenueQuirks> = { construct: { has: { watchTrades: false } } };

/**
 * Venues whose documentation says that a 403 means too many requests: Binance ("the WAF Limit has been violated"), Bybit
 * ("access too frequent"), MEXC ("the WAF Limit has been violated").
 */
const FORBIDDEN_IS_TOO_FREQUENT: ReadonlySet<ExchangeId> = new Set([
  'binance',
  'binanceus',
  'binanceusdm',
  'binancecoinm',
  'bybit',
  'bybiteu',
  'bybitid',
  'mexc',
]);

/**
 * Those whose window CCXT's own class states, where it is five seconds or longer; the 60 s that all others inherit say nothing of
 * them. (Kraken's takes ten requests, of which nothing could be saved up.)
 */
const COUNTS_IN_WINDOW: ReadonlySet<ExchangeId> = new Set([
  'binance',
  'binanceus',
  'binanceusdm',
  'binancecoinm',
  'bitvavo',
  'bybit',
  'gate',
  'kucoin',
  'luno',
]);

const VENUES: ReadonlyMap<ExchangeId, Partial<VenueQuirks>> = new Map<ExchangeId, Partial<VenueQuirks>>([
  [
    'binance',
    {
      candlePage: 1000,
      emptyPageIsLast: true,
      construct: {
        options: {
          // Spot alone is one request instead of three (10 MB each), and one failing host fails all of them.
          fetchMarkets: { types: ['spot'] },
          ...BINANCE_FEEDS,
        },
      },
    },
  ],
  ['binancecoinm', { construct: { options: BINANCE_FEEDS } }],
  ['binanceus', { construct: { options: BINANCE_FEEDS } }],
  ['binanceusdm', { construct: { options: BINANCE_FEEDS } }],
  [
    'kraken',
    {
      candlePage: 720,
      onlyLatestCandles: true,
      // CCXT's 2w is 21600 minutes: fifteen days.
      oddIntervals: new Map([['2w', 15 * DAY_MS]]),
      unknownSymbol: /EQuery:Unknown asset pair/,
      answerIn: 'result',
      // The currencies' codes, by which pairs get their unified symbols.
      neededLists: /\/public\/Assets\b/,
      // A frame a second by default: five subscriptions would take five seconds.
      construct: { options: { ws: { cost: 0.05 } } },
    },
  ],
  [
    'coinbaseexchange',
    {
      candlePage: 300,
      candleWindows: true,
      omitsEmptyCandles: true,
      // Currencies cost a request and are used for nothing that we serve; its list of all tickers has a few closing prices each.
      construct: { has: { fetchCurrencies: false, fetchTickers: false } },
    },
  ],
  [
    'gemini',
    {
      // It gives its latest candles, as many as it likes, whatever is asked for; CCXT cuts them to size.
      candlePage: 2000,
      onlyLatestCandles: true,
      // CCXT reads them off the venue's web page, which is no interface.
      construct: { has: { fetchCurrencies: false } },
    },
  ],
  // CCXT's `fetchTrades` asks for the trades of an account.
  ['hyperliquid', { tickersByType: true, construct: { has: { fetchTrades: false } } }],
  ['htx', { emptyListThrows: 'fetchMarketsByTypeAndSubType' }],
  // Steps of 259,200 s: three days (CCXT's table).
  ['bitstamp', { oddIntervals: new Map([['1w', 3 * DAY_MS]]) }],
  // It takes no start, but up to a thousand rows.
  ['coinex', { candlePage: 1000, onlyLatestCandles: true }],
  // Levels of prices; CCXT's default lists single orders, so that a price comes several times.
  ['bitfinex', { booksAreLists: true, construct: { options: { fetchOrderBook: { precision: 'P0' } } } }],
  // REST answers single fills by default; its feed sends aggregates.
  [
    'aster',
    {
      methods: new Map([
        ['fapiPublicGetV3Trades', 'fapiPublicGetV3AggTrades'],
        ['sapiPublicGetV3Trades', 'sapiPublicGetV3AggTrades'],
      ]),
    },
  ],
  ['bithumb', POLLED_TRADES],
  ['bitopro', POLLED_TRADES],
  ['bitrue', POLLED_TRADES],
  ['cex', POLLED_TRADES],
  ['hashkey', POLLED_TRADES],
  ['lbank', POLLED_TRADES],
  ['luno', POLLED_TRADES],
  ['nado', POLLED_TRADES],
  ['pacifica', POLLED_TRADES],
  ['myokx', { construct: { options: OKX_FEEDS } }],
  ['okx', { construct: { options: OKX_FEEDS } }],
  ['okxus', { construct: { options: OKX_FEEDS } }],
  // Public trades have no ids; CCXT makes them up of time, price and amount, so that two equal trades are one.
  ['mexc', { construct: { options: { useCcxtTradeId: false } } }],
]);

/** What decides about sizes: the CCXT instance's table `features`, and what kind of market is asked about. */
export interface QuirksOf {
  readonly features?: unknown;
  /** A derivative; default spot. */
  readonly contract?: boolean;
}

export const venueQuirks = (
  exchange: ExchangeId,
  { features, contract = false }: QuirksOf = {},
): VenueQuirks => {
  const known = VENUES.get(exchange);
  const candlePage = known?.candlePage ?? candlePageOf(features, contract) ?? CAUTIOUS.candlePage;
  const ways = {
    forbiddenIsTooFrequent: FORBIDDEN_IS_TOO_FREQUENT.has(exchange),
    countsInWindow: COUNTS_IN_WINDOW.has(exchange),
  };
  return { ...CAUTIOUS, ...ways, ...callSizes(exchange, contract), ...known, candlePage };
};

/** Whether an answer that CCXT took is empty where this venue's answers never are. */
export const isEmptyAnswer = ({ answerIn }: VenueQuirks, json: unknown): boolean => {
  if (answerIn === null) return false;
  const held = member(json, answerIn);
  return typeof held !== 'object' || held === null || Object.keys(held).length === 0;
};
