/** bingx-api.github.io: "Spot Market Data", "USDT-M Perpetual Futures". */
import type { VenueTable } from '../checks.js';
import { ms } from '../payload.js';

const price = { bid: 'bidPrice', ask: 'askPrice', last: 'lastPrice' };
const level = { kind: 'orderbook', price: '0', amount: '1' } as const;
const trade = { kind: 'trades', of: 'data', price: 'price', amount: 'qty', time: ms('time') } as const;

export const BINGX: VenueTable = {
  exchange: 'bingx',
  routes: [
    [/\/common\/symbols/, 'symbols'],
    [/\/swap\/.*\/contracts/, 'contracts'],
  ],
  empty: [[/cswap|coins/, { code: 0, data: [] }]],
  checks: [
    {
      kind: 'ticker',
      symbol: 'BTC/USDT',
      file: 'ticker',
      on: /\/spot\/.*\/ticker/,
      of: 'data.0',
      ...price,
      time: ms('closeTime'),
    },
    {
      ...level,
      symbol: 'BTC/USDT',
      file: 'depth',
      on: /\/spot\/.*\/depth/,
      bids: 'data.bids',
      asks: 'data.asks',
      time: ms('data.ts'),
    },
    {
      ...trade,
      symbol: 'BTC/USDT',
      file: 'trades',
      on: /\/spot\/.*\/trades/,
      id: 'id',
      side: { at: 'buyerMaker', buy: false, sell: true },
    },
    {
      kind: 'ohlcv',
      symbol: 'BTC/USDT',
      interval: '1m',
      file: 'klines',
      on: /\/spot\/.*\/kline/,
      of: 'data',
      time: ms('0'),
      open: '1',
      high: '2',
      low: '3',
      close: '4',
      volume: '5',
    },
    {
      kind: 'ticker',
      symbol: 'BTC/USDT:USDT',
      file: 'fticker',
      on: /\/swap\/.*\/ticker/,
      rename: [['SFP-USDT', 'BTC-USDT']],
      of: 'data',
      ...price,
      time: ms('closeTime'),
    },
    {
      ...level,
      symbol: 'BTC/USDT:USDT',
      file: 'fdepth',
      on: /\/swap\/.*\/depth/,
      bids: 'data.bids',
      asks: 'data.asks',
      time: ms('data.T'),
    },
    {
      ...trade,
      symbol: 'BTC/USDT:USDT',
      file: 'ftrades',
      on: /\/swap\/.*\/trades/,
      id: null,
      side: { at: 'isBuyerMaker', buy: false, sell: true },
    },
    {
      kind: 'ohlcv',
      symbol: 'BTC/USDT:USDT',
      interval: '1h',
      file: 'fklines',
      on: /\/swap\/.*\/klines/,
      of: 'data',
      time: ms('time'),
      open: 'open',
      high: 'high',
      low: 'low',
      close: 'close',
      volume: 'volume',
    },
    // "C" is REST's closeTime; "E" would be when the message was made.
    {
      kind: 'ticker',
      symbol: 'ETH/USDT:USDT',
      file: 'ws_ticker',
      feed: true,
      of: 'data',
      bid: 'B',
      ask: 'A',
      last: 'c',
      time: ms('C'),
    },
  ],
};
