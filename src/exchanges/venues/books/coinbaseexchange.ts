/** Nothing is numbered. CCXT throws for an update before the whole book, for the whole socket. */
import { member } from '../../ccxt/ccxt-exchange.js';
import { book, symbolOf, type VenueBooks } from './reading.js';

export const coinbaseexchange: VenueBooks = {
  kind: 'crosscheck',
  record: {
    startsWhole: true,
    readers: {
      handleOrderBook: (message, context) =>
        book(symbolOf(context, member(message, 'product_id'), { delimiter: '-' }), {
          reset: member(message, 'type') === 'snapshot',
        }),
    },
  },
};
