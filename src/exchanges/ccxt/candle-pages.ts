/**
 * Pages of candles: which are wanted, how a venue refuses one and what it would take instead, what its pages have shown
 * themselves to be, and the pages as they were given, for a store of candles.
 */
import { AppError } from '../../errors.js';
import {
  addPeriods,
  DAY_MS,
  HOUR_MS,
  nextPeriodStart,
  periodEnd,
  periodStart,
  type Interval,
} from '../../lib/intervals.js';
import type { Millis, UnifiedSymbol } from '../../schemas/common.js';
import type { CandleEvidence, CandlePage, CandleTraits, PageTooOld } from '../exchange-client.js';
import type { CandleRow } from '../normalizer.js';
import type { VenueQuirks } from '../venues/venue-quirks.js';
import { member } from './ccxt-exchange.js';

interface CandleRange {
  readonly interval: Interval;
  /** First candle wanted; undefined: the latest `limit` before `until`. */
  readonly since: Millis | undefined;
  /** Candles that start here or later are not wanted; undefined: up to now. */
  readonly until?: Millis | undefined;
  readonly limit: number;
}

/** One call to the venue: rows sorted and unique. `since` undefined: its latest rows. */
export type FetchPage = (page: {
  readonly since: Millis | undefined;
  readonly limit: number;
}) => Promise<CandleRow[]>;

export interface CandlePlan extends CandleRange {
  readonly quirks: VenueQuirks;
  /** Its pages are known to be the latest rows, whatever start is asked for. */
  readonly wholePages?: boolean;
  /** The venue's clock. */
  readonly now: () => Millis;
}

/** What one page was asked for, and what that proves; plain data. */
export interface PageEvidence {
  /** Start asked for; null: the latest rows. */
  readonly since: Millis | null;
  readonly limit: number;
  /** The venue's clock when it was asked. */
  readonly askedAt: Millis;
  /** `full`: as many rows as asked for; `short`: fewer; `refused`: the venue would not have the request. */
  readonly outcome: 'full' | 'short' | 'empty' | 'refused';
  readonly rows: number;
  /** Starts of the first and last row; null without rows. */
  readonly first: Millis | null;
  readonly last: Millis | null;
}

export interface PageTraits {
  /** Rows a page, where they are fewer than the venue promises. */
  readonly rows?: number | undefined;
  /** It gives its latest rows whatever start is asked for: only a whole page reaches back to it. */
  readonly latestOnly?: true | undefined;
}

/** No venue promises pages and gives fewer rows than these: such a page was a slip, and is not held against it. */
const LEAST_ROWS = 50;

interface Series {
  readonly symbol: UnifiedSymbol;
  readonly interval: string;
}

/** Of one venue: by interval, for spot markets and derivatives apart, which have endpoints of their own. */
export class PageMemory {
  readonly #known = new Map<string, PageTraits>();

  #keyOf({ symbol, interval }: Series): string {
    return `${interval} ${symbol.includes(':') ? 'contract' : 'spot'}`;
  }

  note(series: Series, traits: PageTraits): void {
    const { rows = 0, latestOnly } = traits;
    const proven: PageTraits = {
      ...(rows >= LEAST_ROWS ? { rows } : {}),
      ...(latestOnly === true ? { latestOnly } : {}),
    };
    const key = this.#keyOf(series);
    if (Object.keys(proven).length > 0) this.#known.set(key, { ...this.#known.get(key), ...proven });
  }

  /** The plan as the venue's pages have shown themselves. */
  refine(series: Series, plan: CandlePlan): CandlePlan {
    const traits = this.#known.get(this.#keyOf(series));
    if (traits === undefined) return plan;
    const { rows = Infinity, latestOnly = false } = traits;
    const candlePage = Math.min(plan.quirks.candlePage, rows);
    return { ...plan, quirks: { ...plan.quirks, candlePage }, wholePages: latestOnly };
  }
}

const SEARCHED_LENGTH = 2048;

const TOO_OLD =
  /too (?:long ago|far (?:back|ago)|old|early)|(?:earlier|older) than|(?:points?|candles?|bars?|days?|hours?|months?) ago|out of (?:the )?(?:time )?range|(?:start|from|since|begin)\w*[^"]{0,40}(?:within|exceed|earlier|limit(?:ed)? to|last \d)/i;
const TOO_MANY =
  /(?:too broad|too (?:small|many|large)[^"]{0,60}(?:range|points|candles|records)|aggregations requested exceeds|max(?:imum)? (?:of )?\d+ (?:data )?(?:points|candles|records|rows)|(?:limit|size)[^"]{0,30}(?:exceed|greater|larger|max(?:imum)?)[^"]{0,20}\d)/i;
const KEPT = /(\d{2,7})\s*(?:data )?(points?|candles?|bars?|klines?|records?|days?|hours?|months?)/i;
const NUMBER = /(?:maximum|max|exceeds?|than|most|of)\D{0,12}(\d{2,5})/i;

/** What of a refused page was refused. */
export type PageRefusal =
  /** It begins before what the venue keeps: `count` of `unit`, where it says so. */
  | { readonly kind: 'too_old'; readonly count: number | null; readonly unit: string }
  /** It is longer than the venue gives; `most` where it says so. */
  | { readonly kind: 'too_many'; readonly most: number | null };

/** null: refused for some other reason. */
export const pageRefusalOf = (body: string): PageRefusal | null => {
  const text = body.slice(0, SEARCHED_LENGTH);
  if (TOO_OLD.test(text)) {
    const [, count, unit = ''] = KEPT.exec(text) ?? [];
    return { kind: 'too_old', count: count === undefined ? null : Number(count), unit };
  }
  if (!TOO_MANY.test(text)) return null;
  const most = NUMBER.exec(text)?.[1];
  return { kind: 'too_many', most: most === undefined ? null : Number(most) };
};

const UNIT_MS: ReadonlyMap<string, Millis> = new Map([
  ['hour', HOUR_MS],
  ['day', DAY_MS],
  ['month', 30 * DAY_MS],
]);

/** The first period start that a venue may still give which keeps `count` of `unit`. */
export const oldestKept = (
  { count, unit }: { readonly count: number; readonly unit: string },
  interval: Interval,
  now: Millis,
): Millis => {
  const length = UNIT_MS.get(unit.toLowerCase().replace(/s$/, ''));
  return length === undefined
    ? addPeriods(interval, periodStart(interval, now), 1 - count)
    : addPeriods(interval, periodStart(interval, now - count * length), 1);
};

/** Requests that a search for the oldest start may take: a month of minutes is known to within eleven of them. */
const BORDER_STEPS = 12;

export interface Border {
  /** Starts before this are refused. */
  readonly refusedTo: Millis;
  /** The oldest start that was taken; between the two the venue was not asked. */
  readonly taken: Millis;
}

/**
 * Where a venue begins to give that refused `refused` as too old and does not say how far back it goes: searched by
 * halves up to `taken`, which it is known to take. `isTaken` asks the venue for a start.
 */
export const searchBorder = async (
  interval: Interval,
  { refused, taken }: { readonly refused: Millis; readonly taken: Millis },
  isTaken: (start: Millis) => Promise<boolean>,
): Promise<Border> => {
  const after = (start: Millis): Millis => nextPeriodStart(interval, start + 1);
  let [low, high] = [refused, taken];
  for (let step = 0; step < BORDER_STEPS && after(low) < high; step += 1) {
    const middle = Math.max(after(low), periodStart(interval, low + (high - low) / 2));
    if (await isTaken(middle)) high = middle;
    else low = middle;
  }
  return { refusedTo: Math.min(after(low), high), taken: high };
};

/** Marks a fault as the refusal of a page; its `cause`. */
export class PageRefusedError extends Error {
  override readonly name = 'PageRefusedError';
  readonly refusal: PageRefusal;

  constructor(refusal: PageRefusal, cause: unknown) {
    super('the venue refused this page', { cause });
    this.refusal = refusal;
  }
}

/** null: it failed for some other reason. */
export const refusalOf = (thrown: unknown): PageRefusal | null =>
  thrown instanceof AppError && thrown.cause instanceof PageRefusedError ? thrown.cause.refusal : null;

const FIGURES = 6;

const packed = (rows: readonly CandleRow[]): Float64Array => {
  const figures = new Float64Array(rows.length * FIGURES);
  rows.forEach(({ timestamp, open, high, low, close, volume }, index) => {
    figures.set(
      [timestamp, open ?? NaN, high ?? NaN, low ?? NaN, close ?? NaN, volume ?? NaN],
      index * FIGURES,
    );
  });
  return figures;
};

export const candleTraitsOf = (quirks: VenueQuirks): CandleTraits => ({
  page: quirks.candlePage,
  kind: quirks.onlyLatestCandles ? 'latest' : quirks.candleWindows ? 'window' : 'jump',
  omitsEmpty: quirks.omitsEmptyCandles,
});

/** Where a market's own id stands among CCXT's markets. */
export const marketIdOf = (markets: unknown, symbol: string): string | null => {
  const id = member(member(markets, symbol), 'id');
  return typeof id === 'string' ? id : null;
};

/** null: the page failed for another reason than its age. */
const tooOld = (
  thrown: unknown,
  since: Millis,
  { interval, now }: { readonly interval: Interval; readonly now: Millis },
): PageTooOld | null => {
  const refusal = refusalOf(thrown);
  if (refusal?.kind !== 'too_old') return null;
  const { count, unit } = refusal;
  const next = periodEnd(interval, since);
  if (count === null) return { to: next, told: false };
  return { to: Math.max(next, oldestKept({ count, unit }, interval, now)), told: true };
};

/** `fetchPage`, whose pages are remembered, those too that were refused as too old. `now`: the venue's clock. */
export const rememberPages = (
  fetchPage: FetchPage,
  { interval, now }: { readonly interval: Interval; readonly now: () => Millis },
): { readonly fetchPage: FetchPage; readonly pages: readonly CandlePage[] } => {
  const pages: CandlePage[] = [];
  return {
    pages,
    fetchPage: async (page) => {
      const askedAt = now();
      const asked = { since: page.since ?? null, limit: page.limit, askedAt };
      try {
        const rows = await fetchPage(page);
        pages.push({ ...asked, rows: packed(rows) });
        return rows;
      } catch (thrown) {
        const refused =
          page.since === undefined ? null : tooOld(thrown, page.since, { interval, now: askedAt });
        if (refused !== null) pages.push({ ...asked, rows: packed([]), refused });
        throw thrown;
      }
    },
  };
};

export const evidenceOf = (
  quirks: VenueQuirks,
  marketId: string | null,
  pages: readonly CandlePage[],
): CandleEvidence => ({ marketId, traits: candleTraitsOf(quirks), pages });
