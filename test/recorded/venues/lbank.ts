/** lbank.com/docs: "Trades List" (trades.do) in place of "Recent Transactions List" (supplement/trades.do). */
import type { VenueTable } from '../checks.js';
import { at, ms, seconds } from '../payload.js';

const tradesDo = (recording: unknown): unknown[] => {
  const rows = at(recording, 'data');
  return Array.isArray(rows)
    ? rows.map((trade: unknown) => ({
        date_ms: at(trade, 'time'),
        amount: at(trade, 'qty'),
        price: at(trade, 'price'),
        type: at(trade, 'isBuyerMaker') === true ? 'sell' : 'buy',
        tid: at(trade, 'id'),
      }))
    : [];
};

/** lbank.com/docs: "Basic Market". */
export const LBANK: VenueTable = {
  exchange: 'lbank',
  routes: [[/\/accuracy/, 'accuracy']],
  empty: [
    [
      /instrument|contract|currency|withdraw|asset/i,
      { result: 'true', success: true, data: [], error_code: 0 },
    ],
  ],
  checks: [
    {
      kind: 'trades',
      symbol: 'PCH/USDT',
      file: 'trades',
      // Of /v2/supplement/trades.do; this server asks /v2/trades.do, whose rows have other names.
      on: /\/trades/,
      answer: (recording) => ({ result: 'true', error_code: 0, data: tradesDo(recording) }),
      of: 'data',
      id: 'tid',
      price: 'price',
      amount: 'amount',
      time: ms('date_ms'),
      side: { at: 'type', buy: 'buy', sell: 'sell' },
    },
    {
      kind: 'ohlcv',
      symbol: 'PCH/USDT',
      interval: '1d',
      file: 'kline',
      on: /\/kline/,
      of: 'data',
      time: seconds('0'),
      open: '1',
      high: '2',
      low: '3',
      close: '4',
      volume: '5',
    },
  ],
};
