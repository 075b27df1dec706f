/** Answers made from stored candles alone, or joined with fetched ones. Pure. */
import type { Millis, UnifiedSymbol } from '../schemas/common.js';
import { periodEnd, periodStart } from '../lib/intervals.js';
import { bodyOf, gapsOf, oldestCheck, type GapReason } from './answer.js';
import { candleEdges, extentOf, storedEdges, wantedOf, type KnownView } from './known-view.js';

export interface LedgerAnswer {
  readonly body: Uint8Array;
  readonly symbol: UnifiedSymbol;
  readonly cache: 'STORE' | 'MISS';
  readonly via: 'store' | 'store+rest';
  /** STORE: when the oldest of its candles was last checked. */
  readonly receivedAt: Millis;
  /** When the open candle ends, or the next one may appear; null where none of the range is to come. */
  readonly closesAt: Millis | null;
  /** false: a fetch for it is still pending; the answer must not be cached. */
  readonly complete: boolean;
}

/** Where to go on after `full` candles; null where nothing more is asked for or has begun. */
const nextSinceOf = ({ request, interval, at }: KnownView, last: Millis | undefined): Millis | null => {
  if (request.since === undefined || last === undefined) return null;
  const end = periodEnd(interval, last);
  return end < Math.min(request.until ?? Infinity, at) ? end : null;
};

/**
 * When a range that goes on changes by itself, whatever its candles: where a period ended between the question and the
 * venue's answer, all of them are closed, and the next one is missing.
 */
const changesAt = ({ request, interval, at }: KnownView, isOpen: boolean): Millis | null => {
  const current = periodStart(interval, at);
  return isOpen && (request.until ?? Infinity) > current ? periodEnd(interval, current) : null;
};

/** `unknown`: the reason given for ranges that were never requested. */
export const storedAnswer = (view: KnownView, unknown: GapReason): LedgerAnswer => {
  const { name, stored, coverage, at } = view;
  const full = storedEdges(view);
  const { span, tail } = extentOf(view, full);
  const gaps = gapsOf(span, coverage, unknown);
  return {
    body: bodyOf({ ...name, candles: stored.json, gaps, nextSince: nextSinceOf(view, full?.last) }),
    symbol: name.symbol,
    cache: 'STORE',
    via: 'store',
    receivedAt: oldestCheck(span, coverage, at),
    closesAt: changesAt(view, tail),
    complete: !gaps.some(({ reason }) => reason === 'not_loaded_yet'),
  };
};

/** `closesAt`: when the open candle that was fetched ends; null where none was. */
export const joinedAnswer = (view: KnownView, closesAt: Millis | null): LedgerAnswer => {
  const { name, coverage, at, request } = view;
  const candles = wantedOf(view);
  const full = candleEdges(candles, request.limit);
  const { span, tail } = extentOf(view, full);
  const gaps = gapsOf(span, coverage, 'not_loaded_yet');
  const text = JSON.stringify(candles).slice(1, -1);
  return {
    body: bodyOf({ ...name, candles: Buffer.from(text), gaps, nextSince: nextSinceOf(view, full?.last) }),
    symbol: name.symbol,
    cache: 'MISS',
    via: 'store+rest',
    receivedAt: at,
    closesAt: closesAt ?? changesAt(view, tail),
    complete: !gaps.some(({ reason }) => reason === 'not_loaded_yet'),
  };
};
