/** `sequence_num` counts the messages of a socket: a missing one may have been about any of its books. */
import { member } from '../../ccxt/ccxt-exchange.js';
import { book, countIn, symbolOf, UNDOCUMENTED, type VenueBooks } from './reading.js';

export const coinbase: VenueBooks = {
  kind: 'sequence',
  record: {
    startsWhole: true,
    proof: UNDOCUMENTED,
    connectionNumber: (message) => countIn(message, 'sequence_num'),
    readers: {
      handleOrderBook: (message, context) => {
        const events = member(message, 'events');
        if (!Array.isArray(events)) return [];
        return events.flatMap((event: unknown) =>
          book(symbolOf(context, member(event, 'product_id')), {
            reset: member(event, 'type') === 'snapshot',
          }),
        );
      },
    },
  },
};
