/** CCXT checks the CRC32 (`cs`). It takes the first message for the whole book, so that a later one replaces it here. */
import { member } from '../../ccxt/ccxt-exchange.js';
import { book, entryAt, symbolOf, type VenueBooks } from './reading.js';

export const bitfinex: VenueBooks = {
  kind: 'checksum',
  record: {
    startsWhole: true,
    readers: {
      handleOrderBook: (message, context) =>
        book(symbolOf(context, member(context.subscription, 'symbol')), {
          // A list of levels; an update is one level.
          reset: Array.isArray(entryAt(entryAt(message, 1), 0)),
        }),
    },
  },
};
