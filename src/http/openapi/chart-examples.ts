/** Answers of UDF and of OpenBB's files, by operation. */
import { udfConfigOf } from '../udf/config.js';
import { openBbFiles } from '../udf/openbb.js';

const ENABLED = ['binance'];
const OPENBB = openBbFiles(ENABLED);

const UDF_MARKET = {
  full_name: 'BINANCE:BTC/USDT',
  description: 'BTC/USDT on Binance',
  exchange: 'BINANCE',
  ticker: 'BINANCE:BTC/USDT',
  type: 'crypto',
};

export const CHART_EXAMPLES: Readonly<Record<string, unknown>> = {
  getUdfConfig: udfConfigOf(ENABLED),
  getUdfTime: 1_699_000_000,
  getUdfSymbol: {
    ...UDF_MARKET,
    ...{ name: 'BTC/USDT', listed_exchange: 'BINANCE', timezone: 'Etc/UTC', session: '24x7' },
    ...{ pricescale: 100, minmov: 1, has_intraday: true, intraday_multipliers: ['1', '5', '15', '60'] },
    ...{ has_daily: true, daily_multipliers: ['1'], has_weekly_and_monthly: false },
    supported_resolutions: ['1', '5', '15', '60', '1D'],
    ...{ volume_precision: 5, currency_code: 'USDT', format: 'price' },
  },
  searchUdf: [{ symbol: 'BTC/USDT', ...UDF_MARKET }],
  getUdfHistory: {
    s: 'ok',
    t: [1_698_998_400],
    o: [42500],
    h: [42600],
    l: [42400],
    c: [42505.5],
    v: [12.25],
  },
  getUdfTimescaleMarks: [
    {
      id: 'gap-1698998400000-1699002000000',
      time: 1_698_998_400,
      color: 'red',
      label: 'G',
      tooltip: ['No candles from 2023-11-03T08:00:00.000Z to 2023-11-03T09:00:00.000Z', 'unconfirmed'],
    },
  ],
  getUdfQuotes: {
    s: 'ok',
    d: [
      {
        s: 'ok',
        n: 'BINANCE:BTC/USDT',
        v: {
          ...{ lp: 42505, bid: 42500, ask: 42510, volume: 1234.5, ch: 105, chp: 0.25 },
          ...{ open_price: 42400, high_price: 42600, low_price: 42100 },
          ...{ short_name: 'BTC/USDT', exchange: 'BINANCE', original_name: 'BINANCE:BTC/USDT' },
          description: 'BTC/USDT on Binance',
        },
      },
    ],
  },
  getOpenBbWidgets: OPENBB.widgets,
  getOpenBbApps: OPENBB.apps,
};
