/**
 * CCXT's tables of trades and candles: they keep thousands of rows of a symbol, though each trade is read once, and of candles
 * the latest. Here they are cut after a read, and emptied with their feed.
 */
import type { StreamTopic } from '../../exchange-client.js';
import { type CcxtExchange, isTable, member } from '../ccxt-exchange.js';

/** Trades kept: some venues' handlers look at the latest ones. */
const TRADES_KEPT = 100;
/** Candles kept: a venue corrects none that is older, and their starts show how long its periods are. */
const CANDLES_KEPT = 20;
/** How many times what is kept a table may hold, so that not each read moves its rows. */
const SLACK = 2;

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
  if (!Array.isArray(table) || table.length < SLACK * TRADES_KEPT) return;
  const from = table.length - Math.max(TRADES_KEPT, unreadOf(table, symbol));
  if (from <= 0) return;
  const byId = member(Reflect.get(table, 'hashmap'), symbol);
  if (isTable(byId))
    for (let at = 0; at < from; at += 1) Reflect.deleteProperty(byId, String(member(table[at], 'id')));
  table.copyWithin(0, from);
  table.length -= from;
};

const startOf = (row: unknown): number => Number(member(row, '0'));

/** Called after a read. Without it each update of a minute's candle would read as many rows as there were minutes. */
export const forgetReadCandles = (table: unknown): void => {
  if (!Array.isArray(table) || table.length < SLACK * CANDLES_KEPT) return;
  const rows = Array.from<unknown>(table).sort((a, b) => startOf(a) - startOf(b));
  const kept = rows.splice(-CANDLES_KEPT);
  const byStart: unknown = Reflect.get(table, 'hashmap');
  if (isTable(byStart)) for (const row of rows) Reflect.deleteProperty(byStart, String(member(row, '0')));
  // Not by splice, which would make another of CCXT's tables.
  for (const [at, row] of kept.entries()) table[at] = row;
  table.length = kept.length;
};

/**
 * Called when the topic's feed ends: an instance lives for weeks, and its clients look at many symbols. The table stays, since
 * some handlers expect it once they have made it, and a message may still be on its way.
 */
export const emptyTable = (instance: CcxtExchange, { channel, symbol, interval }: StreamTopic): void => {
  const ofSymbol = (name: string): unknown => member(Reflect.get(instance, name), symbol);
  const table =
    channel === 'trades'
      ? ofSymbol('trades')
      : channel === 'ohlcv' && member(ofSymbol('ohlcvs'), interval ?? '');
  if (!Array.isArray(table)) return;
  const clear: unknown = Reflect.get(table, 'clear');
  if (typeof clear === 'function') Reflect.apply(clear, table, []);
};
