/** mexcdevelop.github.io: "Spot V3", "Contract V1". */
import type { VenueTable } from '../checks.js';
import { at, ms } from '../payload.js';

export const MEXC: VenueTable = {
  exchange: 'mexc',
  routes: [
    [/\/exchangeInfo/, 'exchangeInfo'],
    [/\/contract\/detail/, 'detail'],
  ],
  empty: [[/\/defaultSymbols|capital\/config/, { code: 0, data: [] }]],
  checks: [
    {
      kind: 'orderbook',
      symbol: 'BROCK/USDT',
      file: 'depth',
      on: /\/depth/,
      bids: 'bids',
      asks: 'asks',
      price: '0',
      amount: '1',
      time: null,
    },
    {
      kind: 'trades',
      symbol: 'BROCK/USDT',
      file: 'aggTrades',
      on: /\/aggTrades/,
      id: null,
      price: 'p',
      amount: 'q',
      time: ms('T'),
      side: { at: 'm', buy: false, sell: true },
    },
    {
      kind: 'ohlcv',
      symbol: 'BROCK/USDT',
      interval: '1m',
      file: 'klines',
      on: /\/klines/,
      time: ms('0'),
      open: '1',
      high: '2',
      low: '3',
      close: '4',
      volume: '5',
    },
    {
      kind: 'ticker',
      symbol: 'BTC/USDT:USDT',
      file: 'fticker',
      on: /\/contract\/ticker/,
      // Of one contract, where the recording has a list.
      answer: (recording) => ({ success: true, code: 0, data: at(recording, 'data.0') }),
      of: 'data',
      bid: 'bid1',
      ask: 'ask1',
      last: 'lastPrice',
      time: ms('timestamp'),
    },
    {
      kind: 'trades',
      symbol: 'BTC/USDT:USDT',
      file: 'fdeals',
      on: /\/deals/,
      of: 'data',
      id: null,
      price: 'p',
      amount: 'v',
      time: ms('t'),
      side: { at: 'T', buy: 1, sell: 2 },
    },
  ],
};
