/** What a venue's page proves: which candles are settled, and the coverage of periods without a candle. Pure. */
import type { Candle } from '../schemas/market.js';
import type { ExchangeId, Millis, UnifiedSymbol } from '../schemas/common.js';
import {
  addPeriods,
  alignedTo,
  nextPeriodStart,
  parseInterval,
  periodEnd,
  periodStart,
  type Interval,
} from '../lib/intervals.js';
import {
  EMPTY_RECHECK_MS,
  SUSPECT_RECHECK_MS,
  type CandleSource,
  type Coverage,
  type CoverageState,
} from './coverage.js';

export interface SeriesName {
  readonly exchange: ExchangeId;
  readonly symbol: UnifiedSymbol;
  readonly interval: string;
}

/**
 * How a venue answers `since`. window: it gives [since, since + limit), even where that is empty. jump: it begins with the
 * first candle at or after `since`, however far away. latest: always its latest candles, whatever is asked.
 */
type PageKind = 'window' | 'jump' | 'latest';

/** One page as it came. Plain data. */
export interface PageEvidence extends SeriesName {
  /** The venue's own id of the market; null where it is not known. */
  readonly marketId: string | null;
  readonly source: CandleSource;
  readonly kind: PageKind;
  /** The venue leaves out periods without trades. */
  readonly omitsEmpty: boolean;
  /** First period asked for; null: the latest. */
  readonly since: Millis | null;
  /** Candles asked for. */
  readonly limit: number;
  /** Candles that the venue gives a request; of one that gives its latest only, how many it keeps. */
  readonly pageSize: number;
  /** The venue's clock when it was asked. */
  readonly askedAt: Millis;
  /** Anchor of the series, if known; used for a page without a candle. */
  readonly anchor?: Millis | null | undefined;
  /**
   * The venue refused the page as too old: nothing that starts before `to` is to be had. `told`: the venue said so; else no
   * more is known than that it does not take the page's own start.
   */
  readonly refused?: { readonly to: Millis; readonly told: boolean } | undefined;
  /** Sorted, each period once. */
  readonly rows: readonly Omit<Candle, 'closed'>[];
}

export type StoredCandle = Omit<Candle, 'closed'>;

/** What of a page is to be kept. */
export interface SettledPage extends SeriesName {
  readonly marketId: string | null;
  readonly source: CandleSource;
  /** Anchor: start of a period modulo the interval's length; 0 for months; null for a page without candles. */
  readonly anchor: Millis | null;
  readonly askedAt: Millis;
  readonly rows: readonly StoredCandle[];
  readonly coverage: readonly Coverage[];
}

/** Start of a period modulo the interval: days that begin at 16:00 UTC have another one than days from midnight. */
export const anchorOf = (interval: Interval, start: Millis): Millis => {
  if (interval.months > 0) return 0;
  return (((start - interval.origin) % interval.ms) + interval.ms) % interval.ms;
};

/** The interval with its periods laid as a series of this anchor has them. */
export const anchored = (interval: Interval, anchor: Millis): Interval =>
  interval.months > 0 ? interval : alignedTo(interval, interval.origin + anchor);

/** Periods of another length than the interval's name (days of 25 hours) do not fit a fixed grid. */
const onGrid = (interval: Interval, rows: readonly StoredCandle[]): boolean =>
  rows.every(({ timestamp }) => periodStart(interval, timestamp) === timestamp);

const UNCONFIRMED = { state: 'suspect', reason: 'unconfirmed' } as const;
const BEFORE_FIRST = { state: 'unavailable', reason: 'before_first_candle' } as const;
const KEPT_LATEST = { state: 'unavailable', reason: 'older_than_exchange_keeps' } as const;

interface Claims {
  readonly interval: Interval;
  readonly page: PageEvidence;
  /** End of the settled time: the page proves nothing after it. */
  readonly end: Millis;
}

type Claim = (from: Millis, to: Millis, what: { state: CoverageState; reason: string | null }) => void;

const collector = ({ page, end }: Claims) => {
  const coverage: Coverage[] = [];
  const { askedAt, source } = page;
  const recheck = (state: CoverageState, reason: string | null): Millis | null => {
    if (state === 'suspect') return askedAt + SUSPECT_RECHECK_MS;
    return state === 'empty' || reason === BEFORE_FIRST.reason ? askedAt + EMPTY_RECHECK_MS : null;
  };
  const claim: Claim = (from, to, { state, reason }) => {
    const stop = Math.min(to, end);
    if (from >= stop) return;
    const last = coverage.at(-1);
    if (last?.to === from && last.state === state && last.reason === reason) {
      coverage[coverage.length - 1] = { ...last, to: stop };
      return;
    }
    coverage.push({
      from,
      to: stop,
      state,
      reason,
      source,
      checkedMin: askedAt,
      checkedMax: askedAt,
      firstSeen: askedAt,
      recheckAt: recheck(state, reason),
    });
  };
  return { coverage, claim };
};

/** What the page says of the time before its first candle, or of all of it where it is empty. */
const claimBefore = (claims: Claims, claim: Claim, first: Millis | undefined): void => {
  const { interval, page } = claims;
  const { kind, since, limit, pageSize, askedAt, rows } = page;
  if (since === null) return;
  const from = nextPeriodStart(interval, since);
  const windowEnd = addPeriods(interval, from, limit);
  if (page.refused !== undefined) {
    claim(from, page.refused.to, KEPT_LATEST);
    return;
  }
  if (kind === 'latest') {
    if (first === undefined) {
      claim(from, claims.end, UNCONFIRMED);
      return;
    }
    // The venue keeps candles back to this time; a hole after it is judged separately. It may have answered a period later
    // than it was asked: its latest candle tells.
    const latest = Math.max(periodStart(interval, askedAt), rows.at(-1)?.timestamp ?? 0);
    const kept = addPeriods(interval, latest, 1 - pageSize);
    claim(from, Math.min(first, kept), KEPT_LATEST);
    claim(Math.max(from, kept), first, UNCONFIRMED);
    return;
  }
  // It was asked for more than a page earlier and went on to its first candle: so far there is none.
  const before = kind === 'jump' && first !== undefined && first >= addPeriods(interval, from, pageSize);
  claim(from, first ?? windowEnd, before ? BEFORE_FIRST : UNCONFIRMED);
};

const claimRows = (claims: Claims, claim: Claim): void => {
  const { interval, page } = claims;
  const { rows, kind, since, limit, omitsEmpty } = page;
  const hole = { state: 'empty', reason: omitsEmpty ? 'no_trades' : 'not_available_from_exchange' } as const;
  rows.forEach(({ timestamp }, index) => {
    const end = periodEnd(interval, timestamp);
    claim(timestamp, end, { state: 'known', reason: null });
    const next = rows[index + 1]?.timestamp;
    if (next !== undefined) claim(end, next, hole);
    else if (kind === 'window' && since !== null)
      claim(end, addPeriods(interval, nextPeriodStart(interval, since), limit), UNCONFIRMED);
  });
};

/**
 * A candle is settled `settleMs` after the end of its period, by the venue's clock: some are corrected right after it.
 * null: nothing can be kept of the page.
 */
export const settlePage = (page: PageEvidence, settleMs: Millis): SettledPage | null => {
  const parsed = parseInterval(page.interval);
  if (parsed === undefined) return null;
  const { exchange, symbol, marketId, source, askedAt, rows } = page;
  const first = rows[0]?.timestamp;
  const anchor = first === undefined ? (page.anchor ?? null) : anchorOf(parsed, first);
  const interval = anchored(parsed, anchor ?? 0);
  if (!onGrid(interval, rows)) return null;
  const claims: Claims = { interval, page, end: periodStart(interval, askedAt - settleMs) };
  const { coverage, claim } = collector(claims);
  claimBefore(claims, claim, first);
  claimRows(claims, claim);
  const settled = rows
    .filter(({ timestamp }) => timestamp < claims.end)
    .map(({ timestamp, open, high, low, close, volume }) => ({ timestamp, open, high, low, close, volume }));
  if (coverage.length === 0) return null;
  return {
    exchange,
    symbol,
    interval: page.interval,
    marketId,
    source,
    anchor,
    askedAt,
    rows: settled,
    coverage,
  };
};
