/**
 * A venue's markets as CCXT loads them, made safe: one list of several that fails costs its own markets only, two
 * markets under one unified symbol are told apart, and what is left is put into the contract's form.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { AppError } from '../../errors.js';
import type { Market } from '../../schemas/market.js';
import { senselessAnswer, type Receipt } from '../normalizer.js';
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
export const substituteFor = (thrown: unknown, isNeeded: boolean): unknown => {
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
export const separateSharedSymbols = (ccxt: CcxtExchange): AmbiguousSymbols => {
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

const isFiniteNumber = (value: unknown): value is number =>
  typeof value === 'number' && Number.isFinite(value);

/** How CCXT writes steps: DECIMAL_PLACES, SIGNIFICANT_DIGITS and TICK_SIZE of its base/functions/number. */
const DECIMAL_PLACES = 2;
const TICK_SIZE = 4;

const stepOf = (precision: unknown, mode: unknown): number | null => {
  if (!isFiniteNumber(precision)) return null;
  if (mode === TICK_SIZE) return precision > 0 ? precision : null;
  return mode === DECIMAL_PLACES && Number.isInteger(precision) ? Number(`1e${-precision}`) : null;
};

const textOf = (value: unknown): string | null =>
  typeof value === 'string' && value !== '' && value !== 'undefined' ? value : null;

/** CCXT writes `ETH/undefined:undefined` where a venue leaves a currency out: no request can name such a market. */
const isNameless = (symbol: string): boolean => /(^|[^\p{L}\p{N}])undefined($|[^\p{L}\p{N}])/u.test(symbol);

/**
 * CCXT's `markets` as the contract's list, sorted by symbol; `precisionMode` is the instance's. Throws
 * `upstream_bad_response` where there is none.
 */
export const normalizeMarkets = (
  value: unknown,
  { exchange }: Receipt,
  precisionMode?: unknown,
): Market[] => {
  const entries = isTable(value) ? Object.values(value) : [];
  const markets = entries.flatMap((entry): Market[] => {
    if (!isTable(entry)) return [];
    const { type, active, precision, contract } = entry;
    const [symbol, base] = [textOf(entry['symbol']), textOf(entry['base'])];
    if (symbol === null || base === null || isNameless(symbol)) return [];
    const steps = isTable(precision) ? precision : {};
    const size = entry['contractSize'];
    return [
      {
        symbol,
        id: textOf(entry['id']) ?? symbol,
        base,
        quote: textOf(entry['quote']) ?? '',
        settle: textOf(entry['settle']),
        type: typeof type === 'string' ? type : 'spot',
        active: typeof active === 'boolean' ? active : null,
        price_step: stepOf(steps['price'], precisionMode),
        amount_step: stepOf(steps['amount'], precisionMode),
        contract_size: contract === true && isFiniteNumber(size) && size > 0 ? size : null,
      },
    ];
  });
  if (markets.length === 0) throw senselessAnswer(exchange);
  return markets.sort((a, b) => (a.symbol < b.symbol ? -1 : Number(a.symbol > b.symbol)));
};
