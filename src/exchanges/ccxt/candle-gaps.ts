/** What an answer of candles lacks, and why. Pure. */
import type { Candle, Gap } from '../../schemas/market.js';
import type { Millis } from '../../schemas/common.js';
import { addPeriods, nextPeriodStart, periodEnd, periodStart } from '../../lib/intervals.js';
import type { CandlePlan } from './candle-plan.js';
import type { Range, Walked } from './candle-walk.js';
import { toleranceOf } from '../../lib/venue-periods.js';

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
export const findGaps = (rows: readonly Candle[], plan: CandlePlan, circumstances: Circumstances): Gap[] => {
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
  // Before the first row nobody can tell a quiet market from one that was not there yet.
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
