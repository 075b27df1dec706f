/** Each message has the next `sequence` (www.luno.com/en/developers/api, "Market Stream"). */
import { member } from '../../ccxt/ccxt-exchange.js';
import { book, counted, countIn, subscribedSymbol, type VenueBooks } from './reading.js';

export const luno: VenueBooks = {
  kind: 'sequence',
  record: {
    startsWhole: true,
    readers: {
      handleOrderBook: (message, context) =>
        book(subscribedSymbol(context), {
          reset: member(message, 'asks') !== undefined,
          ...counted(countIn(message, 'sequence')),
        }),
    },
  },
};
