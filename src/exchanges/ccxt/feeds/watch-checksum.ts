/**
 * Kraken's books carry a checksum of their ten best levels, which CCXT does not check (its option is broken, CCXT.md §6):
 * a lost update would go unnoticed for good. https://docs.kraken.com/api/docs/guides/spot-ws-book-v2
 *
 * A symbol is held to its checksums from the first one that agreed, so that a venue that formats them in another way than
 * we do loses this check and not its feed.
 */
import { crc32 } from 'node:zlib';
import type { CcxtExchange } from '../ccxt-exchange.js';
import { isTable, member } from '../tables.js';

const CHECKED_LEVELS = 10;
const MAX_DECIMALS = 20;

const isList = (value: unknown): value is readonly unknown[] => Array.isArray(value);

/** Order book objects of CCXT's whose last update did not agree with its checksum. */
const broken = new WeakSet<object>();
const proven = new WeakSet<object>();

export const isBrokenBook = (book: unknown): boolean => isTable(book) && broken.has(book);

const decimalsOf = (market: unknown, key: string): number | undefined => {
  const decimals = Number(member(member(market, 'info'), key));
  return Number.isInteger(decimals) && decimals >= 0 && decimals <= MAX_DECIMALS ? decimals : undefined;
};

const digits = (value: unknown, decimals: number): string =>
  Number(value).toFixed(decimals).replace('.', '').replace(/^0+/, '');

export interface BookDecimals {
  readonly price: number;
  readonly amount: number;
}

/** CRC32 over the digits of price and amount of the ten best asks, then of the ten best bids. */
export const bookChecksum = (book: unknown, { price, amount }: BookDecimals): number => {
  const side = (levels: unknown): string =>
    (isList(levels) ? Array.from(levels).slice(0, CHECKED_LEVELS) : [])
      .map((level) => (isList(level) ? digits(level[0], price) + digits(level[1], amount) : ''))
      .join('');
  return crc32(side(member(book, 'asks')) + side(member(book, 'bids')));
};

const judge = (instance: CcxtExchange, message: unknown): void => {
  const data = member(message, 'data');
  const update = isList(data) ? data[0] : undefined;
  const symbol = member(update, 'symbol');
  const checksum = member(update, 'checksum');
  if (typeof symbol !== 'string' || typeof checksum !== 'number') return;
  const book = member(member(instance, 'orderbooks'), symbol);
  const market = member(instance.markets, symbol);
  const price = decimalsOf(market, 'pair_decimals');
  const amount = decimalsOf(market, 'lot_decimals');
  if (!isTable(book) || price === undefined || amount === undefined) return;
  if (bookChecksum(book, { price, amount }) === checksum) proven.add(book);
  else if (proven.has(book)) broken.add(book);
};

/** Once per instance. Each book is judged before a loop that waits for it is woken. */
export const checkBooks = (instance: CcxtExchange): void => {
  const original = member(Object.getPrototypeOf(instance), 'handleOrderBook');
  if (typeof original !== 'function') return;
  Object.assign(instance, {
    handleOrderBook: (...args: unknown[]): unknown => {
      // Loops wake in a later microtask: the book that they then read is judged by then.
      const result: unknown = Reflect.apply(original, instance, args);
      judge(instance, args[1]);
      return result;
    },
  });
};
