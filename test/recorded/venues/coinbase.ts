/** docs.cdp.coinbase.com: "Exchange REST API", "Exchange WebSocket", "Advanced Trade". */
import type { VenueTable } from '../checks.js';
import { at, iso, seconds } from '../payload.js';

const level = { price: '0', amount: '1' };
const candle = { time: seconds('0'), low: '1', high: '2', open: '3', close: '4', volume: '5' };

export const COINBASEEXCHANGE: VenueTable = {
  exchange: 'coinbaseexchange',
  routes: [[/\/products(\?| |$)/, 'products']],
  checks: [
    {
      kind: 'ticker',
      symbol: 'BTC/USD',
      file: 'ticker',
      on: /\/ticker/,
      bid: 'bid',
      ask: 'ask',
      last: 'price',
      time: iso('time'),
    },
    {
      kind: 'orderbook',
      symbol: 'BTC/USD',
      file: 'book',
      on: /\/book/,
      bids: 'bids',
      asks: 'asks',
      ...level,
      time: iso('time'),
    },
    {
      kind: 'trades',
      symbol: 'BTC/USD',
      file: 'trades',
      on: /\/trades/,
      id: 'trade_id',
      price: 'price',
      amount: 'size',
      time: iso('time'),
      // "side": the maker's.
      side: { at: 'side', buy: 'sell', sell: 'buy' },
    },
    { kind: 'ohlcv', symbol: 'BTC/USD', interval: '1m', file: 'candles', on: /\/candles/, ...candle },
    {
      kind: 'ticker',
      symbol: 'SKL/GBP',
      file: 'ws_ticker',
      feed: true,
      bid: 'best_bid',
      ask: 'best_ask',
      last: 'price',
      time: iso('time'),
    },
    {
      kind: 'trades',
      symbol: 'SKL/USD',
      file: 'ws_match',
      feed: true,
      of: (answer) => [answer],
      id: 'trade_id',
      price: 'price',
      amount: 'size',
      time: iso('time'),
      side: { at: 'side', buy: 'sell', sell: 'buy' },
    },
  ],
};

// "side": the maker's here too.
const trade = {
  kind: 'trades',
  symbol: 'BTC/USD',
  id: 'trade_id',
  price: 'price',
  amount: 'size',
  time: iso('time'),
  side: { at: 'side', buy: 'SELL', sell: 'BUY' },
} as const;

export const COINBASE: VenueTable = {
  exchange: 'coinbase',
  routes: [
    [/\/market\/products\?(?!.*FUTURE)/, 'products'],
    [/\/currencies\/crypto/, 'crypto'],
    [/\/currencies( |\?|$)/, 'fiat'],
    [/\/exchange-rates/, 'rates'],
  ],
  empty: [[/product_type=FUTURE/, { products: [] }]],
  checks: [
    {
      kind: 'ticker',
      symbol: 'BTC/USD',
      file: 'ticker',
      on: /\/ticker/,
      bid: 'best_bid',
      ask: 'best_ask',
      last: 'trades.0.price',
      time: iso('trades.0.time'),
    },
    { ...trade, file: 'ticker', on: /\/ticker/, of: 'trades' },
    {
      kind: 'orderbook',
      symbol: 'BTC/USD',
      file: 'book',
      on: /product_book/,
      of: 'pricebook',
      bids: 'bids',
      asks: 'asks',
      price: 'price',
      amount: 'size',
      time: iso('time'),
    },
    {
      kind: 'ohlcv',
      symbol: 'BTC/USD',
      interval: '1h',
      file: 'candles',
      on: /\/candles/,
      of: 'candles',
      time: seconds('start'),
      open: 'open',
      high: 'high',
      low: 'low',
      close: 'close',
      volume: 'volume',
    },
    {
      kind: 'ticker',
      symbol: 'BTC/USD',
      file: 'ws_ticker',
      feed: true,
      of: 'events.0.tickers.0',
      bid: 'best_bid',
      ask: 'best_ask',
      last: 'price',
      time: iso('/timestamp'),
    },
    { ...trade, file: 'ws_market_trades', feed: true, of: (answer) => at(answer, 'events.0.trades') },
  ],
};
