/** Markets by their names: the spelling of the server, and the steps in which prices and amounts move. */
import { signal } from '@preact/signals';
import { dependOn } from './frame.js';
import type { Market } from '../../client/client.js';
import { client } from './server.js';
import { keyOf, type WatchedMarket } from './settings.js';

const LIMIT = 50;

/** In which prices and amounts move; null where that is not known. The same object as long as it is the same. */
export interface Steps {
  readonly price: number | null;
  readonly amount: number | null;
}
const UNKNOWN: Steps = { price: null, amount: null };

const known = new Map<string, Promise<Market | null>>();
/** Counts the markets that have become known: who shows prices reads it. */
const learned = signal(0);
const byKey = new Map<string, Steps>();

const searchFor = async (exchange: string, symbol: string): Promise<Market | null> => {
  const spellings = new Set([symbol, symbol.replaceAll(/[-_]/g, '/')]);
  for (const search of spellings) {
    const { markets } = await client.peek().markets({ exchange, search, limit: LIMIT });
    const found =
      markets.find((market) => market.symbol === search) ??
      markets.find((market) => market.symbol.toLowerCase() === search.toLowerCase());
    if (found !== undefined) return found;
  }
  return null;
};

/** null: the exchange has no such market. Rejects with a ProblemError; a failed look-up is made again with the next call. */
export const findMarket = ({ exchange, symbol }: WatchedMarket): Promise<Market | null> => {
  const key = keyOf({ exchange, symbol });
  const asked = known.get(key);
  if (asked !== undefined) return asked;
  const asking = searchFor(exchange, symbol);
  known.set(key, asking);
  asking.then(
    (market) => {
      if (market === null) return;
      const steps = { price: market.price_step, amount: market.amount_step };
      byKey.set(key, steps).set(keyOf({ exchange, symbol: market.symbol }), steps);
      learned.value += 1;
    },
    () => known.delete(key),
  );
  return asking;
};

/** What is known of a market by now; read within a component, which is drawn again when more is. */
export const stepsOf = (market: WatchedMarket): Steps => {
  dependOn(learned);
  return byKey.get(keyOf(market)) ?? UNKNOWN;
};
