/** CCXT's table of trades of one symbol: it keeps `tradesLimit` of them, though each is read once. */
import { type CcxtExchange, isTable, member } from '../ccxt-exchange.js';

/** Kept: some venues' handlers look at the latest ones. */
const KEPT = 100;
/** So that not each read moves what is kept. */
const TRIMMED_FROM = 2 * KEPT;

/** Rows that came after the last read, which the next one gives (docs/ccxt.md#feeds). */
const unreadOf = (table: readonly unknown[], symbol: string): number => {
  // CCXT hides its counters from enumeration.
  const unread = member(Reflect.get(table, 'newUpdatesBySymbol'), symbol);
  // Not counted, or under another name.
  if (typeof unread !== 'number') return table.length;
  return member(Reflect.get(table, 'clearUpdatesBySymbol'), symbol) === true ? 0 : unread;
};

/**
 * Called after a read. 5,000 trades of a symbol are 4 MB: at the full length of each, 130 lively symbols would fill the memory
 * of a thread.
 */
export const forgetReadTrades = (instance: CcxtExchange, symbol: string): void => {
  const table = member(Reflect.get(instance, 'trades'), symbol);
  if (!Array.isArray(table) || table.length < TRIMMED_FROM) return;
  const from = table.length - Math.max(KEPT, unreadOf(table, symbol));
  if (from <= 0) return;
  const byId = member(Reflect.get(table, 'hashmap'), symbol);
  if (isTable(byId))
    for (let at = 0; at < from; at += 1) Reflect.deleteProperty(byId, String(member(table[at], 'id')));
  table.copyWithin(0, from);
  table.length -= from;
};
