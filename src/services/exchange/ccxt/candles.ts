/**
 * Candles in pages of the venue's size, by us: CCXT's `paginate` loses a candle at each seam on Coinbase and calls
 * Kraken ten times for nothing (CCXT.md §7). Nothing is made up: what is missing is said in `gaps`.
 */
import type { Candle, Gap } from '../../../schemas/market.js';
import type { Millis } from '../../../schemas/common.js';
import {
  addPeriods,
  alignedTo,
  DAY_MS,
  nextPeriodStart,
  periodEnd,
  periodStart,
  type Interval,
} from '../../intervals.js';
import type { CandleRow } from '../../normalizer.js';
import type { VenueQuirks } from './venue-quirks.js';

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

/** Pages from `since` on, until there are `target` rows, the present is reached, or the venue has no more. */
const collectFrom = async (
  { since, target }: { readonly since: Millis; readonly target: number },
  plan: CandlePlan,
  fetchPage: FetchMarked,
): Promise<Collected> => {
  const { interval, quirks, now } = plan;
  const { candlePage, candleWindows } = quirks;
  const pages = Math.ceil(target / candlePage) + SPARE_PAGES;
  let rows: Candle[] = [];
  let from = since;
  for (let page = 0; page < pages && rows.length < target && from <= now(); page += 1) {
    const asked = candleWindows ? candlePage : Math.min(candlePage, target - rows.length);
    const found = await fetchPage({ since: from, limit: asked });
    rows = appended(rows, found);
    const last = found.at(-1);
    if (candleWindows) from = addPeriods(interval, from, candlePage);
    else if (last === undefined) return { rows, askedTo: now() };
    else from = Math.max(from + 1, periodEnd(interval, last.timestamp));
  }
  return { rows, askedTo: from };
};

const collect = async (plan: CandlePlan, fetchPage: FetchMarked): Promise<Collected> => {
  const { interval, since, limit, quirks, now } = plan;
  if (since !== undefined && since > now()) return { rows: [], askedTo: since };
  const onePage = quirks.onlyLatestCandles || (since === undefined && limit <= quirks.candlePage);
  if (onePage) {
    // CCXT asks Kraken from a period earlier, and Kraken refuses what lies before the epoch.
    const from = since === undefined ? undefined : Math.max(since, interval.ms);
    const rows = await fetchPage({ since: from, limit: Math.min(limit, quirks.candlePage) });
    return { rows, askedTo: now() };
  }
  const start = (at: Millis): Millis => (quirks.candleWindows ? nextPeriodStart(interval, at) : at);
  if (since !== undefined) return collectFrom({ since: start(since), target: limit }, plan, fetchPage);
  // Where a venue's long periods begin is not certain: one more than asked for fills the answer wherever it is.
  const target = interval.months > 0 || interval.ms > DAY_MS ? limit + 1 : limit;
  const earliest = Math.max(0, addPeriods(interval, periodStart(interval, now()), 1 - target));
  return collectFrom({ since: start(earliest), target }, plan, fetchPage);
};

const wanted = (rows: readonly Candle[], { since, limit }: CandleRange): readonly Candle[] =>
  since === undefined
    ? rows.slice(-limit)
    : rows.filter(({ timestamp }) => timestamp >= since).slice(0, limit);

/** Period starts [from, to) that an answer without holes would have. */
interface Expected {
  readonly from: Millis;
  readonly to: Millis;
}

const expectedOf = (
  rows: readonly Candle[],
  plan: CandlePlan,
  { askedTo, asOf }: { readonly askedTo: Millis; readonly asOf: Millis },
): Expected => {
  const { interval, since, limit } = plan;
  const current = periodStart(interval, asOf);
  // The present period need not have had a trade yet: it is never missing.
  const to = rows.length >= limit ? 0 : Math.min(current, periodStart(interval, askedTo));
  if (since !== undefined) return { from: nextPeriodStart(interval, since), to };
  const last = rows.at(-1)?.timestamp ?? 0;
  // The last one may have begun while the answer was on its way: the answer counts back from there.
  const from =
    last >= current ? addPeriods(interval, last, 1 - limit) : addPeriods(interval, current, -limit);
  return { from: Math.max(0, from), to };
};

const findGaps = (rows: readonly Candle[], expected: Expected, { interval, quirks }: CandlePlan): Gap[] => {
  const inner = quirks.omitsEmptyCandles ? 'no_trades' : 'not_available_from_exchange';
  const gaps: Gap[] = [];
  const note = (from: Millis, to: Millis, reason: Gap['reason']): void => {
    if (from < to) gaps.push({ from, to, reason });
  };
  // Before the first row nobody can tell a quiet market from one that was not there yet.
  note(expected.from, rows[0]?.timestamp ?? expected.to, 'not_available_from_exchange');
  rows.forEach(({ timestamp }, index) => {
    note(periodEnd(interval, timestamp), rows[index + 1]?.timestamp ?? expected.to, inner);
  });
  return gaps;
};

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
  const aligned = { ...plan, interval };
  const expected = expectedOf(candles, aligned, { askedTo, asOf });
  const complete =
    plan.since !== undefined && candles.length >= plan.limit && candles.at(-1)?.closed !== false;
  return {
    candles,
    gaps: findGaps(candles, expected, aligned),
    closesAt: complete ? null : periodEnd(interval, periodStart(interval, asOf)),
  };
};
