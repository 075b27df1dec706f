/** docs.gemini.com: "REST API", "Market Data". */
import type { VenueTable } from '../checks.js';
import { ms } from '../payload.js';

const DUMMY = 'its documentation: "do not use", a dummy value';

export const GEMINI: VenueTable = {
  exchange: 'gemini',
  routes: [
    [/\/symbols\/details/, 'details_btcusd'],
    [/\/v1\/symbols/, 'symbols'],
  ],
  checks: [
    {
      kind: 'ticker',
      symbol: 'BTC/USD',
      file: 'pubticker',
      on: /\/pubticker/,
      bid: 'bid',
      ask: 'ask',
      last: 'last',
      time: ms('volume.timestamp'),
    },
    {
      kind: 'orderbook',
      symbol: 'BTC/USD',
      file: 'book',
      on: /\/book/,
      bids: 'bids',
      asks: 'asks',
      price: 'price',
      amount: 'amount',
      time: null,
      otherTimes: { 'bids.*.timestamp': DUMMY, 'asks.*.timestamp': DUMMY },
    },
    {
      kind: 'trades',
      symbol: 'BTC/USD',
      file: 'trades',
      on: /\/trades/,
      id: 'tid',
      price: 'price',
      amount: 'amount',
      time: ms('timestampms'),
      side: { at: 'type', buy: 'buy', sell: 'sell' },
    },
  ],
};
