/** huobiapi.github.io/docs: "Spot", "USDT-M". */
import type { VenueTable } from '../checks.js';
import { at, ms, seconds } from '../payload.js';

const quote = { kind: 'ticker', of: 'tick', bid: 'bid.0', ask: 'ask.0', last: 'close' } as const;
const book = {
  kind: 'orderbook',
  of: 'tick',
  bids: 'bids',
  asks: 'asks',
  price: '0',
  amount: '1',
  time: ms('ts'),
} as const;
const candle = { kind: 'ohlcv', of: 'data', open: 'open', high: 'high', low: 'low', close: 'close' } as const;
/** Fills, which come in groups by the order that took them. */
const fills = (answer: unknown): unknown[] => {
  const groups = at(answer, 'data');
  return Array.isArray(groups)
    ? groups.flatMap((group: unknown) => {
        const rows = at(group, 'data');
        return Array.isArray(rows) ? (rows as unknown[]) : [];
      })
    : [];
};
const trade = {
  kind: 'trades',
  of: fills,
  price: 'price',
  amount: 'amount',
  time: ms('ts'),
  side: { at: 'direction', buy: 'buy', sell: 'sell' },
} as const;

export const HTX: VenueTable = {
  exchange: 'htx',
  routes: [
    [/\/v1\/common\/symbols/, 'symbols'],
    [/\/linear-swap-api\/v1\/swap_contract_info/, 'swap_contract_info'],
    [/\/swap-api\/v1\/swap_contract_info/, 'coin_swap_contract_info'],
    [/\/contract_contract_info/, 'contract_contract_info'],
    [/\/v2\/reference\/currencies/, 'currencies'],
  ],
  checks: [
    { ...quote, symbol: 'BTC/USDT', file: 'merged', on: /\/market\/detail\/merged/, time: ms('/ts') },
    { ...book, symbol: 'BTC/USDT', file: 'depth', on: /\/market\/depth/ },
    {
      ...candle,
      symbol: 'BTC/USDT',
      interval: '5m',
      file: 'kline',
      on: /\/history\/(kline|candles)/,
      time: seconds('id'),
      volume: 'amount',
    },
    { ...trade, symbol: 'BTC/USDT', file: 'trade', on: /\/market\/(history\/)?trade/, id: 'trade-id' },
    { ...quote, symbol: 'BTC/USDT:USDT', file: 'fmerged', on: /\/detail\/merged/, time: ms('ts') },
    { ...book, symbol: 'BTC/USDT:USDT', file: 'fdepth', on: /\/market\/depth/ },
    {
      ...candle,
      symbol: 'BTC/USDT:USDT',
      interval: '1m',
      file: 'fkline',
      on: /\/kline/,
      time: seconds('id'),
      volume: 'amount',
    },
    { ...trade, symbol: 'BTC/USDT:USDT', file: 'ftrade', on: /\/market\/(history\/)?trade/, id: 'id' },
  ],
};
