/**
 * `pseq` to `seq`, and the CRC32 of 25 levels where it is sent: Bitget's documentation of the depth channel names it, its
 * unified account's feeds lack it, and CCXT quotes whole books with 0. CCXT's own check believes the first one.
 */
import { crc32 } from 'node:zlib';
import { member } from '../../ccxt/ccxt-exchange.js';
import { book, countIn, entryAt, symbolOf, textIn, type VenueBooks } from './reading.js';

const CHECKED_LEVELS = 25;

/** CCXT keeps each level's texts behind its numbers. */
const textsOf = (level: unknown): readonly unknown[] => {
  const texts = entryAt(level, 2);
  return [entryAt(texts, 0), entryAt(texts, 1)];
};

/** Signed CRC32 over price and amount of the best bid, the best ask, the second bid and so on, as they were sent. */
const bitgetChecksum = (held: unknown): number => {
  const figures: unknown[] = [];
  for (let rank = 0; rank < CHECKED_LEVELS; rank += 1)
    for (const side of ['bids', 'asks']) {
      const level = entryAt(member(held, side), rank);
      if (level !== undefined) figures.push(...textsOf(level));
    }
  return crc32(figures.join(':')) | 0;
};

export const bitget: VenueBooks = {
  kind: 'sequence',
  record: {
    startsWhole: true,
    checksum: bitgetChecksum,
    readers: {
      handleOrderBook: (message, context) => {
        const arg = member(message, 'arg');
        if ((member(arg, 'channel') ?? member(arg, 'topic')) !== 'books') return [];
        const type = textIn(arg, 'instType').toLowerCase() === 'spot' ? 'spot' : 'contract';
        const update = entryAt(member(message, 'data'), 0);
        const checksum = countIn(update, 'checksum');
        return book(symbolOf(context, member(arg, 'instId') ?? member(arg, 'symbol'), { type }), {
          reset: member(message, 'action') === 'snapshot',
          previous: countIn(update, 'pseq'),
          last: countIn(update, 'seq'),
          checksum: checksum === 0 ? undefined : checksum,
        });
      },
    },
  },
};
