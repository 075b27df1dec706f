/** docs.upbit.com: "Quotation". */
import type { VenueTable } from '../checks.js';
import { at, iso, ms } from '../payload.js';

const LEVEL = { price: '0', amount: '1' };

const levels = (answer: unknown, side: 'bid' | 'ask'): unknown[] => {
  const units = at(answer, 'orderbook_units');
  return Array.isArray(units)
    ? units.map((unit: unknown) => [at(unit, `${side}_price`), at(unit, `${side}_size`)])
    : [];
};

const upbitTicker = {
  kind: 'ticker',
  bid: null,
  ask: null,
  last: 'trade_price',
  time: ms('trade_timestamp'),
} as const;

const upbitTrade = {
  kind: 'trades',
  id: 'sequential_id',
  price: 'trade_price',
  amount: 'trade_volume',
  side: { at: 'ask_bid', buy: 'BID', sell: 'ASK' },
} as const;

export const UPBIT: VenueTable = {
  exchange: 'upbit',
  routes: [[/\/market\/all/, 'market_all']],
  checks: [
    { ...upbitTicker, symbol: 'BTC/KRW', file: 'ticker', on: /\/ticker/, of: '0' },
    {
      kind: 'orderbook',
      symbol: 'BTC/KRW',
      file: 'orderbook',
      on: /\/orderbook/,
      of: '0',
      bids: (answer) => levels(answer, 'bid'),
      asks: (answer) => levels(answer, 'ask'),
      ...LEVEL,
      time: ms('timestamp'),
    },
    { ...upbitTrade, symbol: 'BTC/KRW', file: 'ticks', on: /\/trades\/ticks/, time: ms('timestamp') },
    {
      kind: 'ohlcv',
      symbol: 'BTC/KRW',
      interval: '1s',
      file: 'candles',
      on: /\/candles\//,
      time: iso('candle_date_time_utc'),
      open: 'opening_price',
      high: 'high_price',
      low: 'low_price',
      close: 'trade_price',
      volume: 'candle_acc_trade_volume',
    },
    { ...upbitTicker, symbol: 'ETH/KRW', file: 'ws_ticker', feed: true },
    {
      ...upbitTrade,
      symbol: 'ETH/KRW',
      file: 'ws_trade',
      feed: true,
      of: (answer) => [answer],
      time: ms('trade_timestamp'),
    },
  ],
};
