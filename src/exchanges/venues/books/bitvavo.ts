/** `nonce` of updates and of the snapshot that CCXT asks for beside them (docs.bitvavo.com, "Book subscription"). */
import { member } from '../../ccxt/ccxt-exchange.js';
import { book, counted, countIn, symbolOf, UNDOCUMENTED, type VenueBooks } from './reading.js';

const DASHED = { delimiter: '-' };

export const bitvavo: VenueBooks = {
  kind: 'sequence',
  record: {
    startsWhole: false,
    proof: UNDOCUMENTED,
    readers: {
      handleOrderBook: (message, context) =>
        book(symbolOf(context, member(message, 'market'), DASHED), counted(countIn(message, 'nonce'))),
      handleOrderBookSnapshot: (message, context) => {
        const response = member(message, 'response');
        return book(symbolOf(context, member(response, 'market'), DASHED), {
          snapshot: countIn(response, 'nonce'),
        });
      },
    },
  },
};
