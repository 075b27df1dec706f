/**
 * Candles in pages of the venue's size, by us: CCXT's `paginate` loses a candle at each seam on Coinbase and calls
 * Kraken ten times for nothing (docs/ccxt.md#candles). Nothing is made up: what is missing is said in `gaps`.
 */
import type { Candle, Gap } from '../../schemas/market.js';
import type { Millis } from '../../schemas/common.js';
import { HOUR_MS, periodEnd, periodStart, type Interval } from '../../lib/intervals.js';
import { findGaps } from './candle-gaps.js';
import type { CandlePlan, FetchPage } from './candle-plan.js';
import type { PageEvidence } from './candle-store.js';
import type { PageTraits } from './page-memory.js';
import { CandleWalk, type Walked } from './candle-walk.js';
import { isIrregular, toleranceOf } from '../../lib/venue-periods.js';

export interface CollectedCandles {
  readonly candles: readonly Candle[];
  readonly gaps: readonly Gap[];
  /** Where to go on, where there is more between here and the end of the range; null where there is not. */
  readonly nextSince: Millis | null;
  /** When the answer is out of date by itself: its open candle closes or the next one may appear. null: never. */
  readonly closesAt: Millis | null;
  /** The interval as the venue's rows show it. */
  readonly interval: Interval;
  /** Every page that was asked for, and what it proved. */
  readonly pages: readonly PageEvidence[];
  /** What was proven of the venue's pages. */
  readonly traits: PageTraits;
}

/** Calls to the venue that the candles will take where its pages are full; ≥ 1. */
export const pagesOf = ({ interval, since, until = Infinity, limit, quirks, now }: CandlePlan): number => {
  if (quirks.onlyLatestCandles) return 1;
  if (since === undefined) return Math.ceil(limit / quirks.candlePage);
  const periods = Math.floor((Math.min(now(), until) - since) / interval.ms) + 1;
  return Math.max(1, Math.ceil(Math.min(limit, periods) / quirks.candlePage));
};

const walk = (plan: CandlePlan, fetchPage: FetchPage): Promise<Walked> => {
  const { interval, since, until, quirks, now } = plan;
  const candles = new CandleWalk(plan, fetchPage);
  if (since === undefined) return candles.backward(until !== undefined && until > now() ? undefined : until);
  // CCXT asks Kraken from a period earlier, and Kraken refuses what lies before the epoch.
  const first = quirks.onlyLatestCandles ? Math.max(since, interval.ms) : since;
  return candles.forward(first, until ?? Infinity);
};

/** Its period has ended where the next one has begun, or else where its own end has passed. */
const settled = (
  candles: readonly Candle[],
  interval: Interval,
  { asOf, starts }: { readonly asOf: Millis; readonly starts: readonly Millis[] },
): Candle[] => {
  const slack = isIrregular(interval, starts) ? HOUR_MS : 0;
  const latest = starts.at(-1) ?? 0;
  return candles.map((candle) => {
    const closed = candle.timestamp < latest || periodEnd(interval, candle.timestamp) + slack <= asOf;
    return closed === candle.closed ? candle : { ...candle, closed };
  });
};

/**
 * Collects at most `limit` candles, oldest first, each period once. Rejects as `fetchPage` does: a page that fails fails
 * the whole, since a hole of our making would look like the venue's.
 */
export const collectCandles = async (plan: CandlePlan, fetchPage: FetchPage): Promise<CollectedCandles> => {
  const asOf = plan.now();
  const { since, until = Infinity, limit } = plan;
  if (since !== undefined && since > asOf) return nothing(plan);
  const walked = await walk(plan, fetchPage);
  const { store, interval, asked } = walked;
  const reach = since === undefined ? until : Math.min(until, asked.to);
  const all = store.list(since ?? 0, Math.max(reach, 0));
  const starts = store.list(0, Infinity).map(({ timestamp }) => timestamp);
  const picked = since === undefined ? all.slice(-limit) : all.slice(0, limit);
  const candles = settled(picked, interval, { asOf, starts });
  const now = plan.now();
  const nextSince =
    since === undefined ? null : goOn(candles, { ...plan, interval }, { reach: asked.to, now });
  const gaps = findGaps(candles, { ...plan, interval }, { walked, asOf, nextSince });
  const last = candles.at(-1);
  const current = periodStart(interval, asOf);
  const isOver = nextSince !== null || until <= current || (since !== undefined && candles.length >= limit);
  const complete = isOver && last?.closed !== false;
  return {
    candles,
    gaps,
    nextSince,
    closesAt: complete ? null : periodEnd(interval, current),
    interval,
    pages: store.pages,
    traits: walked.traits,
  };
};

const nothing = ({ interval, now }: CandlePlan): CollectedCandles => ({
  candles: [],
  gaps: [],
  nextSince: null,
  closesAt: periodEnd(interval, periodStart(interval, now())),
  interval,
  pages: [],
  traits: {},
});

const goOn = (
  candles: readonly Candle[],
  { interval, until = Infinity, limit }: CandlePlan,
  { reach, now }: { readonly reach: Millis; readonly now: Millis },
): Millis | null => {
  const last = candles.at(-1);
  const next =
    candles.length >= limit && last !== undefined ? periodEnd(interval, last.timestamp) : Math.trunc(reach);
  const end = Math.min(until, now - toleranceOf(interval));
  return next < end && (last === undefined || last.closed) ? next : null;
};
