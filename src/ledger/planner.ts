/** Chooses the next page that makes a range complete. Pure. */
import type { Millis } from '../schemas/common.js';
import { addPeriods, nextPeriodStart, periodStart, type Interval } from '../lib/intervals.js';
import type { CandleTraits } from '../exchanges/exchange-client.js';
import { clip, missing, subtract, type Coverage, type Span } from './coverage.js';

export interface PageToAsk {
  readonly since: Millis;
  /** Periods, at most a page. */
  readonly limit: number;
}

/** A stretch of which nothing is left to ask. */
export interface DoneStretch extends Span {
  /** Periods of it with a candle. */
  readonly candles: number;
}

export interface PlanInput {
  readonly interval: Interval;
  readonly span: Span;
  /** Of the span at least, sorted. */
  readonly coverage: readonly Coverage[];
  /** Stands for the coverage of its stretch, which `coverage` may leave out. */
  readonly done?: DoneStretch | null | undefined;
  readonly traits: CandleTraits;
  readonly now: Millis;
  /** The last page ended here, before the end of its request: the next request begins here. */
  readonly resumeAt?: Millis | null | undefined;
  /** Starts before this are refused as too old; from where on they are taken is to be found out. */
  readonly refusedTo?: Millis | null | undefined;
}

export interface Progress {
  /** 0 to 100: the share of the span's periods for which no request is left to make. */
  readonly percent: number;
  /** Periods with a candle. */
  readonly candles: number;
  /** Requests left, if pages are full. */
  readonly requests: number;
  /** Total time for which requests are left to make, in milliseconds. */
  readonly left: Millis;
  /** Everything from here to the end of the span is settled; null where nothing is. */
  readonly reached: Millis | null;
}

/** Average periods in a stretch; exact where the length of periods is fixed. */
const periodsIn = (interval: Interval, { from, to }: Span): number =>
  Math.max(0, Math.round((to - from) / interval.ms));

export const alignedSpan = (interval: Interval, { from, to }: Span): Span => ({
  from: periodStart(interval, from),
  to: nextPeriodStart(interval, to),
});

/** Coverage outside of `done`, sorted and cut to the span. */
const openCoverage = ({ coverage, span, done }: Pick<PlanInput, 'coverage' | 'span' | 'done'>): Coverage[] =>
  done === null || done === undefined
    ? clip(coverage, span)
    : subtract(span, [done]).flatMap((part) => clip(coverage, part));

const missingOf = (
  plan: Pick<PlanInput, 'coverage' | 'span' | 'done' | 'now'>,
  inside: Coverage[],
): Span[] => {
  const { span, done, now } = plan;
  const parts = done === null || done === undefined ? [span] : subtract(span, [done]);
  return parts.flatMap((part) => missing(part, clip(inside, part), now));
};

/**
 * The done stretch of a plan, grown by what is settled before it; null where the newest part is not. It begins with a
 * candle: what comes before the first one may still turn out to lie before the listing.
 */
export const doneOf = (plan: PlanInput): DoneStretch | null => {
  const { interval, span, done = null } = plan;
  const inside = openCoverage(plan);
  const end = done?.to ?? span.to;
  const from = missingOf({ ...plan, span: { from: span.from, to: end } }, inside).at(-1)?.to ?? span.from;
  const first = inside.find((range) => range.state === 'known' && range.to > from && range.to <= end);
  if (first === undefined) return done;
  const start = Math.max(first.from, from);
  if (start >= (done?.from ?? end)) return done;
  const grown = clip(inside, { from: start, to: end }).filter(({ state }) => state === 'known');
  const candles = grown.reduce((sum, range) => sum + periodsIn(interval, range), done?.candles ?? 0);
  return { from: start, to: end, candles };
};

/** The newest missing stretch first, as a whole page that may reach back over what is known; null: nothing is missing. */
export const nextPage = (plan: PlanInput): PageToAsk | null => {
  const { interval, span, traits, resumeAt, refusedTo } = plan;
  const inside = openCoverage(plan);
  const newest = missingOf(plan, inside).at(-1);
  if (newest === undefined) return null;
  // Such a venue gives everything it has in one answer; that answer proves the rest of the span unavailable.
  if (traits.kind === 'latest') return { since: span.from, limit: traits.page };
  const whole = addPeriods(interval, newest.to, -traits.page);
  // A start that lies in what the venue does not give may be refused.
  const given = inside.findLast(({ state, to }) => state === 'unavailable' && to <= newest.from)?.to;
  const least = newest.from === resumeAt ? newest.from : (given ?? span.from);
  const halved = newest.from === refusedTo ? periodStart(interval, (newest.from + newest.to) / 2) : least;
  const since = Math.max(least, halved, whole);
  return {
    since,
    limit: Math.min(traits.page, Math.max(1, periodsIn(interval, { from: since, to: newest.to }))),
  };
};

export const progressOf = (plan: PlanInput): Progress => {
  const { interval, span, traits, done } = plan;
  const inside = openCoverage(plan);
  const open = missingOf(plan, inside);
  const total = span.to - span.from;
  const left = open.reduce((sum, { from, to }) => sum + to - from, 0);
  const known = inside.filter(({ state }) => state === 'known');
  const candles = known.reduce((sum, range) => sum + periodsIn(interval, range), done?.candles ?? 0);
  const requests = open.reduce((sum, part) => sum + Math.ceil(periodsIn(interval, part) / traits.page), 0);
  const reached = open.at(-1)?.to ?? span.from;
  return {
    percent: total <= 0 ? 100 : Math.floor(((total - left) / total) * 1000) / 10,
    candles,
    left,
    requests: traits.kind === 'latest' ? Math.min(1, requests) : requests,
    reached: reached >= span.to ? null : reached,
  };
};
