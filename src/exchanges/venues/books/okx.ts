/**
 * `prevSeqId` to `seqId`, which may also stay the same or fall (www.okx.com/docs-v5, "Order book channel"). `checksum` is
 * not read: it is 0 since 23 June 2026 (OKX, "Order Book Channels Checksum Field Deprecation").
 */
import { member } from '../../ccxt/ccxt-exchange.js';
import { book, countIn, symbolOf, type VenueBooks } from './reading.js';

export const okx: VenueBooks = {
  kind: 'sequence',
  record: {
    startsWhole: true,
    readers: {
      handleOrderBook: (message, context) => {
        const action = member(message, 'action');
        const data = member(message, 'data');
        // Whole books of few levels have no action and no numbers.
        if (typeof action !== 'string' || !Array.isArray(data)) return [];
        const symbol = symbolOf(context, member(member(message, 'arg'), 'instId'));
        return data.flatMap((update: unknown) =>
          book(symbol, {
            reset: action === 'snapshot',
            previous: countIn(update, 'prevSeqId'),
            last: countIn(update, 'seqId'),
          }),
        );
      },
    },
  },
};
