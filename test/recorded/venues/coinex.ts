/** docs.coinex.com/api/v2: "Market". */
import type { VenueTable } from '../checks.js';
import { ms } from '../payload.js';

const BUY_SELL = { at: 'side', buy: 'buy', sell: 'sell' };
const LEVEL = { price: '0', amount: '1' };

export const COINEX: VenueTable = {
  exchange: 'coinex',
  routes: [[/\/spot\/market/, 'market']],
  empty: [[/\/futures\/market|deposit-withdraw/, { code: 0, data: [] }]],
  checks: [
    {
      kind: 'ticker',
      symbol: 'BTC/USDT',
      file: 'ticker',
      on: /\/spot\/ticker/,
      rename: [['LATUSDT', 'BTCUSDT']],
      of: 'data.0',
      bid: null,
      ask: null,
      last: 'last',
      time: null,
    },
    {
      kind: 'orderbook',
      symbol: 'BTC/USDT',
      file: 'depth',
      on: /\/spot\/depth/,
      of: 'data.depth',
      bids: 'bids',
      asks: 'asks',
      ...LEVEL,
      time: ms('updated_at'),
    },
    {
      kind: 'trades',
      symbol: 'BTC/USDT',
      file: 'deals',
      on: /\/spot\/deals/,
      of: 'data',
      id: 'deal_id',
      price: 'price',
      amount: 'amount',
      time: ms('created_at'),
      side: BUY_SELL,
    },
  ],
};
