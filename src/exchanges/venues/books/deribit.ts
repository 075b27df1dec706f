/** `prev_change_id` to `change_id` (docs.deribit.com, "book.{instrument_name}.{interval}"). */
import { member } from '../../ccxt/ccxt-exchange.js';
import { book, countIn, symbolOf, type VenueBooks } from './reading.js';

export const deribit: VenueBooks = {
  kind: 'sequence',
  record: {
    startsWhole: true,
    readers: {
      handleOrderBook: (message, context) => {
        const data = member(member(message, 'params'), 'data');
        // Grouped books are whole and have no type.
        if (typeof member(data, 'type') !== 'string') return [];
        return book(symbolOf(context, member(data, 'instrument_name')), {
          reset: member(data, 'type') === 'snapshot',
          previous: countIn(data, 'prev_change_id'),
          last: countIn(data, 'change_id'),
        });
      },
    },
  },
};
