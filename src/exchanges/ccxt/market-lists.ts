/**
 * A venue's markets as CCXT loads them, made safe: one list of several that fails costs its own markets only, and two
 * markets under one unified symbol are told apart.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { AppError } from '../../errors.js';
import { type CcxtExchange, type Table, isMethod, isTable, member } from './ccxt-exchange.js';
import type { AmbiguousSymbols } from './symbol-search.js';

/** What went wrong in one load, while the rest of it went on. */
interface Load {
  readonly failed: AppError[];
}

const loads = new AsyncLocalStorage<Load>();

/**
 * Faults that say nothing of a single list: our own refusals, and the venue's refusal of any request. The list that was
 * asked for is not known to be empty then, and neither are the others.
 */
const OF_ALL_LISTS = new Set<string>([
  'upstream_rate_limited',
  'upstream_budget_exhausted',
  'overloaded',
  'shutting_down',
  'internal_error',
]);

/**
 * The answer to take in a failed one's place: an empty one, in which CCXT finds no markets. undefined: the load fails.
 * Requests outside of `loadTolerantly` always fail.
 */
export const inPlaceOf = (thrown: unknown, isNeeded: boolean): unknown => {
  const load = loads.getStore();
  if (load === undefined || isNeeded || !(thrown instanceof AppError)) return undefined;
  if (OF_ALL_LISTS.has(thrown.code)) return undefined;
  load.failed.push(thrown);
  return {};
};

/** Makes a method of CCXT's that loads one list answer none where it would throw for an empty one. */
export const tolerateEmptyLists = (ccxt: CcxtExchange, method: string): void => {
  const original: unknown = Reflect.get(ccxt, method);
  if (!isMethod(original)) return;
  Reflect.set(ccxt, method, async (...args: readonly unknown[]) => {
    try {
      return await original.apply(ccxt, [...args]);
    } catch (thrown) {
      if (thrown instanceof AppError || loads.getStore() === undefined) throw thrown;
      return [];
    }
  });
};

/** Loads CCXT's markets. The first fault of a list that failed, else null; rejects where no list came. */
export const loadTolerantly = async (ccxt: CcxtExchange): Promise<AppError | null> => {
  const load: Load = { failed: [] };
  try {
    await loads.run(load, () => ccxt.loadMarkets());
  } catch (thrown) {
    // CCXT fell over an empty answer: what emptied it is the reason.
    throw load.failed[0] ?? thrown;
  }
  const isEmpty = !isTable(ccxt.markets) || Object.keys(ccxt.markets).length === 0;
  if (isEmpty && load.failed[0] !== undefined) throw load.failed[0];
  return load.failed[0] ?? null;
};

const idOf = (market: unknown): string => {
  const id = member(market, 'id');
  return typeof id === 'string' ? id : '';
};

const listedMarkets = (ccxt: CcxtExchange): Table[] => {
  const byId: unknown = ccxt.markets_by_id;
  return (isTable(byId) ? Object.values(byId) : []).flat().filter(isTable);
};

/**
 * CCXT keeps the last of several markets with one unified symbol. Here each gets its own id as symbol, so that all can
 * be asked for and none answers for another; where only one is traded, it keeps the unified symbol. Returns the shared
 * symbols with what their markets are now called.
 */
export const tellApart = (ccxt: CcxtExchange): AmbiguousSymbols => {
  const groups = new Map<string, Map<string, Table>>();
  for (const market of listedMarkets(ccxt)) {
    const { symbol } = market;
    if (typeof symbol !== 'string' || idOf(market) === '') continue;
    const group = groups.get(symbol) ?? new Map<string, Table>();
    groups.set(symbol, group.set(idOf(market), market));
  }
  const ambiguous = new Map<string, readonly string[]>();
  const markets: Record<string, unknown> = { ...ccxt.markets };
  for (const [symbol, group] of groups) {
    if (group.size < 2) continue;
    const traded = [...group.values()].filter(({ active }) => active !== false);
    const kept = traded.length === 1 ? traded[0] : undefined;
    const full = markets[symbol];
    Reflect.deleteProperty(markets, symbol);
    for (const [id, market] of group) {
      const name = market === kept ? symbol : id;
      // CCXT completes the one that it keeps with members that the others lack.
      const complete: Table = { ...(isTable(full) ? full : {}), ...market, symbol: name };
      markets[name] = complete;
      replaceById(ccxt, market, complete);
    }
    if (kept === undefined) ambiguous.set(symbol, [...group.keys()].sort());
  }
  ccxt.markets = markets;
  return ambiguous;
};

const replaceById = (ccxt: CcxtExchange, before: Table, after: Table): void => {
  const list: unknown = member(ccxt.markets_by_id, idOf(before));
  if (Array.isArray(list)) list.splice(list.indexOf(before), 1, after);
};
