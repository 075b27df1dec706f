/** Spot: `sequenceStart` to `sequenceEnd`. Contracts: `sequence`. On the unified feeds: `O` to `C`. */
import { member } from '../../ccxt/ccxt-exchange.js';
import { book, countIn, symbolOf, textIn, type VenueBooks } from './reading.js';

export const kucoin: VenueBooks = {
  kind: 'sequence',
  record: {
    startsWhole: false,
    readers: {
      handleOrderBook: (message, context) => {
        const topic = textIn(message, 'topic');
        // Whole books of 5 or 50 levels.
        if (topic.includes('Depth')) return [];
        const data = member(message, 'data');
        const id = member(data, 'symbol') ?? topic.split(':')[1];
        return book(symbolOf(context, id, { delimiter: '-' }), {
          first: countIn(data, 'sequenceStart', 'sequence', 'O'),
          last: countIn(data, 'sequenceEnd', 'sequence', 'C'),
        });
      },
    },
  },
};
