/** Searches the start of a market's history, so that earlier times are never requested again. At most three requests. */
import type { Millis } from '../schemas/common.js';
import { addPeriods, DAY_MS, periodStart } from '../lib/intervals.js';
import type { CandleTraits } from '../exchanges/exchange-client.js';
import type { PageEvidence, SeriesName } from './settle.js';

/** One request; rejects as the venue's client does. */
export type AskPage = (
  name: SeriesName,
  page: { readonly since: Millis; readonly limit: number },
) => Promise<PageEvidence>;

export type Listing =
  /** The start of its first candle; of its first day where the venue gives windows. */
  | { readonly kind: 'found'; readonly first: Millis }
  /** There are candles from here on, and perhaps before. */
  | { readonly kind: 'older'; readonly than: Millis }
  | { readonly kind: 'unknown' };

/** Windows of days that are searched, newest first. */
const MAX_DAY_PAGES = 3;
/** A market without a candle for this long was not listed yet. */
const NOT_LISTED_FOR_MS: Millis = 30 * DAY_MS;
const UNKNOWN: Listing = { kind: 'unknown' };

const searchDays = async (
  name: SeriesName,
  { page, before }: { readonly page: number; readonly before: Millis },
  ask: AskPage,
): Promise<Listing> => {
  const day = { text: '1d', ms: DAY_MS, months: 0, origin: 0 };
  let end = addPeriods(day, periodStart(day, before), 1);
  let oldest = end;
  for (let pages = 0; pages < MAX_DAY_PAGES; pages += 1) {
    const since = addPeriods(day, end, -page);
    const { rows } = await ask({ ...name, interval: '1d' }, { since, limit: page });
    const found = rows[0]?.timestamp;
    if (found === undefined) return pages === 0 ? UNKNOWN : { kind: 'found', first: oldest };
    if (found - since >= NOT_LISTED_FOR_MS) return { kind: 'found', first: found };
    oldest = found;
    end = since;
  }
  return { kind: 'older', than: oldest };
};

/**
 * Where history begins, as far as can be told: a venue that jumps is asked for its first candle; one that gives windows,
 * for the days before `before`, in which a listing is easily seen. One that gives its latest candles only tells nothing.
 */
export const findListing = async (
  name: SeriesName,
  { traits, before, intervals }: { traits: CandleTraits; before: Millis; intervals: readonly string[] },
  ask: AskPage,
): Promise<Listing> => {
  if (traits.kind === 'latest') return UNKNOWN;
  if (traits.kind === 'window')
    return intervals.includes('1d') ? searchDays(name, { page: traits.page, before }, ask) : UNKNOWN;
  const { rows } = await ask(name, { since: 0, limit: 1 });
  const first = rows[0]?.timestamp;
  return first === undefined ? UNKNOWN : { kind: 'found', first };
};
