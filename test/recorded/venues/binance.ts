/** developers.binance.com: Spot "REST API", "USDⓈ-M Futures" and "COIN-M Futures". */
import type { Check, Route, VenueTable } from '../checks.js';
import { ms } from '../payload.js';

const LISTS: readonly Route[] = [[/\/exchangeInfo/, 'exchangeInfo']];
const level = { price: '0', amount: '1' };
const trades = {
  kind: 'trades',
  file: 'aggTrades',
  on: /\/aggTrades/,
  id: 'a',
  price: 'p',
  amount: 'q',
  time: ms('T'),
  // "m": is the buyer the maker?
  side: { at: 'm', buy: false, sell: true },
} as const;
const candles = {
  kind: 'ohlcv',
  file: 'klines',
  on: /\/klines/,
  time: ms('0'),
  open: '1',
  high: '2',
  low: '3',
  close: '4',
  volume: '5',
} as const;

interface Contracts {
  readonly exchange: string;
  readonly symbol: string;
  /** Where the one ticker is. */
  readonly of: string;
  readonly volume: string;
}

const contracts = ({ exchange, symbol, of, volume }: Contracts): VenueTable => ({
  exchange,
  routes: LISTS,
  checks: [
    // Neither bid nor ask: those are bookTicker's.
    {
      kind: 'ticker',
      symbol,
      file: 'ticker',
      on: /\/ticker\/24hr/,
      of,
      bid: null,
      ask: null,
      last: 'lastPrice',
      time: ms('closeTime'),
    },
    {
      kind: 'orderbook',
      symbol,
      file: 'depth',
      on: /\/depth/,
      bids: 'bids',
      asks: 'asks',
      ...level,
      time: ms('T'),
    },
    { ...trades, symbol },
    { ...candles, symbol, interval: '1d', volume },
  ],
});

const symbol = 'BTC/USDT';
const spot: readonly Check[] = [
  {
    kind: 'ticker',
    symbol,
    file: 'ticker',
    on: /\/ticker\/24hr/,
    bid: 'bidPrice',
    ask: 'askPrice',
    last: 'lastPrice',
    time: ms('closeTime'),
  },
  {
    kind: 'orderbook',
    symbol,
    file: 'depth',
    on: /\/depth/,
    bids: 'bids',
    asks: 'asks',
    ...level,
    time: null,
  },
  { ...trades, symbol },
  { ...candles, symbol, interval: '1h' },
];

export const BINANCE: readonly VenueTable[] = [
  { exchange: 'binance', routes: LISTS, checks: spot },
  contracts({ exchange: 'binanceusdm', symbol: 'BTC/USDT:USDT', of: '', volume: '5' }),
  // Its sixth member counts contracts, its eighth is the "Base asset volume".
  contracts({ exchange: 'binancecoinm', symbol: 'BTC/USD:BTC', of: '0', volume: '7' }),
];
