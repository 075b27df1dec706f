/** How a page changes the stored candles: a whole candle replaces a whole candle, the old one becomes a revision. Pure. */
import type { Millis } from '../schemas/common.js';
import type { CandleSource, Coverage } from './coverage.js';
import { put } from './coverage.js';
import type { SettledPage, StoredCandle } from './settle.js';

export interface HeldCandle extends StoredCandle {
  readonly source: CandleSource;
  readonly revised: boolean;
  /** The value went back and forth (A, B, A): it is not replaced any more. */
  readonly disputed: boolean;
}

/** A candle that was replaced. */
export interface Revision extends StoredCandle {
  /** Counts up from 1 for each candle. */
  readonly rev: number;
  readonly source: CandleSource;
  /** When the venue last gave this value; null where that is unknown. */
  readonly seenAt: Millis | null;
  readonly replacedAt: Millis;
  readonly disputed: boolean;
}

export interface Held {
  /** By timestamp: the candles of the page's stretch. */
  readonly candles: ReadonlyMap<Millis, HeldCandle>;
  readonly coverage: readonly Coverage[];
  /** The newest revision of each candle that has one. */
  readonly revisions: ReadonlyMap<Millis, Revision>;
}

export interface Changes {
  readonly upserts: readonly HeldCandle[];
  readonly revisions: readonly Revision[];
  readonly coverage: readonly Coverage[];
  readonly inserted: number;
}

/** A value that returns within this time comes from disagreeing servers of the venue, not from a correction. */
const DISPUTE_WITHIN_MS: Millis = 24 * 3_600_000;
/** Smaller relative differences come from number formatting. */
const SAME_WITHIN = 1e-9;

const sameNumber = (a: number | null, b: number | null): boolean => {
  if (a === null || b === null) return a === b;
  return a === b || Math.abs(a - b) <= SAME_WITHIN * Math.max(Math.abs(a), Math.abs(b));
};

const sameCandle = (a: StoredCandle, b: StoredCandle): boolean =>
  sameNumber(a.open, b.open) &&
  sameNumber(a.high, b.high) &&
  sameNumber(a.low, b.low) &&
  sameNumber(a.close, b.close) &&
  sameNumber(a.volume, b.volume);

const RANK: Readonly<Record<CandleSource, number>> = { websocket: 0, rest: 1 };

const checkOf = (coverage: readonly Coverage[], timestamp: Millis): Coverage | undefined =>
  coverage.find(({ from, to }) => from <= timestamp && timestamp < to);

/** `held` must cover the whole range of the page. */
export const mergePage = (page: SettledPage, held: Held): Changes => {
  const upserts: HeldCandle[] = [];
  const revisions: Revision[] = [];
  let inserted = 0;
  const { source, askedAt } = page;
  for (const row of page.rows) {
    const old = held.candles.get(row.timestamp);
    if (old === undefined) {
      inserted += 1;
      const { timestamp, open, high, low, close, volume } = row;
      upserts.push({ timestamp, open, high, low, close, volume, source, revised: false, disputed: false });
      continue;
    }
    if (old.disputed || RANK[source] < RANK[old.source]) continue;
    if (sameCandle(old, row)) {
      if (old.source !== source) upserts.push({ ...old, source });
      continue;
    }
    const check = checkOf(held.coverage, row.timestamp);
    if (RANK[source] === RANK[old.source] && check !== undefined && askedAt < check.checkedMax) continue;
    const last = held.revisions.get(row.timestamp);
    const disputed =
      last !== undefined && sameCandle(last, row) && askedAt - last.replacedAt <= DISPUTE_WITHIN_MS;
    const { timestamp, open, high, low, close, volume } = old;
    revisions.push({
      ...{ timestamp, open, high, low, close, volume },
      rev: (last?.rev ?? 0) + 1,
      source: old.source,
      seenAt: check?.checkedMax ?? null,
      replacedAt: askedAt,
      disputed,
    });
    upserts.push({ ...row, source, revised: true, disputed });
  }
  return { upserts, revisions, inserted, coverage: put(held.coverage, page.coverage) };
};
