/** Finds the stored series for a caller's symbol and aligns the caller's range to its periods. */
import { AppError } from '../errors.js';
import type { Millis } from '../schemas/common.js';
import { parseInterval, periodStart, type Interval } from '../lib/intervals.js';
import { clip, type Coverage, type Span } from './coverage.js';
import { alignedSpan } from './planner.js';
import { anchored, type SeriesName } from './settle.js';
import type { CandleStore, SeriesInfo } from './store.js';

const ALL = Number.MAX_SAFE_INTEGER;

/** Defaults of a range: from the first known period to the last settled candle. */
export interface AskedSpan {
  readonly from: Millis | undefined;
  readonly to: Millis | undefined;
}

export interface SeriesRange {
  readonly name: SeriesName;
  /** null: nothing is stored. */
  readonly series: SeriesInfo | null;
  readonly interval: Interval;
  readonly span: Span;
  /** Of the span. */
  readonly coverage: readonly Coverage[];
}

export const keyOf = ({ exchange, symbol, interval }: SeriesName): string =>
  `${exchange} ${symbol} ${interval}`;

/** A symbol as most exchanges spell it: callers also write btc-usdt. */
export const pairOf = (symbol: string): string => symbol.toUpperCase().replace(/[-_]/, '/');

/** The same for all spellings of a symbol. */
export const spellingKey = (name: SeriesName): string => keyOf({ ...name, symbol: pairOf(name.symbol) });

/** Throws `interval_not_supported`. */
export const seriesInterval = (text: string, anchor: Millis): Interval => {
  const parsed = parseInterval(text);
  if (parsed === undefined) throw new AppError('interval_not_supported', `${text} is no interval.`);
  return anchored(parsed, anchor);
};

const wrongOrder = (reason: string): AppError =>
  new AppError('invalid_request', `from: ${reason}.`, { errors: [{ parameter: 'from', reason }] });

/**
 * Throws `interval_not_supported`, and `invalid_request` where `from` does not lie before `to`. Without `to` the last period
 * that has begun is still a valid `from`: a client that continues behind its last candle gets an empty range, not an error.
 */
export const locateSeries = async (
  store: CandleStore,
  name: SeriesName,
  { asked: { from, to }, settledBy }: { readonly asked: AskedSpan; readonly settledBy: Millis },
): Promise<SeriesRange> => {
  if (from !== undefined && to !== undefined && from >= to) throw wrongOrder('must lie before to');
  const symbol = (await store.spelling(name.exchange, name.symbol)) ?? name.symbol;
  const own = { exchange: name.exchange, symbol, interval: name.interval };
  const series = await store.series(own);
  const interval = seriesInterval(name.interval, series?.anchor ?? 0);
  const end = periodStart(interval, settledBy);
  if (from !== undefined && to === undefined && from > settledBy + interval.ms)
    throw wrongOrder('must not lie in the future');
  const oldest = series === null || from !== undefined ? [] : await store.coverage(series.id, null, 1);
  const start = from ?? oldest[0]?.from ?? end;
  const span = alignedSpan(interval, { from: start, to: to ?? Math.max(end, periodStart(interval, start)) });
  const coverage = series === null ? [] : clip(await store.coverage(series.id, span, ALL), span);
  return { name: own, series, interval, span, coverage };
};
