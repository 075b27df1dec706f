/** `pu` to `u` (exchange-docs.crypto.com, "book.{instrument_name}.{depth}"). CCXT throws on a hole, for the whole socket. */
import { member } from '../../ccxt/ccxt-exchange.js';
import { book, countIn, entryAt, symbolOf, type VenueBooks } from './reading.js';

export const cryptocom: VenueBooks = {
  kind: 'sequence',
  record: {
    startsWhole: true,
    readers: {
      handleOrderBook: (message, context) => {
        const update = entryAt(member(message, 'data'), 0);
        return book(symbolOf(context, member(message, 'instrument_name')), {
          reset: member(message, 'channel') === 'book',
          previous: countIn(update, 'pu'),
          last: countIn(update, 'u', 's'),
        });
      },
    },
  },
};
