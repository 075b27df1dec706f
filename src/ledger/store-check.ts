/** Checks a store: the file itself, and that candles, counts and coverage agree. */
import { DAY_MS } from '../lib/intervals.js';
import type { Coverage, Span } from './coverage.js';
import { seriesInterval } from './series-range.js';
import type { StoredCandle } from './settle.js';
import type { CandleStore, SeriesInfo } from './store.js';

const PAGE = 5_000;
const ALL = Number.MAX_SAFE_INTEGER;

type Readable = Pick<CandleStore, 'check' | 'allSeries' | 'coverage' | 'rows'>;

const titleOf = ({ exchange, symbol, interval, generation }: SeriesInfo): string =>
  `${exchange} ${symbol} ${interval} (generation ${generation})`;

const coverageFaults = (coverage: readonly Coverage[]): string[] =>
  coverage.flatMap(({ from, to }, index) => {
    const before = coverage[index - 1];
    if (from >= to) return [`a range of its coverage is empty (${from})`];
    return before !== undefined && before.to > from ? [`ranges of its coverage overlap (${from})`] : [];
  });

/** How many of the rows lie in one of the ranges; both sorted. */
const countInside = (rows: readonly StoredCandle[], ranges: readonly Span[]): number => {
  let at = 0;
  return rows.filter(({ timestamp }) => {
    while ((ranges[at]?.to ?? Infinity) <= timestamp) at += 1;
    return (ranges[at]?.from ?? Infinity) <= timestamp;
  }).length;
};

/** Periods that have a candle by the coverage; 0 where their lengths vary (days of 25 hours, months). */
const claimedBy = ({ interval }: SeriesInfo, known: readonly Span[]): number => {
  const { ms } = seriesInterval(interval, 0);
  return ms >= DAY_MS ? 0 : known.reduce((sum, { from, to }) => sum + (to - from) / ms, 0);
};

/** Reads every candle; concurrent writes of a server are not reported. `series`: as listed before the check. */
const seriesFaults = async (store: Readable, series: SeriesInfo): Promise<string[]> => {
  const knownIn = async (span: Span | null): Promise<Span[]> =>
    (await store.coverage(series.id, span, ALL)).filter(({ state }) => state === 'known');
  const faults = coverageFaults(await store.coverage(series.id, null, ALL));
  const claimed = await knownIn(null);
  let [rows, found, outside] = [0, 0, 0];
  for (let from = -ALL, size = PAGE; size === PAGE;) {
    const page = await store.rows(series.id, { from, to: ALL }, PAGE);
    size = page.length;
    rows += size;
    found += countInside(page, claimed);
    const to = (page.at(-1)?.timestamp ?? from) + 1;
    outside += size - countInside(page, await knownIn({ from, to }));
    from = to;
  }
  const missing = claimedBy(series, claimed) - found;
  if (missing > 0) faults.push(`${missing} candles that its coverage knows are missing`);
  if (outside > 0) faults.push(`${outside} candles lie outside of what its coverage knows`);
  const counted = (await store.allSeries()).find(({ id }) => id === series.id)?.candles ?? 0;
  if (rows < series.candles || rows > counted) faults.push(`it has ${rows} candles, but counts ${counted}`);
  return faults;
};

/** A sentence for each fault; empty where the store is sound. Rejects as the store does. */
export const checkStore = async (store: Readable): Promise<string[]> => {
  const faults = await store.check();
  for (const series of await store.allSeries())
    for (const fault of await seriesFaults(store, series)) faults.push(`${titleOf(series)}: ${fault}.`);
  return faults;
};
