/** An answer of candles made from stored candles and those fetched for it. Pure. */
import type { Candle, Gap } from '../schemas/market.js';
import type { Millis } from '../schemas/common.js';
import { clip, subtract, type Coverage, type Span } from './coverage.js';

export type GapReason = Gap['reason'];

const reasonOf = ({ state, reason }: Coverage): GapReason => {
  if (state === 'suspect') return 'unconfirmed';
  return state === 'empty' && reason === 'no_trades' ? 'no_trades' : 'not_available_from_exchange';
};

/** Sorted; neighbours of one reason are one gap. */
const joinGaps = (gaps: readonly Gap[]): Gap[] => {
  const joined: Gap[] = [];
  for (const gap of gaps) {
    const last = joined.at(-1);
    if (last?.to === gap.from && last.reason === gap.reason)
      joined[joined.length - 1] = { ...last, to: gap.to };
    else joined.push(gap);
  }
  return joined;
};

/** The gaps of `span`; `unknown`: the reason given for ranges that were never requested. */
export const gapsOf = (span: Span, coverage: readonly Coverage[], unknown: GapReason): Gap[] => {
  const inside = clip(coverage, span);
  const holes = inside
    .filter(({ state }) => state !== 'known')
    .map((range): Gap => ({ from: range.from, to: range.to, reason: reasonOf(range) }));
  const open = subtract(span, inside).map(({ from, to }): Gap => ({ from, to, reason: unknown }));
  return joinGaps([...holes, ...open].sort((a, b) => a.from - b.from));
};

/** Gaps that an exchange's answer names itself, with the reasons of `coverage` where it has them. */
export const agreedGaps = (gaps: readonly Gap[], coverage: readonly Coverage[]): Gap[] => {
  const holes = coverage.filter(({ state }) => state !== 'known');
  return joinGaps(gaps.flatMap((gap) => gapsOf(gap, holes, gap.reason)));
};

/** The oldest check of the known ranges in `span`; `at` where there is none. */
export const oldestCheck = (span: Span, coverage: readonly Coverage[], at: Millis): Millis => {
  const known = clip(coverage, span).filter(({ state }) => state === 'known');
  return Math.min(at, ...known.map(({ checkedMin }) => checkedMin));
};

export interface BodyParts {
  readonly exchange: string;
  readonly symbol: string;
  readonly interval: string;
  /** Candles as objects between commas. */
  readonly candles: Uint8Array;
  readonly gaps: readonly Gap[];
  readonly nextSince: Millis | null;
}

/** The contract's JSON; `exchange` first, so that an alias can be put in its place. */
export const bodyOf = ({ exchange, symbol, interval, candles, gaps, nextSince }: BodyParts): Uint8Array => {
  const head = JSON.stringify({ exchange, symbol, interval }).slice(0, -1);
  const more = `${gaps.length > 0 ? `,"gaps":${JSON.stringify(gaps)}` : ''}${nextSince === null ? '' : `,"next_since":${nextSince}`}`;
  return Buffer.concat([Buffer.from(`${head},"candles":[`), candles, Buffer.from(`]${more}}`)]);
};

/** Candles of two sources, oldest first; those of `newer` win. */
export const joinCandles = (older: readonly Candle[], newer: readonly Candle[]): Candle[] => {
  const all = new Map(older.map((candle) => [candle.timestamp, candle]));
  for (const candle of newer) all.set(candle.timestamp, candle);
  return [...all.values()].sort((a, b) => a.timestamp - b.timestamp);
};
