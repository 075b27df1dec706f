/**
 * Kraken's books carry a checksum of their ten best levels, which CCXT does not check (its option fails,
 * docs/ccxt.md#feeds): a lost update would go unnoticed for good. https://docs.kraken.com/api/docs/guides/spot-ws-book-v2
 */
import { crc32 } from 'node:zlib';
import { isTable, member } from '../ccxt/tables.js';

const CHECKED_LEVELS = 10;
const MAX_DECIMALS = 20;

const isList = (value: unknown): value is readonly unknown[] => Array.isArray(value);

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

/** undefined where the market's list does not say how many decimals the checksum is made of. */
export const krakenChecksum = (book: unknown, market: unknown): number | undefined => {
  const price = decimalsOf(market, 'pair_decimals');
  const amount = decimalsOf(market, 'lot_decimals');
  if (!isTable(book) || price === undefined || amount === undefined) return undefined;
  return bookChecksum(book, { price, amount });
};
