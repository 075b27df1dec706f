/** Spot: `fromVersion` to `toVersion`. Contracts: each message has the next `version`. */
import { member } from '../../ccxt/ccxt-exchange.js';
import { book, countIn, symbolOf, type VenueBooks } from './reading.js';

export const mexc: VenueBooks = {
  kind: 'sequence',
  record: {
    startsWhole: false,
    readers: {
      handleOrderBook: (message, context) => {
        const update =
          member(message, 'publicAggreDepths') ?? member(message, 'd') ?? member(message, 'data');
        return book(symbolOf(context, member(message, 's') ?? member(message, 'symbol')), {
          first: countIn(update, 'fromVersion', 'version', 'r'),
          last: countIn(update, 'toVersion', 'version', 'r'),
        });
      },
    },
  },
};
