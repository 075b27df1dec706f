/**
 * Coverage of a series: operations over half-open time ranges. Pure; one implementation for every store.
 * A range that is not covered is unknown: that is never stored, so a crash leaves nothing to undo.
 */
import type { Millis } from '../schemas/common.js';

/** Half-open: `to` is the first instant behind it. */
export interface Span {
  readonly from: Millis;
  readonly to: Millis;
}

/**
 * known: a candle is stored for each period. empty: proven to have none. unavailable: the venue does not give it (before
 * the listing, older than it keeps). suspect: no candle came once, which proves nothing.
 */
export const COVERAGE_STATES = ['known', 'empty', 'unavailable', 'suspect'] as const;
export type CoverageState = (typeof COVERAGE_STATES)[number];

export type CandleSource = 'rest' | 'websocket';

export interface Coverage extends Span {
  readonly state: CoverageState;
  /** null where the state needs no reason. */
  readonly reason: string | null;
  readonly source: CandleSource;
  /** When the venue was asked about it: the oldest and the newest time. */
  readonly checkedMin: Millis;
  readonly checkedMax: Millis;
  /** suspect: when the hole was first seen; else when it was first covered. */
  readonly firstSeen: Millis;
  /** When it is to be asked for again; null: never. */
  readonly recheckAt: Millis | null;
}

const MINUTE_MS: Millis = 60_000;
/** A hole that is still there after so long is proven. */
const CONFIRM_AFTER_MS: Millis = 30 * MINUTE_MS;
export const SUSPECT_RECHECK_MS: Millis = 60 * MINUTE_MS;
export const EMPTY_RECHECK_MS: Millis = 7 * 24 * 60 * MINUTE_MS;
/** Neighbours whose checks are further apart are not merged: the age of an answer is derived from the checks. */
const COALESCE_WITHIN_MS: Millis = 60 * MINUTE_MS;

const STRENGTH: Readonly<Record<CoverageState, number>> = { suspect: 0, unavailable: 1, empty: 2, known: 3 };

/** `span` without `covered` (sorted, disjoint). */
export const subtract = (span: Span, covered: readonly Span[]): Span[] => {
  const left: Span[] = [];
  let { from } = span;
  for (const { from: start, to: end } of covered) {
    if (end <= from) continue;
    if (start >= span.to) break;
    if (start > from) left.push({ from, to: start });
    from = Math.max(from, end);
  }
  if (from < span.to) left.push({ from, to: span.to });
  return left;
};

/** The range from `from` to `to`; itself where it has these bounds: a thin market has ten thousand ranges a month. */
const cutTo = <T extends Span>(range: T, from: Millis, to: Millis): T =>
  range.from === from && range.to === to ? range : { ...range, from, to };

/** The parts of `ranges` (sorted) that lie in `span`, cut to it. */
export const clip = <T extends Span>(ranges: readonly T[], { from, to }: Span): T[] =>
  ranges
    .filter((range) => range.to > from && range.from < to)
    .map((range) => cutTo(range, Math.max(range.from, from), Math.min(range.to, to)));

/** Sorted, neighbours and overlaps joined. */
export const union = (spans: readonly Span[]): Span[] => {
  const joined: { from: Millis; to: Millis }[] = [];
  for (const { from, to } of spans.toSorted((a, b) => a.from - b.from)) {
    const last = joined.at(-1);
    if (last !== undefined && from <= last.to) last.to = Math.max(last.to, to);
    else joined.push({ from, to });
  }
  return joined;
};

/** A hole that was seen again: proven where it was first seen long enough ago. */
const seenAgain = (old: Coverage, again: Coverage): Omit<Coverage, 'from' | 'to'> => {
  const { firstSeen } = old;
  if (again.checkedMax - firstSeen < CONFIRM_AFTER_MS) return { ...again, firstSeen };
  return { ...again, state: 'empty', firstSeen, recheckAt: again.checkedMax + EMPTY_RECHECK_MS };
};

/** The coverage of a range that was covered before and is learnt about again. */
const judge = (old: Coverage, learnt: Coverage): Omit<Coverage, 'from' | 'to'> => {
  if (old.state === 'suspect' && learnt.state === 'suspect') return seenAgain(old, learnt);
  const [before, after] = [STRENGTH[old.state], STRENGTH[learnt.state]];
  if (after > before) return learnt;
  const weaker = old.source === 'rest' && learnt.source === 'websocket';
  if (after === before) return weaker || learnt.checkedMax < old.checkedMax ? old : learnt;
  // Still no candle where there should be none: the next check can wait as long again.
  if (old.state !== 'known' && old.recheckAt !== null && learnt.checkedMax >= old.recheckAt)
    return { ...old, checkedMax: learnt.checkedMax, recheckAt: learnt.checkedMax + EMPTY_RECHECK_MS };
  return old;
};

const isOneWith = (a: Coverage, b: Coverage): boolean =>
  a.to === b.from &&
  a.state === b.state &&
  a.reason === b.reason &&
  a.source === b.source &&
  (a.recheckAt === null) === (b.recheckAt === null) &&
  (a.state !== 'suspect' || a.recheckAt === b.recheckAt) &&
  Math.max(a.checkedMax, b.checkedMax) - Math.min(a.checkedMin, b.checkedMin) <= COALESCE_WITHIN_MS;

const joinedRecheck = (a: Coverage, b: Coverage): Millis | null =>
  a.recheckAt === null || b.recheckAt === null ? null : Math.min(a.recheckAt, b.recheckAt);

/** Joins neighbours that say the same; `ranges` sorted and disjoint. */
const coalesce = (ranges: readonly Coverage[]): Coverage[] => {
  const joined: Coverage[] = [];
  for (const range of ranges) {
    const last = joined.at(-1);
    if (last === undefined || !isOneWith(last, range)) {
      joined.push(range);
      continue;
    }
    joined[joined.length - 1] = {
      ...last,
      to: range.to,
      checkedMin: Math.min(last.checkedMin, range.checkedMin),
      checkedMax: Math.max(last.checkedMax, range.checkedMax),
      firstSeen: Math.min(last.firstSeen, range.firstSeen),
      recheckAt: joinedRecheck(last, range),
    };
  }
  return joined;
};

/** `known` and what is `learnt`, both sorted and disjoint: known > empty > unavailable > suspect, newer on a tie. */
export const put = (known: readonly Coverage[], learnt: readonly Coverage[]): Coverage[] => {
  const edges = new Set<Millis>();
  for (const { from, to } of [...known, ...learnt]) edges.add(from).add(to);
  const cuts = [...edges].sort((a, b) => a - b);
  const ranges: Coverage[] = [];
  let [oldAt, newAt] = [0, 0];
  for (let index = 0; index + 1 < cuts.length; index += 1) {
    const [from, to] = [cuts[index] ?? 0, cuts[index + 1] ?? 0];
    while ((known[oldAt]?.to ?? Infinity) <= from) oldAt += 1;
    while ((learnt[newAt]?.to ?? Infinity) <= from) newAt += 1;
    const [old, fresh] = [known[oldAt], learnt[newAt]];
    const before = old !== undefined && old.from <= from ? old : undefined;
    const after = fresh !== undefined && fresh.from <= from ? fresh : undefined;
    if (before !== undefined && after !== undefined) ranges.push({ ...judge(before, after), from, to });
    else if (before !== undefined) ranges.push(cutTo(before, from, to));
    else if (after !== undefined) ranges.push(cutTo(after, from, to));
  }
  return coalesce(ranges);
};

/** Has this been asked for and need not be asked for again by `at`? */
const isSettledBy = ({ state, recheckAt }: Coverage, at: Millis): boolean =>
  state === 'known' || recheckAt === null || at < recheckAt;

/** What of `span` the venue is to be asked for at `at`. */
export const missing = (span: Span, ranges: readonly Coverage[], at: Millis): Span[] =>
  subtract(
    span,
    ranges.filter((range) => isSettledBy(range, at)),
  );
