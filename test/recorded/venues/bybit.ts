/** bybit-exchange.github.io/docs/v5: "Market", "Websocket Stream". */
import type { VenueTable } from '../checks.js';
import { ms } from '../payload.js';

const ticker = {
  kind: 'ticker',
  on: /\/tickers/,
  of: 'result.list.0',
  bid: 'bid1Price',
  ask: 'ask1Price',
  last: 'lastPrice',
  time: ms('/time'),
} as const;
const trades = {
  kind: 'trades',
  on: /\/recent-trade/,
  of: 'result.list',
  id: 'execId',
  price: 'price',
  amount: 'size',
  time: ms('time'),
  side: { at: 'side', buy: 'Buy', sell: 'Sell' },
} as const;
const candles = {
  kind: 'ohlcv',
  on: /\/kline/,
  of: 'result.list',
  time: ms('0'),
  open: '1',
  high: '2',
  low: '3',
  close: '4',
  volume: '5',
} as const;

export const BYBIT: VenueTable = {
  exchange: 'bybit',
  routes: [
    [/instruments-info\?.*category=spot/, 'spot'],
    [/instruments-info\?.*category=linear/, 'linear'],
    [/instruments-info\?.*category=inverse/, 'inverse'],
  ],
  empty: [[/category=option/, { retCode: 0, result: { category: 'option', list: [] } }]],
  checks: [
    { ...ticker, symbol: 'BTC/USDT', file: 'ticker_spot' },
    { ...ticker, symbol: 'BTC/USD:BTC', file: 'ticker_inverse' },
    { ...trades, symbol: 'BTC/USDT', file: 'trades_spot' },
    { ...trades, symbol: 'BTC/USDT:USDT', file: 'trades_linear' },
    // Inverse contracts: the sixth member is in quote currency, the seventh ("turnover") in base currency.
    { ...candles, symbol: 'BTC/USD:BTC', interval: '1h', file: 'kline_inverse', volume: '6' },
    { ...candles, symbol: 'BTC/USDT:USDT', interval: '1m', file: 'kline_linear' },
    {
      kind: 'orderbook',
      symbol: 'BTC/USDT:USDT',
      file: 'orderbook',
      on: /\/orderbook/,
      of: 'result',
      bids: 'b',
      asks: 'a',
      price: '0',
      amount: '1',
      time: ms('ts'),
    },
    {
      kind: 'ticker',
      symbol: 'BTC/USDT:USDT',
      file: 'ws_ticker_linear',
      feed: true,
      of: 'data',
      bid: 'bid1Price',
      ask: 'ask1Price',
      last: 'lastPrice',
      time: ms('/ts'),
    },
    {
      kind: 'trades',
      symbol: 'BTC/USDT:USDT',
      file: 'ws_public_trade',
      feed: true,
      rename: [['trade.linear.BTCUSDT', 'publicTrade.BTCUSDT']],
      of: 'data',
      id: 'i',
      price: 'p',
      amount: 'v',
      time: ms('T'),
      side: { at: 'S', buy: 'Buy', sell: 'Sell' },
    },
  ],
};
