/** `U` to `u` (www.gate.com/docs/developers/apiv4/ws, "Changed order book levels", "Order Book V2"). */
import { member } from '../../ccxt/ccxt-exchange.js';
import { book, countIn, symbolOf, textIn, type VenueBooks } from './reading.js';

export const gate: VenueBooks = {
  kind: 'sequence',
  record: {
    startsWhole: false,
    readers: {
      handleOrderBook: (message, context) => {
        const channel = textIn(message, 'channel');
        const result = member(message, 'result');
        const named = textIn(result, 's');
        // `ob.BTC_USDT.50` on the newer channel, which begins with a whole book.
        const startsWhole = channel === 'spot.obu';
        const id = startsWhole ? named.split('.')[1] : named;
        const type = channel.startsWith('spot.') ? 'spot' : 'contract';
        return book(symbolOf(context, id, { delimiter: '_', type }), {
          reset: startsWhole && member(result, 'full') === true,
          startsWhole,
          first: countIn(result, 'U'),
          last: countIn(result, 'u'),
        });
      },
    },
  },
};
