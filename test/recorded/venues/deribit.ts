/** docs.deribit.com: "Market data", "Subscriptions". */
import type { VenueTable } from '../checks.js';
import { at, ms } from '../payload.js';

const symbol = 'BTC/USD:BTC';
const ticker = {
  kind: 'ticker',
  symbol,
  bid: 'best_bid_price',
  ask: 'best_ask_price',
  last: 'last_price',
  time: ms('timestamp'),
} as const;
const trades = {
  kind: 'trades',
  symbol,
  id: 'trade_id',
  price: 'price',
  amount: 'amount',
  time: ms('timestamp'),
  side: { at: 'direction', buy: 'buy', sell: 'sell' },
} as const;
/** Columns as rows. */
const rows = (answer: unknown): unknown[] => {
  const ticks = at(answer, 'result.ticks');
  const cell = (name: string, index: number): unknown => at(answer, `result.${name}.${index}`);
  return Array.isArray(ticks)
    ? ticks.map((time: unknown, index) => [
        time,
        ...['open', 'high', 'low', 'close', 'volume'].map((name) => cell(name, index)),
      ])
    : [];
};

export const DERIBIT: VenueTable = {
  exchange: 'deribit',
  routes: [
    [/get_currencies/, 'currencies'],
    [/get_instruments/, 'instruments'],
  ],
  checks: [
    { ...ticker, file: 'ticker', on: /\/ticker/, of: 'result' },
    {
      kind: 'orderbook',
      symbol,
      file: 'order_book',
      on: /get_order_book/,
      of: 'result',
      bids: 'bids',
      asks: 'asks',
      price: '0',
      amount: '1',
      time: ms('timestamp'),
    },
    { ...trades, file: 'last_trades', on: /get_last_trades/, of: 'result.trades' },
    {
      kind: 'ohlcv',
      symbol,
      interval: '1m',
      file: 'chart',
      on: /get_tradingview_chart_data/,
      of: rows,
      time: ms('0'),
      open: '1',
      high: '2',
      low: '3',
      close: '4',
      volume: '5',
    },
    { ...ticker, file: 'ws_ticker', feed: true, of: 'params.data' },
    { ...trades, file: 'ws_trades', feed: true, of: 'params.data' },
  ],
};
