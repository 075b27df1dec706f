/** What an answer of candles lacks, and why. Pure. */
import type { Candle, Gap } from '../../schemas/market.js';
import type { Millis } from '../../schemas/common.js';
import { addPeriods, nextPeriodStart, periodEnd, periodStart } from '../../lib/intervals.js';
import type { CandlePlan } from './candles.js';

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

/**
 * What is missing among `rows` (sorted, unique). `plan.interval` laid as the rows are; `asOf`: when the venue was asked
 * first; `askedTo`: it was asked about everything before this instant.
 */
export const findGaps = (
  rows: readonly Candle[],
  plan: CandlePlan,
  asked: { readonly askedTo: Millis; readonly asOf: Millis },
): Gap[] => {
  const { interval, quirks } = plan;
  const expected = expectedOf(rows, plan, asked);
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
