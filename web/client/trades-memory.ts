/** Which trades were delivered already, so that each comes once, and how many are missing before others. */
import type { Trade } from './types.js';

/** As many as REST gives at once, twice: what one answer may repeat is known. */
const MAX_REMEMBERED = 2000;

const idOf = ({ trade_id }: Trade): number | null =>
  trade_id !== null && /^\d{1,15}$/.test(trade_id) ? Number(trade_id) : null;

const keyOf = ({ trade_id, timestamp, price, amount, side }: Trade): string =>
  trade_id ?? [timestamp, price, amount, side].join('|');

const areConsecutive = (trades: readonly Trade[]): boolean => {
  const ids = trades.map(idOf).sort((a, b) => Number(a) - Number(b));
  return ids.every((id, index) => id !== null && (index === 0 || id - (ids[index - 1] ?? 0) === 1));
};

export class TradesMemory {
  /** By id, or by what a trade without one says; how many say it. */
  readonly #known = new Map<string, number>();
  /** Infinity while no trade had a number. */
  #lastId = Infinity;
  #lastAt = -Infinity;
  /** The latest event counted its trades without a hole. */
  #consecutive = false;
  /** The venue's own list has holes in its numbers: they say nothing. */
  #sparse = false;

  get isEmpty(): boolean {
    return this.#known.size === 0;
  }

  /** The numbers of trades tell what is missing. */
  get isNumbered(): boolean {
    return this.#consecutive && !this.#sparse;
  }

  /**
   * Remembers them all; those that are new are returned, in their order. Only where `overlap` says that they may repeat
   * earlier ones, a trade without an id is told from its like by its values.
   */
  takeNew(trades: readonly Trade[], overlap: boolean): readonly Trade[] {
    if (trades.length > 1) this.#consecutive = areConsecutive(trades);
    return this.#take(trades, overlap);
  }

  /**
   * Of the venue's own list: what is new behind what is known, or else behind the time of the newest that is known; and how
   * many are missing before them.
   */
  takeListed(trades: readonly Trade[]): { readonly fresh: readonly Trade[]; readonly missing: number } {
    if (trades.length > 1) this.#sparse = !areConsecutive(trades);
    const begin = trades.findIndex((trade) => this.#known.has(keyOf(trade)));
    const at = this.#lastAt;
    const rest = begin === -1 ? trades.filter(({ timestamp }) => timestamp >= at) : trades.slice(begin);
    const missing = begin === -1 ? this.missingBefore(rest, true) : 0;
    const fresh = this.#take(rest, true);
    return { fresh, missing };
  }

  /** Is one of them known? */
  meets(trades: readonly Trade[]): boolean {
    return trades.some((trade) => this.#known.has(keyOf(trade)));
  }

  /**
   * How many are missing between what is known and these: exact where the venue numbers its trades. Else at least 1, if
   * `doubt` says that something may be missing and none of them is known.
   */
  missingBefore(trades: readonly Trade[], doubt: boolean): number {
    if (this.isEmpty || trades.length === 0) return 0;
    const last = this.#lastId;
    const ahead = trades.map(idOf).filter((id) => Number(id) > last) as number[];
    if (this.isNumbered && ahead.length > 0) return Math.min(...ahead) - last - 1;
    return doubt && !this.meets(trades) ? 1 : 0;
  }

  #take(trades: readonly Trade[], overlap: boolean): readonly Trade[] {
    const known = new Map(trades.map(keyOf).map((key) => [key, this.#known.get(key) ?? 0]));
    return trades.filter((trade) => {
      const key = keyOf(trade);
      const left = known.get(key) ?? 0;
      const hasId = trade.trade_id !== null;
      known.set(key, hasId ? 1 : left - 1);
      return (left <= 0 || (!hasId && !overlap)) && this.#remember(key, trade);
    });
  }

  #remember(key: string, trade: Trade): true {
    this.#known.set(key, (this.#known.get(key) ?? 0) + 1);
    const id = idOf(trade);
    if (id !== null) this.#lastId = this.#lastId === Infinity ? id : Math.max(this.#lastId, id);
    this.#lastAt = Math.max(this.#lastAt, trade.timestamp);
    if (this.#known.size > MAX_REMEMBERED) this.#known.delete(this.#known.keys().next().value ?? '');
    return true;
  }
}
