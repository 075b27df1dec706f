/** Which trades were delivered already, so that each comes once, also after a break. */
import type { Trade } from './types.js';

/** As many as REST gives at once, twice: what one answer may repeat is known. */
const MAX_REMEMBERED = 2000;

/** Trades without an id are told apart by what they say, and by how many say the same. */
const keysOf = (trades: readonly Trade[]): string[] => {
  const alike = new Map<string, number>();
  return trades.map(({ trade_id, timestamp, price, amount, side }) => {
    if (trade_id !== null) return trade_id;
    const text = `${timestamp}|${String(price)}|${String(amount)}|${String(side)}`;
    const count = alike.get(text) ?? 0;
    alike.set(text, count + 1);
    return `${text}|${count}`;
  });
};

const isNumbered = (id: string | null | undefined): id is string =>
  typeof id === 'string' && /^\d{1,15}$/.test(id);

export class TradesMemory {
  readonly #seen = new Set<string>();
  #last: Trade | null = null;

  get isEmpty(): boolean {
    return this.#last === null;
  }

  /** Remembers them all; those that are new are returned, in their order. */
  takeNew(trades: readonly Trade[]): readonly Trade[] {
    const keys = keysOf(trades);
    const fresh = trades.filter((_trade, index) => !this.#seen.has(keys[index] ?? ''));
    for (const key of keys) {
      this.#seen.add(key);
      if (this.#seen.size > MAX_REMEMBERED) this.#seen.delete(this.#seen.values().next().value ?? '');
    }
    this.#last = trades.at(-1) ?? this.#last;
    return fresh;
  }

  /** Does a run of trades that ends now begin no later than what was delivered last? */
  reaches(trades: readonly Trade[]): boolean {
    return keysOf(trades).some((key) => this.#seen.has(key));
  }

  /**
   * How many are missing between the last that was delivered and a run that does not reach it: exact where the venue
   * counts its trades, else at least 1.
   */
  missingBefore(trades: readonly Trade[]): number {
    const [from, to] = [this.#last?.trade_id, trades[0]?.trade_id];
    return isNumbered(from) && isNumbered(to) ? Math.max(1, Number(to) - Number(from) - 1) : 1;
  }
}
