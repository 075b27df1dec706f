/**
 * Pages of candles, walked by what came and not by what was asked for: venues give fewer rows than they promise (OKX),
 * ignore the start (CoinEx), refuse an old one (Gate), or give an empty page between full ones.
 */
import type { Candle } from '../../schemas/market.js';
import type { Millis } from '../../schemas/common.js';
import { addPeriods, nextPeriodStart, periodEnd, periodStart, type Interval } from '../../lib/intervals.js';
import { CandleStore, type CandlePlan, type FetchPage, type PageTraits } from './candle-pages.js';
import { oldestKept, refusalOf, searchBorder, type PageRefusal } from './out-of-history.js';
import { learnInterval } from '../../lib/venue-periods.js';

/** Fewer rows than these don't show how long the venue's periods are. */
const LEAST_ROWS = 3;
/** Pages beyond those that a full answer needs: forward, where thin markets are searched, and back from the latest. */
const SEARCH_PAGES = 10;
const SPARE_PAGES = 2;
/** Empty pages in the midst of full ones that are asked for once more. */
const MAX_ASKED_AGAIN = 3;
/** Pages that came with fewer rows than asked for are followed by more, up to so many in all. */
const MOST_SHORT_PAGES = 20;
/** Rows from which a short page shows how many the venue gives. */
const TELLING_ROWS = 10;

export interface Range {
  readonly from: Millis;
  readonly to: Millis;
}

export interface Walked {
  readonly store: CandleStore;
  /** The venue was asked about all of it. */
  readonly asked: Range;
  /** Refused as too old. */
  readonly refused: readonly Range[];
  /** Stretches that came empty in the midst of rows, twice. */
  readonly suspect: readonly Range[];
  readonly interval: Interval;
  /** What was proven of the venue's pages. */
  readonly traits: PageTraits;
}

type Asked = readonly Candle[] | PageRefusal;
const isRefusal = (asked: Asked): asked is PageRefusal => 'kind' in asked;

export class CandleWalk {
  readonly #plan: CandlePlan;
  readonly #fetchPage: FetchPage;
  readonly #store = new CandleStore();
  readonly #refused: Range[] = [];
  readonly #empty: Range[] = [];
  readonly #suspect: Range[] = [];
  #interval: Interval;
  #page: number;
  /** It gives its latest rows whatever start is asked for: only a whole page reaches back to it. */
  #wholePages: boolean;
  #traits: PageTraits = {};
  /** Its pages were seen to begin with the first row there is. */
  #jumps = false;

  constructor(plan: CandlePlan, fetchPage: FetchPage) {
    this.#plan = plan;
    this.#fetchPage = fetchPage;
    this.#interval = plan.interval;
    this.#page = plan.quirks.candlePage;
    this.#wholePages = plan.wholePages === true;
    this.#jumps = plan.quirks.emptyPageIsLast;
  }

  #isOver(spare: number): boolean {
    const { limit } = this.#plan;
    const { pages } = this.#store;
    const full = Math.ceil(limit / this.#page);
    const most = Math.max(0, ...pages.map(({ rows }) => rows));
    const short = most < TELLING_ROWS ? full : Math.min(Math.ceil(limit / most), MOST_SHORT_PAGES);
    return pages.length >= Math.max(full, short) + spare;
  }

  /**
   * One page; `since` undefined: the latest rows. A candle is closed if it was when the venue was asked: later its figures
   * would be partial ones.
   */
  async #fetch(since: Millis | undefined, limit: number): Promise<readonly Candle[]> {
    const askedAt = this.#plan.now();
    const fetched = await this.#fetchPage({ since, limit });
    const starts = fetched.map(({ timestamp }) => timestamp);
    if (fetched.length >= LEAST_ROWS || this.#store.pages.length === 0)
      this.#interval = learnInterval(this.#plan.interval, starts);
    const rows = fetched
      .filter(({ timestamp }) => timestamp >= (since ?? 0))
      .map(({ timestamp, open, high, low, close, volume }): Candle => ({
        timestamp,
        open,
        high,
        low,
        close,
        volume,
        closed: periodEnd(this.#interval, timestamp) <= askedAt,
      }));
    this.#store.add(rows);
    this.#store.pages.push({
      ...{ since: since ?? null, limit, askedAt, rows: rows.length },
      outcome: rows.length >= limit ? 'full' : rows.length === 0 ? 'empty' : 'short',
      first: rows[0]?.timestamp ?? null,
      last: rows.at(-1)?.timestamp ?? null,
    });
    return rows;
  }

  /** One page from a start on, or how the venue has refused it. */
  async #ask(since: Millis, limit: number): Promise<Asked> {
    const askedAt = this.#plan.now();
    try {
      return await this.#fetch(since, limit);
    } catch (thrown) {
      const refusal = refusalOf(thrown);
      if (refusal === null) throw thrown;
      // Refused for its length at the least length: that is no page's fault.
      if (refusal.kind === 'too_many' && this.#page <= LEAST_ROWS) throw thrown;
      this.#store.pages.push({
        ...{ since, limit, askedAt, outcome: 'refused', rows: 0, first: null, last: null },
      });
      return refusal;
    }
  }

  /** It is proven, not only likely, that a page has no more rows. */
  #givesAtMost(rows: number): void {
    this.#page = Math.min(this.#page, rows);
    this.#traits = { ...this.#traits, rows: this.#page };
  }

  /** Where to go on after a refusal of the page from `from`. The venue is known to take `taken`. */
  async #learnFrom(refusal: PageRefusal, from: Millis, taken: Millis): Promise<Millis> {
    if (refusal.kind === 'too_many') {
      const half = Math.floor(this.#page / 2);
      this.#givesAtMost(Math.max(LEAST_ROWS, Math.min(refusal.most ?? half, this.#page - 1)));
      return from;
    }
    const { count, unit } = refusal;
    if (count === null) {
      const border = await searchBorder(this.#interval, { refused: from, taken }, (start) =>
        this.#isTaken(start),
      );
      this.#refused.push({ from, to: border.refusedTo });
      if (border.refusedTo < border.taken) this.#suspect.push({ from: border.refusedTo, to: border.taken });
      return border.taken;
    }
    const oldest = oldestKept({ count, unit }, this.#interval, this.#plan.now());
    const kept = Math.max(oldest, periodEnd(this.#interval, from));
    this.#refused.push({ from, to: kept });
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

  /** A short page without holes has as many rows as the venue gives; with holes it may be all that was traded. */
  #showsPage(rows: readonly Candle[], asked: number): boolean {
    if (rows.length < TELLING_ROWS || rows.length >= asked) return false;
    return rows.every(({ timestamp }, index) => {
      const next = rows[index + 1];
      return next === undefined || periodEnd(this.#interval, timestamp) === next.timestamp;
    });
  }

  /** Rows missing at the head of a page are the venue's only if asking in another way does not bring them. */
  async #proveHead(
    from: Millis,
    limit: number,
    { first, count }: { readonly first: Millis; readonly count: number },
  ): Promise<boolean> {
    const short = count < limit;
    if (!short && limit >= this.#page) return true;
    const asked = short ? Math.max(count, LEAST_ROWS) : this.#page;
    const again = await this.#ask(from, asked);
    if (isRefusal(again) || !again.some(({ timestamp }) => timestamp < first)) return true;
    if (short) this.#givesAtMost(asked);
    else {
      this.#wholePages = true;
      this.#traits = { ...this.#traits, latestOnly: true };
    }
    return false;
  }

  /**
   * Where the next window begins: behind this one, or with its last row where the window is not full, so that one page
   * has the rows on both sides of a hole at the seam.
   */
  #nextWindow(
    { from, asked, count }: { readonly from: Millis; readonly asked: number; readonly count: number },
    last: Millis,
    end: Millis,
  ): Millis {
    const behind = Math.max(addPeriods(this.#interval, from, asked), from + 1);
    return count < asked && behind < end && last > from ? last : this.#over(behind);
  }

  /** Over rows that are known already. */
  #over(from: Millis): Millis {
    let at = from;
    while (this.#store.has(at)) at = periodEnd(this.#interval, at);
    return at;
  }

  async forward(since: Millis, until: Millis): Promise<Walked> {
    const { limit, quirks, now } = this.#plan;
    const windows = quirks.candleWindows;
    const end = (): Millis => Math.min(until, now() + 1);
    if (quirks.onlyLatestCandles) {
      await this.#ask(since, this.#page);
      return this.#walked({ from: since, to: end() });
    }
    let from = windows ? nextPeriodStart(this.#interval, since) : since;
    let whole = false;
    while (from < end() && this.#store.count(since, from) < limit && !this.#isOver(SEARCH_PAGES)) {
      const missing = Math.max(limit - this.#store.count(since, from), LEAST_ROWS);
      const asked = windows || whole || this.#wholePages ? this.#page : Math.min(this.#page, missing);
      const rows = await this.#ask(from, asked);
      if (isRefusal(rows)) {
        from = await this.#learnFrom(rows, from, periodStart(this.#interval, now()));
        continue;
      }
      const [first] = rows;
      const last = rows.at(-1);
      if (first === undefined || last === undefined) {
        const isLast = quirks.emptyPageIsLast && this.#store.count(since, from) === 0;
        const to = isLast ? end() : addPeriods(this.#interval, from, asked);
        this.#empty.push({ from, to });
        from = to;
        whole = true;
        continue;
      }
      whole = false;
      const isHeadMissing = first.timestamp > nextPeriodStart(this.#interval, from);
      if (!windows && isHeadMissing && !this.#jumps) {
        this.#jumps = await this.#proveHead(from, asked, {
          first: first.timestamp,
          count: rows.length,
        });
        if (!this.#jumps) {
          from = this.#over(nextPeriodStart(this.#interval, from));
          continue;
        }
      }
      const reached = periodEnd(this.#interval, last.timestamp);
      from = windows
        ? this.#nextWindow({ from, asked, count: rows.length }, last.timestamp, end())
        : this.#over(reached);
    }
    await this.#askAgain();
    return this.#walked({ from: since, to: from });
  }

  /** The latest `limit` before `until`, or before now where that is undefined. */
  async backward(until: Millis | undefined): Promise<Walked> {
    const { limit, quirks, now } = this.#plan;
    const windows = quirks.candleWindows;
    const end = until ?? Infinity;
    let frontier = until ?? addPeriods(this.#interval, periodStart(this.#interval, now()), 1);
    if (until === undefined || quirks.onlyLatestCandles) {
      const asked = Math.min(this.#page, Math.max(limit, LEAST_ROWS));
      const rows = await this.#fetch(
        undefined,
        quirks.onlyLatestCandles && until !== undefined ? this.#page : asked,
      );
      if (!windows && this.#showsPage(rows, asked)) this.#page = rows.length;
      frontier = rows[0]?.timestamp ?? frontier;
      if (rows.length === 0 || quirks.onlyLatestCandles) return this.#walked({ from: 0, to: end });
    }
    let empties = 0;
    /** Nothing lies before the frontier. */
    const isAll = (): boolean => frontier <= 0 || (empties > 0 && !quirks.omitsEmptyCandles);
    while (
      !isAll() &&
      this.#store.count(0, end) < limit &&
      empties < SPARE_PAGES &&
      !this.#isOver(SPARE_PAGES)
    ) {
      const missing = Math.max(limit - this.#store.count(0, end), LEAST_ROWS);
      const asked = windows ? this.#page : Math.min(this.#page, missing);
      const from = Math.max(0, addPeriods(this.#interval, nextPeriodStart(this.#interval, frontier), -asked));
      const rows = await this.#ask(from, asked);
      if (isRefusal(rows)) {
        const kept = await this.#learnFrom(rows, from, frontier);
        if (rows.kind === 'too_many') continue;
        if (kept < frontier) await this.#fill(kept, frontier);
        frontier = 0;
        break;
      }
      const older = rows.filter(({ timestamp }) => timestamp < frontier);
      const [first] = older;
      const last = older.at(-1);
      if (first === undefined || last === undefined) {
        this.#empty.push({ from, to: frontier });
        empties += 1;
        frontier = from;
        continue;
      }
      empties = 0;
      const reached = periodEnd(this.#interval, last.timestamp);
      if (!windows && this.#showsPage(rows, asked)) {
        this.#page = Math.min(this.#page, rows.length);
        // The oldest of the range came, and not the newest.
        if (reached < frontier) await this.#fill(reached, frontier);
      }
      frontier = windows ? from : first.timestamp;
    }
    await this.#askAgain();
    return this.#walked({ from: isAll() ? 0 : frontier, to: end });
  }

  /** Pages from `from` on until `to`. */
  async #fill(from: Millis, to: Millis): Promise<void> {
    let at = from;
    while (at < to && !this.#isOver(SPARE_PAGES)) {
      const rows = await this.#ask(at, this.#page);
      const last = isRefusal(rows) ? undefined : rows.at(-1);
      if (last === undefined) break;
      at = Math.max(at + 1, periodEnd(this.#interval, last.timestamp));
    }
  }

  /** An empty page next to rows is more likely a slip of the venue than a market that was quiet exactly that long. */
  async #askAgain(): Promise<void> {
    const { now } = this.#plan;
    const touches = ({ from, to }: Range): boolean =>
      this.#store.has(addPeriods(this.#interval, from, -1)) || this.#store.has(to);
    const doubtful = this.#empty.filter((range) => range.to <= now() && touches(range));
    for (const range of doubtful.slice(0, MAX_ASKED_AGAIN)) {
      const periods = Math.round((range.to - range.from) / this.#interval.ms);
      const rows = await this.#ask(range.from, Math.min(this.#page, Math.max(periods, LEAST_ROWS)));
      if (isRefusal(rows) || rows.length === 0) this.#suspect.push(range);
    }
    this.#suspect.push(...doubtful.slice(MAX_ASKED_AGAIN));
  }

  #walked(asked: Range): Walked {
    const starts = this.#store.list(0, Infinity).map(({ timestamp }) => timestamp);
    return {
      store: this.#store,
      asked,
      refused: this.#refused,
      suspect: this.#suspect,
      interval: learnInterval(this.#plan.interval, starts),
      traits: this.#traits,
    };
  }
}
