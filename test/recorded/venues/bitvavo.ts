/** docs.bitvavo.com: REST v2. */
import type { VenueTable } from '../checks.js';
import { ms } from '../payload.js';

export const BITVAVO: VenueTable = {
  exchange: 'bitvavo',
  routes: [[/\/markets/, 'markets']],
  empty: [[/\/assets/, []]],
  checks: [
    {
      kind: 'ticker',
      symbol: 'BTC/EUR',
      file: 'ticker24h',
      on: /\/ticker\/24h/,
      bid: 'bid',
      ask: 'ask',
      last: 'last',
      time: ms('timestamp'),
    },
    {
      kind: 'ohlcv',
      symbol: 'BTC/EUR',
      interval: '1h',
      file: 'candles',
      on: /\/candles/,
      time: ms('0'),
      open: '1',
      high: '2',
      low: '3',
      close: '4',
      volume: '5',
    },
  ],
};
