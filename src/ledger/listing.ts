/** When a market's history begins: what lies before it is not asked for, ever again. At most three requests a series. */
import type { Millis } from '../schemas/common.js';
import { addPeriods, DAY_MS, parseInterval, periodStart } from '../lib/intervals.js';
import type { CandleTraits } from '../exchanges/exchange-client.js';
import type { PageEvidence, SeriesName } from './settle.js';

/** One request; rejects as the venue's client does. */
export type AskPage = (
  name: SeriesName,
  page: { readonly since: Millis; readonly limit: number },
) => Promise<PageEvidence>;

/** Windows of days that are looked at, newest first. */
const MAX_DAY_PAGES = 3;

/**
 * The start of the first candle before `before`, or null where that can't be told: a venue that jumps is asked for its
 * first candle; one that gives windows, for days, in which a listing is easily seen.
 */
export const findListing = async (
  name: SeriesName,
  { traits, before, intervals }: { traits: CandleTraits; before: Millis; intervals: readonly string[] },
  ask: AskPage,
): Promise<Millis | null> => {
  if (traits.kind === 'latest') return null;
  if (traits.kind === 'jump') {
    const { rows } = await ask(name, { since: 0, limit: 1 });
    return rows[0]?.timestamp ?? null;
  }
  const day = parseInterval('1d');
  if (day === undefined || !intervals.includes('1d')) return null;
  let end = addPeriods(day, periodStart(day, before), 1);
  let first: Millis | null = null;
  for (let page = 0; page < MAX_DAY_PAGES; page += 1) {
    const since = addPeriods(day, end, -traits.page);
    const { rows } = await ask({ ...name, interval: '1d' }, { since, limit: traits.page });
    const found = rows[0]?.timestamp;
    // Days without a candle before the first one: the market was not there yet.
    if (found === undefined) return first;
    if (found - since >= DAY_MS) return found;
    first = found;
    end = since;
  }
  return null;
};
