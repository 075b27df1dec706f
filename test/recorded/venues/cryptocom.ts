/** exchange-docs.crypto.com: "Reference and Market Data API". */
import type { VenueTable } from '../checks.js';
import { ms } from '../payload.js';

const LEVEL = { price: '0', amount: '1' };

export const CRYPTOCOM: VenueTable = {
  exchange: 'cryptocom',
  routes: [[/get-instruments/, 'instruments']],
  empty: [[/get-currency-networks/, { code: 0, result: {} }]],
  checks: [
    // "a" is the latest trade's price, "b" the best bid, "k" the best ask.
    {
      kind: 'ticker',
      symbol: 'BTC/USD:USD',
      file: 'tickers',
      on: /get-ticker/,
      of: 'result.data.0',
      bid: 'b',
      ask: 'k',
      last: 'a',
      time: ms('t'),
    },
    {
      kind: 'orderbook',
      symbol: 'BTC/USD:USD',
      file: 'book',
      on: /get-book/,
      of: 'result.data.0',
      bids: 'bids',
      asks: 'asks',
      ...LEVEL,
      time: null,
    },
    {
      kind: 'trades',
      symbol: 'BTC/USD:USD',
      file: 'trades',
      on: /get-trades/,
      of: 'result.data',
      id: 'd',
      price: 'p',
      amount: 'q',
      time: ms('t'),
      side: { at: 's', buy: 'BUY', sell: 'SELL' },
    },
    {
      kind: 'ohlcv',
      symbol: 'BTC/USD:USD',
      interval: '1m',
      file: 'candlestick',
      on: /get-candlestick/,
      of: 'result.data',
      time: ms('t'),
      open: 'o',
      high: 'h',
      low: 'l',
      close: 'c',
      volume: 'v',
    },
  ],
};
