/** okx.com/docs-v5: "Order Book Trading", "Market Data". */
import type { VenueTable } from '../checks.js';
import { ms } from '../payload.js';

const ticker = {
  kind: 'ticker',
  of: 'data.0',
  bid: 'bidPx',
  ask: 'askPx',
  last: 'last',
  time: ms('ts'),
} as const;
const book = {
  kind: 'orderbook',
  of: 'data.0',
  bids: 'bids',
  asks: 'asks',
  price: '0',
  amount: '1',
  time: ms('ts'),
} as const;
const trades = {
  kind: 'trades',
  of: 'data',
  id: 'tradeId',
  price: 'px',
  amount: 'sz',
  time: ms('ts'),
  side: { at: 'side', buy: 'buy', sell: 'sell' },
} as const;

export const OKX: VenueTable = {
  exchange: 'okx',
  routes: [
    [/instType=SPOT/, 'spot'],
    [/instType=SWAP/, 'swap'],
    [/instType=FUTURES/, 'futures'],
  ],
  empty: [[/instType=OPTION/, { code: '0', data: [] }]],
  checks: [
    { ...ticker, symbol: 'BTC/USD:BTC', file: 'ticker_swap', on: /\/market\/ticker/ },
    { ...book, symbol: 'BTC/USDT', file: 'books', on: /\/market\/books/ },
    { ...trades, symbol: 'BTC/USDT', file: 'trades', on: /\/market\/(history-)?trades/ },
    {
      kind: 'ohlcv',
      symbol: 'BTC/USDT:USDT',
      interval: '1m',
      file: 'candles',
      on: /candles/,
      of: 'data',
      time: ms('0'),
      open: '1',
      high: '2',
      low: '3',
      close: '4',
      // "volCcy": in base currency; "vol" counts contracts.
      volume: '6',
    },
    { ...ticker, symbol: 'BTC/USDT', file: 'ws_tickers', feed: true },
    // Recorded on the channel that sums up; this server subscribes the one that has each trade.
    { ...trades, symbol: 'BTC/USD', file: 'ws_trades', feed: true, rename: [['"trades"', '"trades-all"']] },
    { ...book, symbol: 'BTC/USDT', file: 'ws_books_snapshot', feed: true },
  ],
};
