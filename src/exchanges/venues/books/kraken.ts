/**
 * Kraken's books carry a checksum of their ten best levels, which CCXT does not check (its option fails,
 * docs/ccxt.md#feeds): a lost update would go unnoticed for good. https://docs.kraken.com/api/docs/guides/spot-ws-book-v2
 */
import { crc32 } from 'node:zlib';
import { member } from '../../ccxt/ccxt-exchange.js';
import { book, countIn, entryAt, type VenueBooks } from './reading.js';

const CHECKED_LEVELS = 10;
const MAX_DECIMALS = 20;

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
export const bookChecksum = (held: unknown, { price, amount }: BookDecimals): number => {
  let figures = '';
  for (const side of ['asks', 'bids'])
    for (let rank = 0; rank < CHECKED_LEVELS; rank += 1) {
      const level = entryAt(member(held, side), rank);
      if (level !== undefined)
        figures += digits(entryAt(level, 0), price) + digits(entryAt(level, 1), amount);
    }
  return crc32(figures);
};

/** undefined where the market's list does not say how many decimals the checksum is made of. */
export const krakenChecksum = (held: unknown, market: unknown): number | undefined => {
  const price = decimalsOf(market, 'pair_decimals');
  const amount = decimalsOf(market, 'lot_decimals');
  return price === undefined || amount === undefined ? undefined : bookChecksum(held, { price, amount });
};

export const kraken: VenueBooks = {
  kind: 'checksum',
  record: {
    startsWhole: true,
    checksum: krakenChecksum,
    readers: {
      handleOrderBook: (message) => {
        const update = entryAt(member(message, 'data'), 0);
        const symbol = member(update, 'symbol');
        return book(typeof symbol === 'string' ? symbol : undefined, {
          reset: member(message, 'type') === 'snapshot',
          checksum: countIn(update, 'checksum'),
        });
      },
    },
  },
};
