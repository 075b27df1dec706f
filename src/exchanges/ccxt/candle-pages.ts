/**
 * Pages of candles: which are wanted, what an answer's pages held and proved, what a venue's pages have shown themselves to
 * be, and the pages as they were given, for a store of candles.
 */
import { periodEnd, type Interval } from '../../lib/intervals.js';
import type { Millis, UnifiedSymbol } from '../../schemas/common.js';
import type { Candle } from '../../schemas/market.js';
import type { CandleEvidence, CandlePage, CandleTraits, PageTooOld } from '../exchange-client.js';
import type { CandleRow } from '../normalizer.js';
import type { VenueQuirks } from '../venues/venue-quirks.js';
import { oldestKept, refusalOf } from './out-of-history.js';
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

export class CandleStore {
  readonly #rows = new Map<Millis, Candle>();
  /** Of two rows that stood side by side in one page: from the start of the first to that of the second. */
  readonly #following = new Map<Millis, Millis>();
  readonly pages: PageEvidence[] = [];

  /** The earlier page wins: a row that was open then says so. */
  add(rows: readonly Candle[]): void {
    rows.forEach((row, index) => {
      const { timestamp } = row;
      if (!this.#rows.has(timestamp)) this.#rows.set(timestamp, row);
      const next = rows[index + 1]?.timestamp;
      const known = this.#following.get(timestamp) ?? Infinity;
      if (next !== undefined && next < known) this.#following.set(timestamp, next);
    });
  }

  has(start: Millis): boolean {
    return this.#rows.has(start);
  }

  /** One page had both rows and nothing between them. */
  isProven(start: Millis, next: Millis): boolean {
    return this.#following.get(start) === next;
  }

  /** Rows that start within [from, to). */
  count(from: Millis, to: Millis): number {
    let count = 0;
    for (const start of this.#rows.keys()) if (start >= from && start < to) count += 1;
    return count;
  }

  /** Oldest first, within [from, to). */
  list(from: Millis, to: Millis): Candle[] {
    return [...this.#rows.values()]
      .filter(({ timestamp }) => timestamp >= from && timestamp < to)
      .sort((a, b) => a.timestamp - b.timestamp);
  }
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
