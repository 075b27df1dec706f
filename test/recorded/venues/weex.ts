/** weex.com/api-doc: "Spot V3", "Contract V3". */
import type { VenueTable } from '../checks.js';
import { ms } from '../payload.js';

const LEVEL = { price: '0', amount: '1' };

const weexTrade = {
  kind: 'trades',
  id: 'id',
  price: 'price',
  amount: 'qty',
  time: ms('time'),
  side: { at: 'isBuyerMaker', buy: false, sell: true },
} as const;

const weexCandle = {
  kind: 'ohlcv',
  interval: '1m',
  time: ms('0'),
  open: '1',
  high: '2',
  low: '3',
  close: '4',
  volume: '5',
} as const;

export const WEEX: VenueTable = {
  exchange: 'weex',
  routes: [
    [/\/capi\/.*exchangeInfo/, 'fexchangeInfo'],
    [/exchangeInfo/, 'exchangeInfo'],
    [/coins/, 'coins'],
  ],
  checks: [
    {
      kind: 'ticker',
      symbol: 'BTC/USDT',
      file: 'ticker',
      on: /ticker/,
      of: '0',
      bid: 'bidPrice',
      ask: 'askPrice',
      last: 'lastPrice',
      time: ms('closeTime'),
    },
    {
      kind: 'orderbook',
      symbol: 'BTC/USDT',
      file: 'depth',
      on: /depth/,
      bids: 'bids',
      asks: 'asks',
      ...LEVEL,
      time: null,
    },
    { ...weexTrade, symbol: 'BTC/USDT', file: 'trades', on: /trades/i },
    { ...weexCandle, symbol: 'BTC/USDT', file: 'klines', on: /klines/i },
    {
      kind: 'ticker',
      symbol: 'BTC/USDT:USDT',
      file: 'fticker',
      on: /ticker/,
      of: '0',
      bid: null,
      ask: null,
      last: 'lastPrice',
      time: ms('closeTime'),
    },
    {
      kind: 'orderbook',
      symbol: 'BTC/USDT:USDT',
      file: 'fdepth',
      on: /depth/,
      bids: 'bids',
      asks: 'asks',
      ...LEVEL,
      time: null,
    },
    { ...weexTrade, symbol: 'BTC/USDT:USDT', file: 'ftrades', on: /trades/i },
    { ...weexCandle, symbol: 'BTC/USDT:USDT', file: 'fklines', on: /klines/i },
  ],
};
