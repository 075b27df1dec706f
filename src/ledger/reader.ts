/**
 * Answers of candles from the store: all of it where all is known, else what is missing is asked of the venue and joined.
 * What can't be had in time is named as a gap.
 */
import { z } from 'zod';
import { AppError } from '../errors.js';
import { candle, type Candle } from '../schemas/market.js';
import type { ExchangeId, Millis, UnifiedSymbol } from '../schemas/common.js';
import type { MarketAnswer, OhlcvRequest } from '../exchanges/exchange-client.js';
import { settleWithin } from '../lib/deadline.js';
import {
  addPeriods,
  nextPeriodStart,
  parseInterval,
  periodEnd,
  periodStart,
  type Interval,
} from '../lib/intervals.js';
import { bodyOf, gapsOf, joinCandles, oldestCheck, type GapReason } from './answer.js';
import { clip, missing, put, union, type Coverage, type Span } from './coverage.js';
import { pagesOf } from './evidence.js';
import { anchored, settlePage, type SeriesName } from './settle.js';
import type { StoreHandle } from './store-status.js';
import type { StoredRange } from './store.js';
import type { Writer } from './writer.js';

/** A file answers in a millisecond; a database that is slow is as good as none while the venue can be asked. */
const SHARED_BUDGET_MS: Millis = 50;
const BUDGET_MS: Millis = 2_000;
/** Calls to the venue for one answer. */
const MAX_PARTS = 4;
const MAX_LIMIT = 2000;
const END_OF_TIME: Millis = Number.MAX_SAFE_INTEGER;

export interface LedgerAnswer {
  readonly body: Uint8Array;
  readonly symbol: UnifiedSymbol;
  readonly cache: 'STORE' | 'MISS';
  readonly via: 'store' | 'store+rest';
  /** STORE: when the oldest of its candles was last checked. */
  readonly receivedAt: Millis;
  readonly closesAt: Millis | null;
  /** false: something is still to come; not to be kept. */
  readonly complete: boolean;
}

type AskVenue = (request: OhlcvRequest) => Promise<MarketAnswer>;

export interface ReaderDeps {
  readonly handle: StoreHandle;
  readonly writer: Writer;
  readonly settleMs: Millis;
  /** Asks for what could not be had at once. */
  readonly queueJob: (name: SeriesName, span: Span) => void;
  readonly now: () => Millis;
}

export interface LedgerReader {
  /** Without asking the venue; null where not all is known. */
  known(request: OhlcvRequest): Promise<LedgerAnswer | null>;
  /** null: nothing is known that would help. Rejects as `ask` does where nothing of the range is known. */
  load(request: OhlcvRequest, ask: AskVenue): Promise<LedgerAnswer | null>;
  /** What is known, of an exchange that can't be asked; null: nothing. */
  partly(request: OhlcvRequest, unknown: GapReason): Promise<LedgerAnswer | null>;
}

/** What is known of a request's range at some point of its way. */
interface View {
  readonly request: OhlcvRequest;
  readonly name: SeriesName;
  readonly interval: Interval;
  readonly stored: StoredRange;
  readonly coverage: readonly Coverage[];
  /** Fetched for this answer. */
  readonly fetched: readonly Candle[];
  /** The venue has been asked for what is not settled yet. */
  readonly tailAsked: boolean;
  /** Periods before it are settled. */
  readonly settledEnd: Millis;
  readonly at: Millis;
}

const fetchedAnswer = z.object({ candles: z.array(candle) });

const candlesOf = ({ json }: StoredRange): Candle[] =>
  z.array(candle).parse(JSON.parse(`[${Buffer.from(json).toString()}]`));

const countIn = (interval: Interval, { from, to }: Span): number =>
  Math.max(0, Math.ceil((to - from) / interval.ms));

/** All candles at hand that the request asks for, cut to its limit. */
const wantedOf = ({ request, stored, fetched, interval }: View): Candle[] => {
  const { since, until, limit } = request;
  const from = since === undefined ? -Infinity : nextPeriodStart(interval, since);
  const all = joinCandles(candlesOf(stored), fetched).filter(
    ({ timestamp }) => timestamp >= from && timestamp < (until ?? Infinity),
  );
  return since === undefined ? all.slice(-limit) : all.slice(0, limit);
};

interface Extent {
  /** What is to be known. */
  readonly span: Span;
  /** The open candle and those that may still change are wanted too. */
  readonly tail: boolean;
}

/** Which periods the answer stands on; `at hand` is how many candles there are and where they begin and end. */
const extentOf = (
  { request, interval, settledEnd, at }: View,
  hand: { readonly count: number; readonly first: Millis | null; readonly last: Millis | null },
): Extent => {
  const { since, until, limit } = request;
  const end = Math.min(settledEnd, until === undefined ? Infinity : nextPeriodStart(interval, until));
  const open = until === undefined || until > settledEnd;
  const full = hand.count >= limit;
  if (since !== undefined) {
    const from = nextPeriodStart(interval, since);
    const to = full && hand.last !== null ? Math.min(end, periodEnd(interval, hand.last)) : end;
    const done = full && hand.last !== null;
    return { span: { from, to: Math.max(from, to) }, tail: open && !done && from <= at };
  }
  const settledWanted = limit - (open ? countIn(interval, { from: settledEnd, to: at }) : 0);
  const from =
    full && hand.first !== null
      ? hand.first
      : addPeriods(interval, periodStart(interval, end), -settledWanted);
  return { span: { from: Math.min(end, Math.max(0, from)), to: end }, tail: open };
};

const handOf = (candles: readonly Candle[]) => ({
  count: candles.length,
  first: candles[0]?.timestamp ?? null,
  last: candles.at(-1)?.timestamp ?? null,
});

export const createReader = ({ handle, writer, settleMs, queueJob, now }: ReaderDeps): LedgerReader => {
  // Bounded by what is asked for and stored: only spellings that were found are remembered.
  const spellings = new Map<string, string>();
  const MAX_SPELLINGS = 10_000;

  const spellingOf = async (exchange: ExchangeId, symbol: string): Promise<string | null> => {
    const key = `${exchange} ${symbol}`;
    const known = spellings.get(key);
    if (known !== undefined) return known;
    const found = (await handle.store()?.spelling(exchange, symbol)) ?? null;
    if (found !== null && spellings.size < MAX_SPELLINGS) spellings.set(key, found);
    return found;
  };

  const read = async (request: OhlcvRequest): Promise<View | null> => {
    const store = handle.store();
    const parsed = parseInterval(request.interval);
    if (store === null || parsed === undefined) return null;
    const symbol = await spellingOf(request.exchange, request.symbol);
    if (symbol === null) return null;
    const at = now();
    const { exchange, interval: text, since, until, limit } = request;
    const name = { exchange, symbol, interval: text };
    const series = await store.series(name);
    if (series === null) return null;
    const interval = anchored(parsed, series.anchor);
    const newest = since === undefined;
    const to = until === undefined ? END_OF_TIME : nextPeriodStart(interval, until);
    const from = newest ? -END_OF_TIME : nextPeriodStart(interval, since);
    const stored = await store.read({ ...name, from, to, limit, newest });
    if (stored === null) return null;
    const settledEnd = periodStart(interval, at - settleMs);
    return {
      request,
      name,
      interval,
      stored,
      coverage: stored.coverage,
      fetched: [],
      tailAsked: false,
      settledEnd,
      at,
    };
  };

  /** A store that fails or takes too long is as good as none. */
  const viewOf = async (request: OhlcvRequest, ms: Millis): Promise<View | null> => {
    try {
      return await settleWithin(read(request), { ms, giveUp: () => new Error('The store is slow.') });
    } catch {
      return null;
    }
  };
  const budget = (): Millis => (handle.shared ? SHARED_BUDGET_MS : BUDGET_MS);

  const storedAnswer = (view: View, { span }: Extent, unknown: GapReason): LedgerAnswer => {
    const { name, stored, coverage, at, request, interval } = view;
    const gaps = gapsOf(span, coverage, unknown);
    const end = stored.last === null ? null : periodEnd(interval, stored.last);
    const more = request.since !== undefined && stored.count >= request.limit && end !== null;
    return {
      body: bodyOf({
        ...name,
        candles: stored.json,
        gaps,
        nextSince: more && end < Math.min(request.until ?? Infinity, at) ? end : null,
      }),
      symbol: name.symbol,
      cache: 'STORE',
      via: 'store',
      receivedAt: oldestCheck(span, coverage) ?? at,
      closesAt: null,
      complete: !gaps.some(({ reason }) => reason === 'not_loaded_yet'),
    };
  };

  const joinedAnswer = (view: View, closesAt: Millis | null): LedgerAnswer => {
    const { name, coverage, at, request, interval } = view;
    const candles = wantedOf(view);
    const { span } = extentOf(view, handOf(candles));
    const gaps = gapsOf(span, coverage, 'not_loaded_yet');
    const last = candles.at(-1);
    const end = last === undefined ? null : periodEnd(interval, last.timestamp);
    const more = request.since !== undefined && candles.length >= request.limit && end !== null;
    const text = JSON.stringify(candles).slice(1, -1);
    return {
      body: bodyOf({
        ...name,
        candles: Buffer.from(text),
        gaps,
        nextSince: more && end < Math.min(request.until ?? Infinity, at) ? end : null,
      }),
      symbol: name.symbol,
      cache: 'MISS',
      via: 'store+rest',
      receivedAt: at,
      closesAt,
      complete: !gaps.some(({ reason }) => reason === 'not_loaded_yet'),
    };
  };

  /** Asks for one part and learns from it. */
  const fetchPart = async (
    view: View,
    part: Span,
    ask: AskVenue,
  ): Promise<{ view: View; answer: MarketAnswer }> => {
    const { request, name, interval, coverage } = view;
    const before = clip(coverage, { from: addPeriods(interval, part.from, -1), to: part.from });
    // One known candle more: where the seam is, the venue may have corrected it.
    const overlap = before[0]?.state === 'known' ? 1 : 0;
    const earliest = addPeriods(interval, part.to, -MAX_LIMIT);
    const wanted = addPeriods(interval, part.from, -overlap);
    const since = request.since === undefined ? Math.max(wanted, earliest) : wanted;
    const held = wantedOf(view).filter(({ timestamp }) => timestamp < part.from).length;
    const most =
      request.since === undefined ? MAX_LIMIT : Math.min(MAX_LIMIT, request.limit - held + overlap);
    const limit = Math.min(most, countIn(interval, { from: since, to: part.to }));
    const { exchange } = request;
    const answer = await ask({
      ...{ kind: 'ohlcv', exchange, symbol: name.symbol, interval: request.interval },
      since,
      limit: Math.max(1, limit),
      evidence: true,
    });
    const pages = answer.evidence === undefined ? [] : pagesOf(name, answer.evidence);
    for (const page of pages) void writer.add(page);
    const learnt = pages.flatMap((page) => settlePage(page, settleMs)?.coverage ?? []);
    let known = coverage;
    for (const range of learnt) known = put(known, [range]);
    const { candles } = fetchedAnswer.parse(JSON.parse(Buffer.from(answer.body).toString()));
    return {
      view: {
        ...view,
        coverage: known,
        fetched: joinCandles(view.fetched, candles),
        tailAsked: view.tailAsked || part.to > view.settledEnd,
      },
      answer,
    };
  };

  /** The next stretch to ask for: the newest one of the latest candles, else the first one. */
  const nextPart = (view: View): Span | null => {
    const { request, interval, settledEnd, at } = view;
    const { span, tail } = extentOf(view, handOf(wantedOf(view)));
    const open = missing(span, clip(view.coverage, span), at);
    const end = Math.min(addPeriods(interval, periodStart(interval, at), 1), request.until ?? Infinity);
    const parts = union([...open, ...(tail && !view.tailAsked ? [{ from: settledEnd, to: end }] : [])]);
    return (request.since === undefined ? parts.at(-1) : parts[0]) ?? null;
  };

  const hasKnown = (view: View): boolean => {
    const { span } = extentOf(view, view.stored);
    return clip(view.coverage, span).some(({ state }) => state === 'known');
  };

  const later = (view: View): void => {
    const { span } = extentOf(view, handOf(wantedOf(view)));
    const open = missing(span, clip(view.coverage, span), view.at);
    const [first, last] = [open[0], open.at(-1)];
    if (first !== undefined && last !== undefined) queueJob(view.name, { from: first.from, to: last.to });
  };

  return {
    async known(request) {
      const view = await viewOf(request, budget());
      if (view === null) return null;
      const extent = extentOf(view, view.stored);
      const { span, tail } = extent;
      if (tail || span.from >= span.to) return null;
      if (missing(span, clip(view.coverage, span), view.at).length > 0) return null;
      return hasKnown(view) ? storedAnswer(view, extent, 'not_loaded_yet') : null;
    },
    async partly(request, unknown) {
      const view = await viewOf(request, BUDGET_MS);
      if (view === null || !hasKnown(view)) return null;
      if (unknown === 'not_loaded_yet') later(view);
      return storedAnswer(view, extentOf(view, view.stored), unknown);
    },
    async load(request, ask) {
      const found = await viewOf(request, budget());
      if (found === null || !hasKnown(found)) return null;
      let view = found;
      let closesAt: Millis | null = null;
      let asked = 0;
      let tried: Millis | null = null;
      for (let part = nextPart(view); part !== null && asked < MAX_PARTS; part = nextPart(view)) {
        // The venue had nothing new to say about it.
        if (part.from === tried) break;
        tried = part.from;
        try {
          const step = await fetchPart(view, part, ask);
          view = step.view;
          closesAt = step.answer.closesAt ?? closesAt;
          asked += 1;
        } catch (thrown) {
          const error = AppError.from(thrown);
          if (error.code === 'shutting_down' || error.code === 'internal_error') throw error;
          later(view);
          return asked === 0
            ? storedAnswer(view, extentOf(view, view.stored), 'not_loaded_yet')
            : { ...joinedAnswer(view, closesAt), complete: false };
        }
      }
      later(view);
      // Another may have stored it since it was first looked for.
      if (asked === 0) return storedAnswer(view, extentOf(view, view.stored), 'not_loaded_yet');
      return joinedAnswer(view, closesAt);
    },
  };
};
