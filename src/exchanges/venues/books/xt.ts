/** Contracts: `pu`, `fu` to `u`. Spot: `fi` to `i` (doc.xt.com, "Incremental Depth"). */
import { member } from '../../ccxt/ccxt-exchange.js';
import { book, countIn, symbolOf, type VenueBooks } from './reading.js';

export const xt: VenueBooks = {
  kind: 'sequence',
  record: {
    startsWhole: false,
    readers: {
      handleOrderBook: (message, context) => {
        const data = member(message, 'data');
        const type = member(data, 'fu') === undefined ? 'spot' : 'contract';
        return book(symbolOf(context, member(data, 's'), { type }), {
          previous: countIn(data, 'pu'),
          first: countIn(data, 'fu', 'fi'),
          last: countIn(data, 'u', 'i'),
        });
      },
    },
  },
};
