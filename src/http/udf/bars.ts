/**
 * The bars that a chart asks for. Charts of a market that is watched ask every few seconds, each time with other instants:
 * what lies in the newest candles is cut from one series that is kept and shared, and asks no venue.
 */
import { AppError } from '../../errors.js';
import { parseInterval } from '../../lib/intervals.js';
import type { MarketQuery, ServedAnswer } from '../../market-data/market-data-api.js';
import type { Millis } from '../../schemas/common.js';
import { ohlcv, type Candle, type Gap } from '../../schemas/market.js';

/** Candles of the series from which the newest bars are cut. */
const TAIL = 500;
/** Candles of one question, and questions of one answer. */
const MAX_CANDLES = 2000;
const MAX_PAGES = 5;

export interface Series {
  readonly exchange: string;
  readonly symbol: string;
  readonly interval: string;
}

export interface BarRange {
  /** Milliseconds; bars from here on, where `countback` is absent. */
  readonly from: Millis;
  /** Exclusive. */
  readonly to: Millis;
  /** As many bars before `to`, whatever `from` says. */
  readonly countback?: number | undefined;
}

export interface Bars {
  /** Oldest first. */
  readonly candles: readonly Candle[];
  readonly gaps: readonly Gap[];
}

interface BarSource {
  /** Candles of a question; rejects with an AppError. */
  readonly get: (query: MarketQuery) => Promise<ServedAnswer>;
  readonly now: () => Millis;
  /** The caller's plan lets it have so many candles of `wanted`. */
  readonly allowed: (wanted: number) => number;
  /** Told before each question how many candles there will be together. What it throws refuses them. */
  readonly reserve?: (candles: number) => void;
}

interface Read extends Bars {
  readonly next: Millis | undefined;
}

const parsed = new WeakMap<Buffer, Read>();

/** The answer's candles, read once for all who get the same bytes. */
const readCandles = ({ body }: ServedAnswer): Read => {
  const known = parsed.get(body);
  if (known !== undefined) return known;
  const { candles, gaps = [], next_since: next } = ohlcv.parse(JSON.parse(body.toString()));
  const read = { candles, gaps, next };
  parsed.set(body, read);
  return read;
};

const cut = ({ candles, gaps }: Bars, { from, to, countback }: BarRange): Bars => {
  const before = candles.filter(({ timestamp }) => timestamp < to);
  const wanted =
    countback === undefined ? before.filter(({ timestamp }) => timestamp >= from) : before.slice(-countback);
  return { candles: wanted, gaps: gaps.filter((gap) => gap.from < to && gap.to > from) };
};

/** Whether the newest candles hold all that is wanted. */
const covers = ({ candles }: Bars, { from, to, countback }: BarRange): boolean => {
  const first = candles[0]?.timestamp;
  if (first === undefined) return false;
  if (countback === undefined) return first <= from;
  return candles.filter(({ timestamp }) => timestamp < to).length >= countback;
};

/** Of a range with more bars than the plan allows a call, the newest are wanted. */
const withinPlan = (range: BarRange, { allowed }: BarSource, ms: Millis): BarRange => {
  const most = allowed(MAX_PAGES * MAX_CANDLES);
  if (range.countback !== undefined || most === MAX_PAGES * MAX_CANDLES) return range;
  return (range.to - range.from) / ms > most ? { ...range, countback: most } : range;
};

/** Rejects with an AppError. */
export const readBars = async (source: BarSource, series: Series, asked: BarRange): Promise<Bars> => {
  const { get, now, allowed, reserve } = source;
  const query = { kind: 'ohlcv', ...series } as const;
  const ms = parseInterval(series.interval)?.ms ?? 0;
  const range = withinPlan(asked, source, ms);
  const { from, to, countback } = range;
  const begin = countback === undefined ? from : to - countback * ms;
  if (begin > now() - TAIL * ms) {
    const tail = readCandles(await get({ ...query, limit: allowed(TAIL) }));
    if (covers(tail, range)) return cut(tail, range);
  }
  if (countback !== undefined) {
    const limit = allowed(Math.min(countback, MAX_CANDLES));
    reserve?.(limit);
    return cut(readCandles(await get({ ...query, until: to, limit })), range);
  }
  const candles: Candle[] = [];
  const gaps: Gap[] = [];
  let since: Millis | undefined = from;
  for (let page = 0; since !== undefined && since < to; page += 1) {
    if (page === MAX_PAGES)
      throw new AppError('invalid_request', `A chart gets at most ${MAX_PAGES * MAX_CANDLES} bars at once.`);
    reserve?.(candles.length + Math.min(MAX_CANDLES, Math.ceil((to - since) / ms)));
    const read = readCandles(await get({ ...query, since, until: to, limit: allowed(MAX_CANDLES) }));
    candles.push(...read.candles);
    gaps.push(...read.gaps);
    since = read.next !== undefined && read.next > since ? read.next : undefined;
  }
  return cut({ candles, gaps }, range);
};

/** Begin of the newest bar before `at`; undefined at the beginning of what the venue has. */
export const barBefore = async (
  { get, allowed }: BarSource,
  series: Series,
  at: Millis,
): Promise<Millis | undefined> => {
  const answer = await get({ kind: 'ohlcv', ...series, until: at, limit: allowed(1) });
  return readCandles(answer).candles.at(-1)?.timestamp;
};
