/** `U` to `u`, as CCXT quotes the messages. */
import { member } from '../../ccxt/ccxt-exchange.js';
import { book, countIn, symbolOf, UNDOCUMENTED, urlOf, type VenueBooks } from './reading.js';

export const weex: VenueBooks = {
  kind: 'sequence',
  record: {
    startsWhole: true,
    proof: UNDOCUMENTED,
    readers: {
      handleOrderBook: (message, context) => {
        const type = urlOf(context).includes('contract') ? 'swap' : 'spot';
        return book(symbolOf(context, member(message, 's'), { type }), {
          reset: member(message, 'e') === 'depthSnapshot',
          first: countIn(message, 'U'),
          last: countIn(message, 'u'),
        });
      },
    },
  },
};
