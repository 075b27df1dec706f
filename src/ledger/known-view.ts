/** The known part of a requested range, and the parts that the answer still needs. Pure. */
import { z } from 'zod';
import { candle, type Candle } from '../schemas/market.js';
import type { Millis } from '../schemas/common.js';
import type { OhlcvRequest } from '../exchanges/exchange-client.js';
import { addPeriods, nextPeriodStart, periodEnd, periodStart, type Interval } from '../lib/intervals.js';
import { joinCandles } from './answer.js';
import { clip, missing, union, type Coverage, type Span } from './coverage.js';
import type { SeriesName } from './settle.js';
import type { StoredRange } from './store.js';

export interface KnownView {
  readonly request: OhlcvRequest;
  readonly name: SeriesName;
  readonly interval: Interval;
  readonly stored: StoredRange;
  /** Stored, and learnt since. */
  readonly coverage: readonly Coverage[];
  /** Fetched for this answer. */
  readonly fetched: readonly Candle[];
  /** The venue has been asked for what is not settled yet. */
  readonly tailAsked: boolean;
  /** Periods before it are settled. */
  readonly settledEnd: Millis;
  readonly at: Millis;
}

/** First and last candle of as many as the request asks for; null where there are fewer. */
export interface Edges {
  readonly first: Millis;
  readonly last: Millis;
}

interface Extent {
  /** The range that must be known. */
  readonly span: Span;
  /** The open candle and those that may still change are wanted too. */
  readonly tail: boolean;
}

const storedCandles = ({ json }: StoredRange): Candle[] =>
  z.array(candle).parse(JSON.parse(`[${Buffer.from(json).toString()}]`));

/** Periods that begin in the stretch, at least 0. */
export const countIn = (interval: Interval, { from, to }: Span): number =>
  Math.max(0, Math.ceil((to - from) / interval.ms));

/** All candles at hand that the request asks for, cut to its limit. */
export const wantedOf = ({ request, stored, fetched, interval }: KnownView): Candle[] => {
  const { since, until, limit } = request;
  const from = since === undefined ? -Infinity : nextPeriodStart(interval, since);
  const all = joinCandles(storedCandles(stored), fetched).filter(
    ({ timestamp }) => timestamp >= from && timestamp < (until ?? Infinity),
  );
  return since === undefined ? all.slice(-limit) : all.slice(0, limit);
};

export const storedEdges = ({ stored, request }: KnownView): Edges | null => {
  const { count, first, last } = stored;
  return count < request.limit || first === null || last === null ? null : { first, last };
};

export const candleEdges = (candles: readonly Candle[], limit: number): Edges | null => {
  const [first, last] = [candles[0], candles.at(-1)];
  if (candles.length < limit || first === undefined || last === undefined) return null;
  return { first: first.timestamp, last: last.timestamp };
};

/** The periods that the answer covers; `full`: the edges of the candles at hand, where they are enough. */
export const extentOf = ({ request, interval, settledEnd, at }: KnownView, full: Edges | null): Extent => {
  const { since, until, limit } = request;
  const end = Math.min(settledEnd, until === undefined ? Infinity : nextPeriodStart(interval, until));
  const open = until === undefined || until > settledEnd;
  if (since !== undefined) {
    const from = nextPeriodStart(interval, since);
    const to = full === null ? end : Math.min(end, periodEnd(interval, full.last));
    return { span: { from, to: Math.max(from, to) }, tail: open && full === null && from <= at };
  }
  const settledWanted = limit - (open ? countIn(interval, { from: settledEnd, to: at }) : 0);
  const from = full?.first ?? addPeriods(interval, periodStart(interval, end), -settledWanted);
  return { span: { from: Math.min(end, Math.max(0, from)), to: end }, tail: open };
};

/** Of everything at hand, fetched candles included. */
const currentExtent = (view: KnownView): Extent =>
  extentOf(view, candleEdges(wantedOf(view), view.request.limit));

export const hasKnown = (view: KnownView): boolean => {
  const { span } = extentOf(view, storedEdges(view));
  return clip(view.coverage, span).some(({ state }) => state === 'known');
};

/** Stretches of settled periods that the venue is to be asked for. */
export const openSpans = (view: KnownView): Span[] => {
  const { span } = currentExtent(view);
  return missing(span, clip(view.coverage, span), view.at);
};

/** The next stretch to ask for: the newest one of the latest candles, else the first one; null: there is none. */
export const nextPart = (view: KnownView): Span | null => {
  const { request, interval, settledEnd, at } = view;
  const { tail } = currentExtent(view);
  const end = Math.min(addPeriods(interval, periodStart(interval, at), 1), request.until ?? Infinity);
  const parts = union([
    ...openSpans(view),
    ...(tail && !view.tailAsked ? [{ from: settledEnd, to: end }] : []),
  ]);
  return (request.since === undefined ? parts.at(-1) : parts[0]) ?? null;
};
