/** api-docs.poloniex.com: "Spot", "Futures". */
import type { VenueTable } from '../checks.js';
import { at, ms } from '../payload.js';

const BUY_SELL = { at: 'side', buy: 'buy', sell: 'sell' };
const LEVEL = { price: '0', amount: '1' };

const pairs =
  (list: string) =>
  (answer: unknown): unknown[] => {
    const flat = at(answer, list);
    return Array.isArray(flat)
      ? flat.flatMap((price: unknown, index) =>
          index % 2 === 0 ? [[price, flat[index + 1] as unknown]] : [],
        )
      : [];
  };
const polo = { open: '2', high: '1', low: '0', close: '3' };

export const POLONIEX: VenueTable = {
  exchange: 'poloniex',
  routes: [
    [/\/v3\/market\/allInstruments/, 'allInstruments'],
    [/\/currencies/, 'currencies'],
    [/\/markets\?/, 'markets'],
  ],
  checks: [
    {
      kind: 'ticker',
      symbol: 'BTC/USDT',
      file: 'ticker24h',
      on: /\/ticker24h/,
      bid: 'bid',
      ask: 'ask',
      last: 'close',
      time: ms('ts'),
    },
    {
      kind: 'orderbook',
      symbol: 'BTC/USDT',
      file: 'orderBook',
      on: /\/orderBook/,
      bids: pairs('bids'),
      asks: pairs('asks'),
      ...LEVEL,
      time: ms('time'),
    },
    {
      kind: 'trades',
      symbol: 'BTC/USDT',
      file: 'trades',
      on: /\/trades/,
      id: 'id',
      price: 'price',
      amount: 'quantity',
      time: ms('createTime'),
      side: { at: 'takerSide', buy: 'BUY', sell: 'SELL' },
    },
    {
      kind: 'ohlcv',
      symbol: 'BTC/USDT',
      interval: '1h',
      file: 'candles',
      on: /\/candles/,
      ...polo,
      volume: '5',
      time: ms('12'),
    },
    {
      kind: 'ticker',
      symbol: 'BTC/USDT:USDT',
      file: 'ftickers',
      on: /\/market\/tickers/,
      of: 'data.0',
      bid: 'bPx',
      ask: 'aPx',
      last: 'c',
      time: ms('cT'),
    },
    {
      kind: 'orderbook',
      symbol: 'BTC/USDT:USDT',
      file: 'forderBook',
      on: /\/orderBook/,
      of: 'data',
      bids: 'bids',
      asks: 'asks',
      ...LEVEL,
      time: ms('ts'),
    },
    {
      kind: 'trades',
      symbol: 'BTC/USDT:USDT',
      file: 'ftrades',
      on: /\/trades/,
      of: 'data',
      id: 'id',
      price: 'px',
      amount: 'qty',
      time: ms('cT'),
      side: BUY_SELL,
    },
    {
      kind: 'ohlcv',
      symbol: 'BTC/USDT:USDT',
      interval: '6h',
      file: 'fcandles',
      on: /\/candles/,
      of: 'data',
      ...polo,
      volume: '5',
      time: ms('7'),
    },
  ],
};
