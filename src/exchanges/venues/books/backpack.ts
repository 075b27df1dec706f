/** `U` to `u` (docs.backpack.exchange, "Streams", "Depth"). */
import { member } from '../../ccxt/ccxt-exchange.js';
import { book, countIn, symbolOf, UNDOCUMENTED, type VenueBooks } from './reading.js';

export const backpack: VenueBooks = {
  kind: 'sequence',
  record: {
    startsWhole: false,
    proof: UNDOCUMENTED,
    readers: {
      handleOrderBook: (message, context) => {
        const data = member(message, 'data');
        return book(symbolOf(context, member(data, 's')), {
          first: countIn(data, 'U'),
          last: countIn(data, 'u'),
        });
      },
    },
  },
};
