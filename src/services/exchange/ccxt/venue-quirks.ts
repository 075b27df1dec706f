/**
 * What has to be known of single venues and is in none of CCXT's tables. The only place that names venues: everything
 * else asks this table. CCXT.md §5 and §7 have the measurements.
 */
import type { ExchangeId, Millis } from '../../../schemas/common.js';
import { DAY_MS } from '../../intervals.js';

export interface VenueQuirks {
  /** Candles the venue gives per call. */
  readonly candlePage: number;
  /** It keeps only the latest `candlePage` candles, whatever `since` says: one call has all there is. */
  readonly onlyLatestCandles: boolean;
  /**
   * A page is the window [since, since + page), even where it is empty; else it begins with the first candle at or
   * after `since`, however far away.
   */
  readonly candleWindows: boolean;
  /** Empty periods have no row: a hole between two rows means that nothing was traded. */
  readonly omitsEmptyCandles: boolean;
  /** Intervals that are not as long as their name says. */
  readonly oddIntervals: ReadonlyMap<string, Millis>;
  /** Depths that the venue takes, ascending; the next larger is asked for. null: no depth is sent (all are cut to size). */
  readonly bookDepths: readonly number[] | null;
  /** Trades per call at most. */
  readonly maxTrades: number;
  /** Body text that means "no such symbol" where CCXT's class does not say so. */
  readonly unknownSymbol: RegExp | null;
  /** Member of each answer that holds what was asked for; CCXT takes a missing or empty one for an empty market. */
  readonly answerIn: string | null;
  /** Merged into CCXT's constructor options. */
  readonly construct: Readonly<Record<string, unknown>>;
  /** Feeds of trades name the maker's side (REST trades are CCXT's and right). */
  readonly watchedTradesNameMaker: boolean;
}

/** For venues that nobody has looked at: what almost all of them take. CCXT's `features` refine the page size. */
const CAUTIOUS: VenueQuirks = {
  candlePage: 100,
  onlyLatestCandles: false,
  candleWindows: false,
  omitsEmptyCandles: false,
  oddIntervals: new Map(),
  bookDepths: null,
  maxTrades: 100,
  unknownSymbol: null,
  answerIn: null,
  construct: {},
  watchedTradesNameMaker: false,
};

const VENUES: ReadonlyMap<ExchangeId, Partial<VenueQuirks>> = new Map<ExchangeId, Partial<VenueQuirks>>([
  [
    'binance',
    {
      candlePage: 1000,
      bookDepths: [5, 10, 20, 50, 100, 500, 1000],
      maxTrades: 1000,
      construct: {
        options: {
          // Spot alone is one request instead of three (10 MB each), and one failing host fails all of them.
          fetchMarkets: { types: ['spot'] },
          // Without it `watchTicker` subscribes to the mini ticker, which has neither bid nor ask.
          watchTickers: { name: 'ticker' },
          watchTicker: { name: 'ticker' },
          streamLimits: { spot: 4 },
        },
      },
    },
  ],
  [
    'kraken',
    {
      candlePage: 720,
      onlyLatestCandles: true,
      // CCXT's 2w is 21600 minutes: fifteen days.
      oddIntervals: new Map([['2w', 15 * DAY_MS]]),
      bookDepths: [10, 25, 100, 500],
      maxTrades: 1000,
      unknownSymbol: /EQuery:Unknown asset pair/,
      answerIn: 'result',
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
      maxTrades: 1000,
      // Currencies cost a request and are used for nothing that we serve.
      construct: { has: { fetchCurrencies: false } },
      watchedTradesNameMaker: true,
    },
  ],
]);

/** Most venues that keep more give 100 to 1000 candles a call; the bound keeps a wrong table from asking too much. */
const MAX_CANDLE_PAGE = 1000;

const member = (value: unknown, key: string): unknown =>
  typeof value === 'object' && value !== null && Object.hasOwn(value, key)
    ? (value as Readonly<Record<string, unknown>>)[key]
    : undefined;

/** `features.spot.fetchOHLCV.limit` of CCXT's own tables, where it says something usable. */
const pageFromFeatures = (features: unknown): number | undefined => {
  for (const type of ['spot', 'default', 'swap']) {
    const limit = member(member(member(features, type), 'fetchOHLCV'), 'limit');
    if (typeof limit === 'number' && Number.isInteger(limit) && limit > 0)
      return Math.min(limit, MAX_CANDLE_PAGE);
  }
  return undefined;
};

/** The quirks of a venue; `features` is the CCXT instance's table of that name. */
export const venueQuirks = (exchange: ExchangeId, features?: unknown): VenueQuirks => {
  const known = VENUES.get(exchange);
  const candlePage = known?.candlePage ?? pageFromFeatures(features) ?? CAUTIOUS.candlePage;
  return { ...CAUTIOUS, ...known, candlePage };
};

/** Depth to ask the venue for so that `limit` levels come back; undefined: ask without one. */
export const askedDepth = ({ bookDepths }: VenueQuirks, limit: number): number | undefined => {
  if (bookDepths === null) return undefined;
  return bookDepths.find((depth) => depth >= limit) ?? bookDepths.at(-1);
};

/** Whether an answer that CCXT took is empty where this venue's answers never are. */
export const isHollow = ({ answerIn }: VenueQuirks, json: unknown): boolean => {
  if (answerIn === null) return false;
  const held = member(json, answerIn);
  return typeof held !== 'object' || held === null || Object.keys(held).length === 0;
};
