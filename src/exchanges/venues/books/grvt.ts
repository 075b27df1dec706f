/** `sequence_number` (api-docs.grvt.io, "Orderbook Delta"). Whole books have the number 0, whatever follows them. */
import { member } from '../../ccxt/ccxt-exchange.js';
import { book, counted, countIn, symbolOf, textIn, type VenueBooks } from './reading.js';

export const grvt: VenueBooks = {
  kind: 'sequence',
  record: {
    startsWhole: true,
    readers: {
      handleOrderBook: (message, context) => {
        const count = countIn(message, 'sequence_number') ?? 0;
        const reset = member(message, 'stream') === 'v1.book.s' || count <= 0;
        const symbol = symbolOf(context, textIn(message, 'selector').split('@')[0]);
        // Counting begins with the first update.
        return book(symbol, reset ? { reset } : counted(count));
      },
    },
  },
};
