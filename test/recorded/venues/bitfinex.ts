/** docs.bitfinex.com: "Public Endpoints", "WS Public Channels". */
import type { VenueTable } from '../checks.js';
import { at, ms } from '../payload.js';

const amount = (row: unknown): number => Math.abs(Number(at(row, '2')));
const sided = (sign: 1 | -1) => (answer: unknown) =>
  Array.isArray(answer)
    ? (answer as unknown[]).filter((row) => Math.sign(Number(at(row, '2'))) === sign)
    : [];

/** `/ticker/:symbol` answers without the symbol that each of `/tickers` begins with. */
const oneTicker = (recording: unknown): unknown[] => {
  const ticker = at(recording, '0');
  return Array.isArray(ticker) ? ticker.slice(1) : [];
};

export const BITFINEX: VenueTable = {
  exchange: 'bitfinex',
  routes: [
    [
      /pub:info:pair,/,
      (recording) => [at(recording('pair_info'), '0'), at(recording('futures_info'), '0'), [], []],
    ],
  ],
  empty: [
    [/pub:list:currency/, [['BTC', 'USD', 'ETH', 'UST', 'AAVE'], [], [], [], [], [], [], [], [], [], []]],
  ],
  checks: [
    {
      kind: 'ticker',
      symbol: 'BTC/USD',
      file: 'tickers',
      on: /\/ticker/,
      answer: oneTicker,
      bid: '0',
      ask: '2',
      last: '6',
      time: null,
    },
    {
      kind: 'orderbook',
      symbol: 'BTC/USD',
      file: 'book',
      on: /\/book\/tBTCUSD\/P0/,
      bids: sided(1),
      asks: sided(-1),
      price: '0',
      amount,
      time: null,
    },
    {
      kind: 'trades',
      symbol: 'BTC/USD',
      file: 'trades',
      on: /\/trades/,
      id: '0',
      price: '3',
      amount,
      time: ms('1'),
      side: { at: (row) => Math.sign(Number(at(row, '2'))), buy: 1, sell: -1 },
    },
    {
      kind: 'ohlcv',
      symbol: 'BTC/USD',
      interval: '1m',
      file: 'candles',
      on: /\/candles/,
      time: ms('0'),
      open: '1',
      close: '2',
      high: '3',
      low: '4',
      volume: '5',
    },
    {
      kind: 'ticker',
      symbol: 'BTC/USD',
      file: 'ws_ticker',
      feed: true,
      of: '1',
      bid: '0',
      ask: '2',
      last: '6',
      time: null,
      send: (frame, recording) => [
        { event: 'subscribed', channel: 'ticker', chanId: 1, symbol: at(frame, 'symbol'), pair: 'BTCUSD' },
        recording,
      ],
    },
  ],
};
