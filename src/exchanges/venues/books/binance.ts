/** Spot: `U` to `u`. Contracts: other ids pass between two messages, and `pu` names the message before. CCXT checks too. */
import type { BookContext } from '../../ccxt/feeds/book-guard.js';
import { type Method, member } from '../../ccxt/ccxt-exchange.js';
import { book, countIn, symbolOf, type VenueBooks } from './reading.js';

/** CCXT tells the markets of one id apart by the socket's URL. */
const isSpot = ({ instance, client }: BookContext): boolean => {
  const isSpotUrl = Reflect.get(instance, 'isSpotUrl') as Method;
  return isSpotUrl.call(instance, client) === true;
};

export const binance: VenueBooks = {
  kind: 'sequence',
  record: {
    startsWhole: false,
    readers: {
      handleOrderBook: (message, context) =>
        book(symbolOf(context, member(message, 's'), { type: isSpot(context) ? 'spot' : 'swap' }), {
          previous: countIn(message, 'pu'),
          first: countIn(message, 'U'),
          last: countIn(message, 'u'),
        }),
    },
  },
};
