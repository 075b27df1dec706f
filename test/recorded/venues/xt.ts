/** doc.xt.com: "Spot, Market". */
import type { VenueTable } from '../checks.js';
import { at, ms } from '../payload.js';

const LEVEL = { price: '0', amount: '1' };

export const XT: VenueTable = {
  exchange: 'xt',
  routes: [
    [/\/symbol(\?|$)/, 'symbol'],
    [/\/currencies/, 'currencies'],
    [/\/wallet\/support\/currency/, 'networks'],
  ],
  empty: [[/\/future\//, { returnCode: 0, result: [] }]],
  checks: [
    {
      kind: 'ticker',
      symbol: 'BTC/USDT',
      file: 'ticker24h',
      on: /\/ticker/,
      of: 'result.0',
      bid: null,
      ask: null,
      last: 'c',
      time: ms('t'),
    },
    {
      kind: 'orderbook',
      symbol: 'BTC/USDT',
      file: 'depth',
      on: /\/depth/,
      of: 'result',
      bids: 'bids',
      asks: 'asks',
      ...LEVEL,
      time: ms('timestamp'),
    },
    {
      kind: 'trades',
      symbol: 'BTC/USDT',
      file: 'trade_history',
      on: /\/trade\//,
      of: (answer) => at(answer, 'result.items') ?? at(answer, 'result'),
      answer: (recording) => ({ rc: 0, mc: 'SUCCESS', ma: [], result: at(recording, 'result.items') }),
      id: 'i',
      price: 'p',
      amount: 'q',
      time: ms('t'),
      // "b": is the buyer the maker?
      side: { at: 'b', buy: false, sell: true },
    },
    {
      kind: 'ohlcv',
      symbol: 'BTC/USDT',
      interval: '1m',
      file: 'kline',
      on: /\/kline/,
      of: 'result',
      time: ms('t'),
      open: 'o',
      high: 'h',
      low: 'l',
      close: 'c',
      volume: 'q',
    },
  ],
};
