/**
 * Which page of candles is asked for next, forward from a start or back from an end: by what came, not by what was asked
 * for, since an empty page may stand between full ones.
 */
import type { Millis } from '../../schemas/common.js';
import { addPeriods, nextPeriodStart, periodEnd, periodStart, type Interval } from '../../lib/intervals.js';
import { learnInterval } from '../../lib/venue-periods.js';
import type { CandlePlan, FetchPage, PageTraits } from './candle-pages.js';
import { CandleRequests, isRefusal, LEAST_ROWS, type CandleStore, type Range } from './candle-requests.js';

/** Pages beyond those that a full answer needs: forward, where thin markets are searched, and back from the latest. */
const SEARCH_PAGES = 10;
const SPARE_PAGES = 2;
/** Empty pages in the midst of full ones that are asked for once more. */
const MAX_ASKED_AGAIN = 3;

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

export class CandleWalk {
  readonly #plan: CandlePlan;
  readonly #requests: CandleRequests;
  readonly #empty: Range[] = [];
  /** Its pages were seen to begin with the first row there is. */
  #jumps: boolean;

  constructor(plan: CandlePlan, fetchPage: FetchPage) {
    this.#plan = plan;
    this.#requests = new CandleRequests(plan, fetchPage);
    this.#jumps = plan.quirks.emptyPageIsLast;
  }

  get #store(): CandleStore {
    return this.#requests.store;
  }

  get #interval(): Interval {
    return this.#requests.interval;
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
      await this.#requests.ask(since, this.#requests.page);
      return this.#walked({ from: since, to: end() });
    }
    let from = windows ? nextPeriodStart(this.#interval, since) : since;
    let whole = false;
    while (from < end() && this.#store.count(since, from) < limit && !this.#requests.isOver(SEARCH_PAGES)) {
      const missing = Math.max(limit - this.#store.count(since, from), LEAST_ROWS);
      const asked =
        windows || whole || this.#requests.wholePages
          ? this.#requests.page
          : Math.min(this.#requests.page, missing);
      const rows = await this.#requests.ask(from, asked);
      if (isRefusal(rows)) {
        from = await this.#requests.learnFrom(rows, from, periodStart(this.#interval, now()));
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
        this.#jumps = await this.#requests.proveHead(from, asked, {
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
      const asked = Math.min(this.#requests.page, Math.max(limit, LEAST_ROWS));
      const rows = await this.#requests.fetch(
        undefined,
        quirks.onlyLatestCandles && until !== undefined ? this.#requests.page : asked,
      );
      if (!windows) this.#requests.learnPage(rows, asked);
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
      !this.#requests.isOver(SPARE_PAGES)
    ) {
      const missing = Math.max(limit - this.#store.count(0, end), LEAST_ROWS);
      const asked = windows ? this.#requests.page : Math.min(this.#requests.page, missing);
      const from = Math.max(0, addPeriods(this.#interval, nextPeriodStart(this.#interval, frontier), -asked));
      const rows = await this.#requests.ask(from, asked);
      if (isRefusal(rows)) {
        const kept = await this.#requests.learnFrom(rows, from, frontier);
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
      // The oldest of the range came, and not the newest.
      if (!windows && this.#requests.learnPage(rows, asked) && reached < frontier)
        await this.#fill(reached, frontier);
      frontier = windows ? from : first.timestamp;
    }
    await this.#askAgain();
    return this.#walked({ from: isAll() ? 0 : frontier, to: end });
  }

  /** Pages from `from` on until `to`. */
  async #fill(from: Millis, to: Millis): Promise<void> {
    let at = from;
    while (at < to && !this.#requests.isOver(SPARE_PAGES)) {
      const rows = await this.#requests.ask(at, this.#requests.page);
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
      const rows = await this.#requests.ask(
        range.from,
        Math.min(this.#requests.page, Math.max(periods, LEAST_ROWS)),
      );
      if (isRefusal(rows) || rows.length === 0) this.#requests.suspect.push(range);
    }
    this.#requests.suspect.push(...doubtful.slice(MAX_ASKED_AGAIN));
  }

  #walked(asked: Range): Walked {
    const starts = this.#store.list(0, Infinity).map(({ timestamp }) => timestamp);
    return {
      store: this.#store,
      asked,
      refused: this.#requests.refused,
      suspect: this.#requests.suspect,
      interval: learnInterval(this.#plan.interval, starts),
      traits: this.#requests.traits,
    };
  }
}
