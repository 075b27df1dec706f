/**
 * Candles in pages of the venue's size, by us: CCXT's `paginate` loses a candle at each seam on Coinbase and calls
 * Kraken ten times for nothing (docs/ccxt.md#candles). Nothing is made up: what is missing is said in `gaps`.
 */
import { AppError } from '../../errors.js';
import {
  HOUR_MS,
  type Interval,
  addPeriods,
  nextPeriodStart,
  periodEnd,
  periodStart,
} from '../../lib/intervals.js';
import { isIrregular, toleranceOf } from '../../lib/venue-periods.js';
import type { ExchangeId, Millis } from '../../schemas/common.js';
import type { Candle, Gap } from '../../schemas/market.js';
import type { UpstreamGate } from '../rate-limit/upstream-gate.js';
import { currentUpstreamCall, withUpstreamCall } from './call-context.js';
import type { CandlePlan, FetchPage, PageEvidence, PageTraits } from './candle-pages.js';
import type { Range } from './candle-requests.js';
import { CandleWalk, type Walked } from './candle-walk.js';

interface Circumstances {
  readonly walked: Walked;
  /** When the venue was asked first. */
  readonly asOf: Millis;
  /** The search stopped here; null: it did not. */
  readonly nextSince: Millis | null;
}

/** Period starts [from, to) that an answer without holes would have. */
const expectedOf = (
  rows: readonly Candle[],
  { interval, since, until = Infinity, limit }: CandlePlan,
  { walked, asOf }: Circumstances,
): Range => {
  const current = periodStart(interval, asOf);
  // The present period need not have had a trade yet: it is never missing.
  const end = Math.min(current, Number.isFinite(until) ? nextPeriodStart(interval, until) : current);
  if (since !== undefined) {
    const reached = Math.min(end, Math.max(periodStart(interval, Math.min(walked.asked.to, asOf)), 0));
    return { from: nextPeriodStart(interval, since), to: rows.length >= limit ? 0 : reached };
  }
  const last = rows.at(-1)?.timestamp ?? 0;
  // The last one may have begun while the answer was on its way: the answer counts back from there.
  const from = last >= end ? addPeriods(interval, last, 1 - limit) : addPeriods(interval, end, -limit);
  return { from: Math.max(0, from), to: rows.length >= limit ? 0 : end };
};

const overlaps = (ranges: readonly Range[], from: Millis, to: Millis): boolean =>
  ranges.some((range) => range.from < to && from < range.to);

/** What is missing among `rows` (sorted, unique); `plan.interval` as the rows show it. */
const findGaps = (rows: readonly Candle[], plan: CandlePlan, circumstances: Circumstances): Gap[] => {
  const { interval, quirks, since, until = Infinity } = plan;
  const { walked, asOf } = circumstances;
  const { store, suspect } = walked;
  const expected = expectedOf(rows, plan, circumstances);
  const tolerance = toleranceOf(interval);
  const gaps: Gap[] = [];
  const note = (from: Millis, to: Millis, reason: Gap['reason']): void => {
    if (from + tolerance < to) gaps.push({ from, to, reason });
  };
  const unproven = (from: Millis, to: Millis): Gap['reason'] =>
    overlaps(suspect, from, to) ? 'unconfirmed' : 'not_available_from_exchange';
  // Before the first row, a quiet market and one that was not listed yet look alike.
  const first = rows[0]?.timestamp ?? expected.to;
  // Where the search went back and stopped, the venue was not asked about what lies before.
  const asked =
    since === undefined ? Math.min(Math.max(expected.from, walked.asked.from), first) : expected.from;
  note(expected.from, asked, 'unconfirmed');
  // Older starts are refused for certain; what follows may be only what the search for the oldest one has left open.
  const refusedTo = Math.max(asked, ...walked.refused.map(({ to }) => to).filter((to) => to <= first));
  const border = unproven(asked, first) === 'unconfirmed' ? refusedTo : asked;
  note(asked, border, 'not_available_from_exchange');
  note(border, first, unproven(border, first));
  rows.forEach(({ timestamp }, index) => {
    const end = periodEnd(interval, timestamp);
    const next = rows[index + 1]?.timestamp;
    if (next !== undefined) {
      const isQuiet = quirks.omitsEmptyCandles && store.isProven(timestamp, next);
      note(end, next, isQuiet ? 'no_trades' : unproven(end, next));
      return;
    }
    // Up to now the venue may only be late; nothing behind the last row proves that nothing was traded.
    const reachesNow = expected.to >= periodStart(interval, asOf) && until > asOf;
    note(end, expected.to, reachesNow ? 'unconfirmed' : unproven(end, expected.to));
  });
  return gaps;
};

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
const pagesOf = ({ interval, since, until = Infinity, limit, quirks, now }: CandlePlan): number => {
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
 * `hasTurned`: the period that was open when the venue was asked has ended on the way. Its candle can't be shown then, so
 * that the latest ones are those before it: more rows are asked for than the caller wants.
 */
const lasting = (candles: readonly Candle[], hasTurned: boolean): readonly Candle[] => {
  const closed = hasTurned ? candles.filter((candle) => candle.closed) : candles;
  return closed.length > 0 ? closed : candles;
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
  const now = plan.now();
  const current = periodStart(interval, asOf);
  const starts = store.list(0, Infinity).map(({ timestamp }) => timestamp);
  const all = settled(store.list(since ?? 0, Math.max(reach, 0)), interval, { asOf, starts });
  const shown = since === undefined ? lasting(all, now >= periodEnd(interval, current)) : all;
  const candles = since === undefined ? shown.slice(-limit) : all.slice(0, limit);
  const nextSince =
    since === undefined ? null : goOn(candles, { ...plan, interval }, { reach: asked.to, now });
  // In place of a candle that is not shown the venue was asked for no other.
  const wanted = Math.max(1, limit - (all.length - shown.length));
  const gaps = findGaps(candles, { ...plan, interval, limit: wanted }, { walked, asOf, nextSince });
  const last = candles.at(-1);
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

interface Payer {
  readonly exchange: ExchangeId;
  readonly gate: UpstreamGate;
}

/** No waiting helps: even the whole budget is too small for it. */
const tooLong = (exchange: ExchangeId, plan: CandlePlan, most: number): AppError => {
  let limit = Math.min(plan.limit, most * plan.quirks.candlePage);
  while (limit > 1 && pagesOf({ ...plan, limit }) > most) limit -= 1;
  const reason =
    `at most ${limit} of these candles can be had at once: ${exchange} gives ${plan.quirks.candlePage} a request, ` +
    `and this server's budget for it allows ${most}`;
  return new AppError('invalid_request', `limit: ${reason}.`, { errors: [{ parameter: 'limit', reason }] });
};

/**
 * Slots for all pages of an answer before the first is asked for: a call that the budget ends in the middle has spent what
 * others could have used, for nothing.
 *
 * Runs `work` with a slot booked for each of its pages; a single one needs none. Rejects before anything is spent:
 * `upstream_budget_exhausted` or `upstream_rate_limited` where they can be had later, `invalid_request` where never.
 */
export const withPagesBooked = async <T>(
  { exchange, gate }: Payer,
  plan: CandlePlan,
  work: () => Promise<T>,
): Promise<T> => {
  const call = currentUpstreamCall();
  const requests = pagesOf(plan);
  if (call === undefined || requests === 1) return work();
  const { priority, deadline, client } = call;
  const booking = await gate.book({ exchange, priority, client, deadline, requests });
  if ('most' in booking) throw tooLong(exchange, plan, booking.most);
  try {
    return await withUpstreamCall({ ...call, booking }, work);
  } finally {
    booking.release();
  }
};
