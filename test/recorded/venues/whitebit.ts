/** docs.whitebit.com: "Public HTTP API V4". */
import type { VenueTable } from '../checks.js';
import { seconds } from '../payload.js';

const LEVEL = { price: '0', amount: '1' };

export const WHITEBIT: VenueTable = {
  exchange: 'whitebit',
  routes: [
    [/\/markets/, 'markets'],
    [/\/assets/, 'assets'],
  ],
  checks: [
    {
      kind: 'orderbook',
      symbol: 'SON/USD',
      file: 'orderbook',
      on: /\/orderbook/,
      bids: 'bids',
      asks: 'asks',
      ...LEVEL,
      time: seconds('timestamp'),
    },
    {
      // The documentation's example has the price as "base_volume": the amount stands under "quote_volume", in any order.
      kind: 'trades',
      symbol: 'SON/USD',
      file: 'trades',
      on: /\/trades/,
      id: 'tradeID',
      price: 'price',
      amount: 'quote_volume',
      time: seconds('trade_timestamp'),
      side: { at: 'type', buy: 'buy', sell: 'sell' },
    },
  ],
};
