/** bitget.com/api-doc: "Spot", "Futures". */
import type { VenueTable } from '../checks.js';
import { ms } from '../payload.js';

const BUY_SELL = { at: 'side', buy: 'buy', sell: 'sell' };
const LEVEL = { price: '0', amount: '1' };

const bitgetTicker = {
  kind: 'ticker',
  of: 'data.0',
  bid: 'bidPr',
  ask: 'askPr',
  last: 'lastPr',
  time: ms('ts'),
} as const;

const bitgetBook = {
  kind: 'orderbook',
  of: 'data',
  bids: 'bids',
  asks: 'asks',
  ...LEVEL,
  time: ms('ts'),
} as const;

const bitgetTrades = {
  kind: 'trades',
  of: 'data',
  id: 'tradeId',
  price: 'price',
  amount: 'size',
  time: ms('ts'),
  side: BUY_SELL,
} as const;

const bitgetCandles = {
  kind: 'ohlcv',
  of: 'data',
  time: ms('0'),
  open: '1',
  high: '2',
  low: '3',
  close: '4',
  volume: '5',
} as const;

export const BITGET: VenueTable = {
  exchange: 'bitget',
  routes: [
    [/\/spot\/public\/symbols/, 'symbols'],
    [/\/spot\/public\/coins/, 'coins'],
    [/\/mix\/market\/contracts\?.*USDT-FUTURES/, 'fcontracts'],
  ],
  empty: [[/\/contracts|currencies/, { code: '00000', data: [] }]],
  checks: [
    { ...bitgetTicker, symbol: 'BTC/USDT', file: 'tickers', on: /\/spot\/market\/tickers/ },
    { ...bitgetBook, symbol: 'BTC/USDT', file: 'orderbook', on: /\/spot\/market\/orderbook/ },
    {
      ...bitgetTrades,
      symbol: 'BTC/USDT',
      file: 'fills',
      on: /\/spot\/market\/fills/,
      rename: [['BFTUSDT', 'BTCUSDT']],
    },
    {
      ...bitgetCandles,
      symbol: 'BTC/USDT',
      interval: '1h',
      file: 'candles',
      on: /\/spot\/market\/.*candles/,
    },
    {
      ...bitgetTicker,
      symbol: 'BTC/USDT:USDT',
      file: 'fticker',
      on: /\/mix\/market\/ticker/,
      rename: [['ETHUSD_231229', 'BTCUSDT']],
    },
    { ...bitgetBook, symbol: 'BTC/USDT:USDT', file: 'fbook', on: /\/mix\/market\/(merge-depth|orderbook)/ },
    { ...bitgetTrades, symbol: 'BTC/USDT:USDT', file: 'ffills', on: /\/mix\/market\/fills/ },
    {
      ...bitgetCandles,
      symbol: 'BTC/USDT:USDT',
      interval: '5m',
      file: 'fcandles',
      on: /\/mix\/market\/.*candles/,
    },
    { ...bitgetTicker, symbol: 'BTC/USDT:USDT', file: 'ws_ticker', feed: true },
    { ...bitgetTrades, symbol: 'BTC/USDT', file: 'ws_trades', feed: true },
  ],
};
