/** The rows of one answer's pages, and what each page proved. */
import type { Candle } from '../../schemas/market.js';
import type { Millis } from '../../schemas/common.js';

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
