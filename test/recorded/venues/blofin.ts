/** docs.blofin.com: "Public Data". */
import type { VenueTable } from '../checks.js';
import { ms } from '../payload.js';

const BUY_SELL = { at: 'side', buy: 'buy', sell: 'sell' };
const LEVEL = { price: '0', amount: '1' };

export const BLOFIN: VenueTable = {
  exchange: 'blofin',
  routes: [[/\/instruments/, 'instruments']],
  checks: [
    {
      kind: 'ticker',
      symbol: 'BTC/USDT:USDT',
      file: 'tickers',
      on: /\/tickers/,
      of: 'data.0',
      bid: 'bidPrice',
      ask: 'askPrice',
      last: 'last',
      time: ms('ts'),
    },
    {
      kind: 'orderbook',
      symbol: 'BTC/USDT:USDT',
      file: 'books',
      on: /\/books/,
      of: 'data.0',
      bids: 'bids',
      asks: 'asks',
      ...LEVEL,
      time: ms('ts'),
    },
    {
      kind: 'trades',
      symbol: 'BTC/USDT:USDT',
      file: 'trades',
      on: /\/trades/,
      rename: [['ETH-USDT', 'BTC-USDT']],
      of: 'data',
      id: 'tradeId',
      price: 'price',
      amount: 'size',
      time: ms('ts'),
      side: BUY_SELL,
    },
    // The sixth counts contracts, the seventh is in base currency.
    {
      kind: 'ohlcv',
      symbol: 'BTC/USDT:USDT',
      interval: '1m',
      file: 'candles',
      on: /\/candles/,
      of: 'data',
      time: ms('0'),
      open: '1',
      high: '2',
      low: '3',
      close: '4',
      volume: '6',
    },
  ],
};
