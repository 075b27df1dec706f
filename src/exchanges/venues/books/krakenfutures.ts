/** `seq` (docs.kraken.com/api/docs/futures-api/websocket/book). */
import type { BookReader } from '../../ccxt/feeds/book-guard.js';
import { member } from '../../ccxt/ccxt-exchange.js';
import { book, counted, countIn, symbolOf, UNDOCUMENTED, type VenueBooks } from './reading.js';

const read =
  (reset: boolean): BookReader =>
  (message, context) =>
    book(symbolOf(context, member(message, 'product_id')), { reset, ...counted(countIn(message, 'seq')) });

export const krakenfutures: VenueBooks = {
  kind: 'sequence',
  record: {
    startsWhole: true,
    proof: UNDOCUMENTED,
    readers: { handleOrderBook: read(false), handleOrderBookSnapshot: read(true) },
  },
};
