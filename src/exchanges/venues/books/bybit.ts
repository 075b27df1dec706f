/** Each message has the next `u` (bybit-exchange.github.io/docs/v5/websocket/public/orderbook). */
import { member } from '../../ccxt/ccxt-exchange.js';
import { book, counted, countIn, symbolOf, urlOf, type VenueBooks } from './reading.js';

export const bybit: VenueBooks = {
  kind: 'sequence',
  record: {
    startsWhole: true,
    readers: {
      handleOrderBook: (message, context) => {
        const data = member(message, 'data');
        const type = urlOf(context).includes('spot') ? 'spot' : 'contract';
        return book(symbolOf(context, member(data, 's'), { type }), {
          reset: member(message, 'type') === 'snapshot',
          ...counted(countIn(data, 'u')),
        });
      },
    },
  },
};
