/**
 * Requests for pages of candles in one answer: each page is kept with what it proves, a refused one with what would be taken
 * instead, and the length of later pages follows from those that came (OKX gives fewer rows than it promises, CoinEx ignores
 * the start, Gate refuses an old one).
 */
import type { Candle } from '../../schemas/market.js';
import type { Millis } from '../../schemas/common.js';
import { periodEnd, type Interval } from '../../lib/intervals.js';
import { learnInterval } from '../../lib/venue-periods.js';
import {
  oldestKept,
  refusalOf,
  searchBorder,
  type CandlePlan,
  type FetchPage,
  type PageEvidence,
  type PageRefusal,
  type PageTraits,
} from './candle-pages.js';

/** Fewer rows than these don't show how long the venue's periods are. */
export const LEAST_ROWS = 3;
/** Pages that came with fewer rows than asked for are followed by more, up to so many in all. */
const MOST_SHORT_PAGES = 20;
/** Rows from which a short page shows how many the venue gives. */
const TELLING_ROWS = 10;

export interface Range {
  readonly from: Millis;
  readonly to: Millis;
}

type Asked = readonly Candle[] | PageRefusal;
export const isRefusal = (asked: Asked): asked is PageRefusal => 'kind' in asked;

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

export class CandleRequests {
  readonly store = new CandleStore();
  /** Refused as too old. */
  readonly refused: Range[] = [];
  /** Stretches that came empty in the midst of rows, twice. */
  readonly suspect: Range[] = [];
  /** As the rows that came show it. */
  interval: Interval;
  /** Rows to ask for in one page. */
  page: number;
  /** It gives its latest rows whatever start is asked for: only a whole page reaches back to it. */
  wholePages: boolean;
  /** What was proven of the venue's pages. */
  traits: PageTraits = {};
  readonly #plan: CandlePlan;
  readonly #fetchPage: FetchPage;

  constructor(plan: CandlePlan, fetchPage: FetchPage) {
    this.#plan = plan;
    this.#fetchPage = fetchPage;
    this.interval = plan.interval;
    this.page = plan.quirks.candlePage;
    this.wholePages = plan.wholePages === true;
  }

  /** As many pages were asked for as a full answer needs, and `extra` more. */
  isOver(extra: number): boolean {
    const { limit } = this.#plan;
    const { pages } = this.store;
    const full = Math.ceil(limit / this.page);
    const most = Math.max(0, ...pages.map(({ rows }) => rows));
    const short = most < TELLING_ROWS ? full : Math.min(Math.ceil(limit / most), MOST_SHORT_PAGES);
    return pages.length >= Math.max(full, short) + extra;
  }

  /**
   * One page; `since` undefined: the latest rows. A candle is closed if it was when the venue was asked: later its figures
   * would be partial ones.
   */
  async fetch(since: Millis | undefined, limit: number): Promise<readonly Candle[]> {
    const askedAt = this.#plan.now();
    const fetched = await this.#fetchPage({ since, limit });
    const starts = fetched.map(({ timestamp }) => timestamp);
    if (fetched.length >= LEAST_ROWS || this.store.pages.length === 0)
      this.interval = learnInterval(this.#plan.interval, starts);
    const rows = fetched
      .filter(({ timestamp }) => timestamp >= (since ?? 0))
      .map(({ timestamp, open, high, low, close, volume }): Candle => ({
        timestamp,
        open,
        high,
        low,
        close,
        volume,
        closed: periodEnd(this.interval, timestamp) <= askedAt,
      }));
    this.store.add(rows);
    this.store.pages.push({
      ...{ since: since ?? null, limit, askedAt, rows: rows.length },
      outcome: rows.length >= limit ? 'full' : rows.length === 0 ? 'empty' : 'short',
      first: rows[0]?.timestamp ?? null,
      last: rows.at(-1)?.timestamp ?? null,
    });
    return rows;
  }

  /** One page from a start on, or how the venue has refused it. */
  async ask(since: Millis, limit: number): Promise<Asked> {
    const askedAt = this.#plan.now();
    try {
      return await this.fetch(since, limit);
    } catch (thrown) {
      const refusal = refusalOf(thrown);
      if (refusal === null) throw thrown;
      // Refused for its length at the least length: that is no page's fault.
      if (refusal.kind === 'too_many' && this.page <= LEAST_ROWS) throw thrown;
      this.store.pages.push({
        ...{ since, limit, askedAt, outcome: 'refused', rows: 0, first: null, last: null },
      });
      return refusal;
    }
  }

  /** It is proven, not only likely, that a page has no more rows. */
  #givesAtMost(rows: number): void {
    this.page = Math.min(this.page, rows);
    this.traits = { ...this.traits, rows: this.page };
  }

  /** Where to go on after a refusal of the page from `from`. The venue is known to take `taken`. */
  async learnFrom(refusal: PageRefusal, from: Millis, taken: Millis): Promise<Millis> {
    if (refusal.kind === 'too_many') {
      const half = Math.floor(this.page / 2);
      this.#givesAtMost(Math.max(LEAST_ROWS, Math.min(refusal.most ?? half, this.page - 1)));
      return from;
    }
    const { count, unit } = refusal;
    if (count === null) {
      const border = await searchBorder(this.interval, { refused: from, taken }, (start) =>
        this.#isTaken(start),
      );
      this.refused.push({ from, to: border.refusedTo });
      if (border.refusedTo < border.taken) this.suspect.push({ from: border.refusedTo, to: border.taken });
      return border.taken;
    }
    const oldest = oldestKept({ count, unit }, this.interval, this.#plan.now());
    const kept = Math.max(oldest, periodEnd(this.interval, from));
    this.refused.push({ from, to: kept });
    return kept;
  }

  /** Whether the venue takes a start; what it gives from there is not kept. */
  async #isTaken(since: Millis): Promise<boolean> {
    try {
      await this.#fetchPage({ since, limit: LEAST_ROWS });
      return true;
    } catch (thrown) {
      if (refusalOf(thrown)?.kind === 'too_old') return false;
      throw thrown;
    }
  }

  /**
   * Whether a page shows how many rows the venue gives, which is then the length of later pages: it is short and without
   * holes; with holes it may be all that was traded.
   */
  learnPage(rows: readonly Candle[], asked: number): boolean {
    if (rows.length < TELLING_ROWS || rows.length >= asked) return false;
    const isWhole = rows.every(({ timestamp }, index) => {
      const next = rows[index + 1];
      return next === undefined || periodEnd(this.interval, timestamp) === next.timestamp;
    });
    if (isWhole) this.page = Math.min(this.page, rows.length);
    return isWhole;
  }

  /** Rows missing at the head of a page are the venue's only if asking in another way does not bring them. */
  async proveHead(
    from: Millis,
    limit: number,
    { first, count }: { readonly first: Millis; readonly count: number },
  ): Promise<boolean> {
    const short = count < limit;
    if (!short && limit >= this.page) return true;
    const asked = short ? Math.max(count, LEAST_ROWS) : this.page;
    const again = await this.ask(from, asked);
    if (isRefusal(again) || !again.some(({ timestamp }) => timestamp < first)) return true;
    if (short) this.#givesAtMost(asked);
    else {
      this.wholePages = true;
      this.traits = { ...this.traits, latestOnly: true };
    }
    return false;
  }
}
