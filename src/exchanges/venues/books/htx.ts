/** Spot: `prevSeqNum` to `seqNum`. Contracts: each message has the next `version`, and the feed begins with a whole book. */
import { member } from '../../ccxt/ccxt-exchange.js';
import { book, counted, countIn, symbolOf, textIn, type VenueBooks } from './reading.js';

export const htx: VenueBooks = {
  kind: 'sequence',
  record: {
    startsWhole: false,
    readers: {
      handleOrderBook: (message, context) => {
        const tick = member(message, 'tick');
        const event = member(tick, 'event');
        const symbol = symbolOf(context, textIn(message, 'ch').split('.')[1]);
        if (typeof event === 'string')
          return book(symbol, {
            reset: event === 'snapshot',
            startsWhole: true,
            ...counted(countIn(tick, 'version')),
          });
        return book(symbol, { previous: countIn(tick, 'prevSeqNum'), last: countIn(tick, 'seqNum') });
      },
    },
  },
};
