/** Each message has the next `seq` (api.docs.extended.exchange, "Order book stream"). */
import { member } from '../../ccxt/ccxt-exchange.js';
import { book, counted, countIn, symbolOf, type VenueBooks } from './reading.js';

export const extended: VenueBooks = {
  kind: 'sequence',
  record: {
    startsWhole: true,
    readers: {
      handleOrderBook: (message, context) => {
        const data = member(message, 'data');
        return book(symbolOf(context, member(data, 'm')), {
          reset: (member(message, 'type') ?? member(data, 't')) === 'SNAPSHOT',
          ...counted(countIn(message, 'seq')),
        });
      },
    },
  },
};
