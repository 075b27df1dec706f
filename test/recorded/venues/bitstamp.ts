/** bitstamp.net/api: "Public data functions". */
import type { VenueTable } from '../checks.js';
import { seconds } from '../payload.js';

const LEVEL = { price: '0', amount: '1' };

export const BITSTAMP: VenueTable = {
  exchange: 'bitstamp',
  routes: [[/\/markets\//, 'markets']],
  empty: [[/\/currencies\//, []]],
  checks: [
    {
      kind: 'ticker',
      symbol: 'BTC/USD',
      file: 'ticker',
      on: /\/ticker\//,
      bid: 'bid',
      ask: 'ask',
      last: 'last',
      time: seconds('timestamp'),
    },
    {
      kind: 'orderbook',
      symbol: 'BTC/USD',
      file: 'order_book',
      on: /\/order_book\//,
      bids: 'bids',
      asks: 'asks',
      ...LEVEL,
      time: { at: 'microtimestamp', instant: (value) => Number(value) / 1000 },
    },
    {
      kind: 'trades',
      symbol: 'BTC/USD',
      file: 'transactions',
      on: /\/transactions\//,
      id: 'tid',
      price: 'price',
      amount: 'amount',
      time: seconds('date'),
      side: { at: 'type', buy: '0', sell: '1' },
    },
    {
      kind: 'ohlcv',
      symbol: 'BTC/USD',
      interval: '1m',
      file: 'ohlc',
      on: /\/ohlc\//,
      of: 'data.ohlc',
      time: seconds('timestamp'),
      open: 'open',
      high: 'high',
      low: 'low',
      close: 'close',
      volume: 'volume',
    },
  ],
};
