/** CoinMarketCap's ids of currencies. A code such as `UNI` may belong to several; the id is one coin's alone. */
import type { z } from 'zod';
import { AppError } from '../errors.js';
import type { Millis } from '../schemas/common.js';
import type { mapAnswer } from './answers.js';
import { leastRecent } from '../cache/least-recent.js';

const HOUR = 3_600_000;
/** Ids never change; which coin a code means best, seldom. */
const REMEMBER_MS = 24 * HOUR;
const REMEMBER_UNKNOWN_MS = HOUR;
const MAX_REMEMBERED = 5_000;

type Coin = z.output<typeof mapAnswer>['data'][number];

const byRankThenName = (a: Coin, b: Coin): number =>
  (a.rank ?? Infinity) - (b.rank ?? Infinity) || (a.name < b.name ? -1 : a.name > b.name ? 1 : a.id - b.id);

/** The coin that a code means: the best ranked active one, then by name, then by id; always the same one. */
export const chooseCoin = (coins: readonly Coin[], code: string): Coin | undefined =>
  coins
    .filter(({ symbol, is_active }) => symbol.toUpperCase() === code && is_active !== 0)
    // Infinity less Infinity is NaN, which sorts like "equal": unranked coins go on to their names.
    .toSorted((a, b) => byRankThenName(a, b))[0];

export interface CurrencyIds {
  /** Rejects with AppError `symbol_not_found`, or as `load` does. */
  idOf(code: string, load: () => Promise<readonly Coin[]>): Promise<number>;
}

export const createCurrencyIds = (now: () => Millis): CurrencyIds => {
  const remembered = leastRecent<{ readonly id: number | null; readonly until: Millis }>(MAX_REMEMBERED);
  return {
    async idOf(code, load) {
      let known = remembered.get(code);
      if (known === undefined || now() >= known.until) {
        const id = chooseCoin(await load(), code)?.id ?? null;
        known = { id, until: now() + (id === null ? REMEMBER_UNKNOWN_MS : REMEMBER_MS) };
        remembered.set(code, known);
      }
      if (known.id === null) throw new AppError('symbol_not_found', `CoinMarketCap does not know ${code}.`);
      return known.id;
    },
  };
};
