/** docs.dydx.xyz: "Indexer". */
import type { VenueTable } from '../checks.js';
import { iso } from '../payload.js';

const dydxTrade = {
  kind: 'trades',
  symbol: 'BTC/USDC:USDC',
  id: 'id',
  price: 'price',
  amount: 'size',
  time: iso('createdAt'),
  side: { at: 'side', buy: 'BUY', sell: 'SELL' },
} as const;

export const DYDX: VenueTable = {
  exchange: 'dydx',
  routes: [[/\/perpetualMarkets/, 'perpetualMarkets']],
  checks: [
    { ...dydxTrade, file: 'trades', on: /\/trades\//, of: 'trades' },
    {
      kind: 'orderbook',
      symbol: 'BTC/USDC:USDC',
      file: 'orderbook',
      on: /\/orderbooks\//,
      bids: 'bids',
      asks: 'asks',
      price: 'price',
      amount: 'size',
      time: null,
    },
    {
      kind: 'ohlcv',
      symbol: 'BTC/USDC:USDC',
      interval: '1m',
      file: 'candles',
      on: /\/candles\//,
      of: 'candles',
      time: iso('startedAt'),
      open: 'open',
      high: 'high',
      low: 'low',
      close: 'close',
      volume: 'baseTokenVolume',
    },
    { ...dydxTrade, file: 'ws_trades_subscribed', feed: true, of: 'contents.trades' },
    { ...dydxTrade, file: 'ws_trades_update', feed: true, of: 'contents.trades' },
  ],
};
