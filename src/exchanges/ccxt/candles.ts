/**
 * Candles in pages of the venue's size, by us: CCXT's `paginate` loses a candle at each seam on Coinbase and calls
 * Kraken ten times for nothing (CCXT.md §7). Nothing is made up: what is missing is said in `gaps`.
 */
import type { Candle, Gap } from '../../schemas/market.js';
import type { Millis } from '../../schemas/common.js';
import {
  addPeriods,
  alignedTo,
  DAY_MS,
  nextPeriodStart,
  periodEnd,
  periodStart,
  type Interval,
} from '../../lib/intervals.js';
import type { CandleRow } from '../normalizer.js';
import { findGaps } from './candle-gaps.js';
import type { VenueQuirks } from '../venues/venue-quirks.js';

/** Pages beyond those that a full answer needs, where pages come back with holes. */
const SPARE_PAGES = 2;

export interface CandleRange {
  readonly interval: Interval;
  /** First candle wanted; undefined: the latest `limit`. */
  readonly since: Millis | undefined;
  readonly limit: number;
}

/** One call to the venue: rows sorted and unique. `since` undefined: its latest rows. */
export type FetchPage = (page: {
  readonly since: Millis | undefined;
  readonly limit: number;
}) => Promise<CandleRow[]>;

export interface CandlePlan extends CandleRange {
  readonly quirks: VenueQuirks;
  /** The venue's clock. */
  readonly now: () => Millis;
}

export interface CollectedCandles {
  readonly candles: readonly Candle[];
  readonly gaps: readonly Gap[];
  /** When the answer is out of date by itself: its open candle closes or the next one may appear. null: never. */
  readonly closesAt: Millis | null;
}

interface Collected {
  readonly rows: readonly Candle[];
  /** The venue was asked about everything before this instant. */
  readonly askedTo: Millis;
}

/** Rows of one page. A candle is closed if it was when the venue was asked: later its figures would be partial ones. */
type FetchMarked = (page: Parameters<FetchPage>[0]) => Promise<Candle[]>;

const marking =
  ({ interval, now }: CandlePlan, fetchPage: FetchPage): FetchMarked =>
  async (page) => {
    const askedAt = now();
    const rows = await fetchPage(page);
    // Written out: a spread of each row costs five times as much.
    return rows.map(({ timestamp, open, high, low, close, volume }): Candle => ({
      timestamp,
      open,
      high,
      low,
      close,
      volume,
      closed: periodEnd(interval, timestamp) <= askedAt,
    }));
  };

const appended = (rows: Candle[], page: Candle[]): Candle[] => {
  if (rows.length === 0) return page;
  const last = rows.at(-1)?.timestamp ?? -Infinity;
  return rows.concat(page.filter(({ timestamp }) => timestamp > last));
};

/** Where pages begin, and how many rows they are to bring. */
interface Walk {
  readonly since: Millis;
  readonly target: number;
}

/** Pages from `since` on, until there are `target` rows, the present is reached, or the venue has no more. */
const collectFrom = async (
  { since, target }: Walk,
  plan: CandlePlan,
  fetchPage: FetchMarked,
): Promise<Collected> => {
  const { interval, quirks, now } = plan;
  const { candlePage, candleWindows, emptyPageIsLast } = quirks;
  const pages = Math.ceil(target / candlePage) + SPARE_PAGES;
  let rows: Candle[] = [];
  let from = since;
  for (let page = 0; page < pages && rows.length < target && from <= now(); page += 1) {
    const asked = candleWindows ? candlePage : Math.min(candlePage, target - rows.length);
    const found = await fetchPage({ since: from, limit: asked });
    rows = appended(rows, found);
    const last = found.at(-1);
    if (candleWindows || (last === undefined && !emptyPageIsLast)) from = addPeriods(interval, from, asked);
    else if (last === undefined) return { rows, askedTo: now() };
    else from = Math.max(from + 1, periodEnd(interval, last.timestamp));
  }
  return { rows, askedTo: from };
};

/** null: one call has all there is. */
const walkOf = (plan: CandlePlan): Walk | null => {
  const { interval, since, limit, quirks, now } = plan;
  const onePage = quirks.onlyLatestCandles || (since === undefined && limit <= quirks.candlePage);
  if (onePage) return null;
  const start = (at: Millis): Millis => (quirks.candleWindows ? nextPeriodStart(interval, at) : at);
  if (since !== undefined) return { since: start(since), target: limit };
  // Where a venue's long periods begin is not certain: one more than asked for fills the answer wherever it is.
  const target = interval.months > 0 || interval.ms > DAY_MS ? limit + 1 : limit;
  const earliest = Math.max(0, addPeriods(interval, periodStart(interval, now()), 1 - target));
  return { since: start(earliest), target };
};

/** Calls to the venue that the candles will take where its pages are full; ≥ 1. */
export const pagesOf = (plan: CandlePlan): number => {
  const walk = walkOf(plan);
  if (walk === null) return 1;
  const periods = Math.floor((plan.now() - walk.since) / plan.interval.ms) + 1;
  return Math.max(1, Math.ceil(Math.min(walk.target, periods) / plan.quirks.candlePage));
};

const collect = async (plan: CandlePlan, fetchPage: FetchMarked): Promise<Collected> => {
  const { interval, since, limit, quirks, now } = plan;
  if (since !== undefined && since > now()) return { rows: [], askedTo: since };
  const walk = walkOf(plan);
  if (walk !== null) return collectFrom(walk, plan, fetchPage);
  // CCXT asks Kraken from a period earlier, and Kraken refuses what lies before the epoch.
  const from = since === undefined ? undefined : Math.max(since, interval.ms);
  const rows = await fetchPage({ since: from, limit: Math.min(limit, quirks.candlePage) });
  return { rows, askedTo: now() };
};

const wanted = (rows: readonly Candle[], { since, limit }: CandleRange): readonly Candle[] =>
  since === undefined
    ? rows.slice(-limit)
    : rows.filter(({ timestamp }) => timestamp >= since).slice(0, limit);

/**
 * Collects at most `limit` candles, oldest first, each period once. Rejects as `fetchPage` does: a page that fails fails
 * the whole, since a hole of our making would look like the venue's.
 */
export const collectCandles = async (plan: CandlePlan, fetchPage: FetchPage): Promise<CollectedCandles> => {
  const asOf = plan.now();
  const { rows, askedTo } = await collect(plan, marking(plan, fetchPage));
  const candles = wanted(rows, plan);
  const first = candles[0];
  const interval = first === undefined ? plan.interval : alignedTo(plan.interval, first.timestamp);
  const complete =
    plan.since !== undefined && candles.length >= plan.limit && candles.at(-1)?.closed !== false;
  return {
    candles,
    gaps: findGaps(candles, { ...plan, interval }, { askedTo, asOf }),
    closesAt: complete ? null : periodEnd(interval, periodStart(interval, asOf)),
  };
};
