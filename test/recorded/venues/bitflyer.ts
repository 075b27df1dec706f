/** lightning.bitflyer.com/docs: times are UTC without a zone. */
import type { VenueTable } from '../checks.js';
import { iso } from '../payload.js';

export const BITFLYER: VenueTable = {
  exchange: 'bitflyer',
  routes: [
    [/getmarkets\/usa/, 'getmarkets_usa'],
    [/getmarkets\/eu/, 'getmarkets_eu'],
    [/getmarkets/, 'getmarkets'],
  ],
  checks: [
    {
      kind: 'ticker',
      symbol: 'BTC/JPY',
      file: 'getticker',
      on: /getticker/,
      bid: 'best_bid',
      ask: 'best_ask',
      last: 'ltp',
      time: iso('timestamp'),
    },
    {
      kind: 'orderbook',
      symbol: 'BTC/JPY',
      file: 'getboard',
      on: /getboard/,
      bids: 'bids',
      asks: 'asks',
      price: 'price',
      amount: 'size',
      time: null,
    },
    {
      kind: 'trades',
      symbol: 'ETH/JPY',
      file: 'getexecutions',
      on: /getexecutions/,
      id: 'id',
      price: 'price',
      amount: 'size',
      time: iso('exec_date'),
      side: { at: 'side', buy: 'BUY', sell: 'SELL' },
    },
  ],
};
