/** hyperliquid.gitbook.io: "Info endpoint", "Perpetuals", "Spot", "WebSocket". */
import type { VenueTable } from '../checks.js';
import { at, ms } from '../payload.js';

// Neither a last trade nor quotes: the middle of the book, and what a fixed notional would cost.
const ticker = { kind: 'ticker', bid: null, ask: null, last: null, time: null } as const;
const book = { kind: 'orderbook', price: 'px', amount: 'sz', time: ms('time') } as const;

export const HYPERLIQUID: VenueTable = {
  exchange: 'hyperliquid',
  routes: [
    [/"spotMetaAndAssetCtxs"/, 'spotMetaAndAssetCtxs'],
    [/"spotMeta"/, 'spotMeta'],
    [/"metaAndAssetCtxs"/, 'metaAndAssetCtxs'],
    [/"meta"/, 'meta'],
  ],
  empty: [[/"perpDexs"/, [null]]],
  checks: [
    { ...ticker, symbol: 'BTC/USDC:USDC', file: 'metaAndAssetCtxs', on: /"metaAndAssetCtxs"/, of: '1.0' },
    { ...ticker, symbol: 'ETH/USDC:USDC', file: 'metaAndAssetCtxs', on: /"metaAndAssetCtxs"/, of: '1.1' },
    { ...ticker, symbol: 'PURR/USDC', file: 'spotMetaAndAssetCtxs', on: /"spotMetaAndAssetCtxs"/, of: '1.0' },
    { ...book, symbol: 'BTC/USDC:USDC', file: 'l2Book', on: /"l2Book"/, bids: 'levels.0', asks: 'levels.1' },
    {
      kind: 'ohlcv',
      symbol: 'PURR/USDC',
      interval: '1d',
      file: 'candleSnapshot',
      on: /"candleSnapshot"/,
      rename: [['@107', 'PURR/USDC']],
      time: ms('t'),
      open: 'o',
      high: 'h',
      low: 'l',
      close: 'c',
      volume: 'v',
    },
    {
      ...book,
      symbol: 'BTC/USDC:USDC',
      file: 'ws_l2Book',
      feed: true,
      of: 'data',
      bids: 'levels.0',
      asks: 'levels.1',
    },
    {
      kind: 'trades',
      symbol: 'BTC/USDC:USDC',
      file: 'recentTrades',
      feed: true,
      // The list that the feed sends in its envelope.
      answer: (recording) => ({ channel: 'trades', data: recording }),
      of: 'data',
      id: 'tid',
      price: 'px',
      amount: 'sz',
      time: ms('time'),
      // "A": the taker sold to the bid; "B": bought.
      side: { at: 'side', buy: 'B', sell: 'A' },
      send: (_, recording) => [{ channel: 'trades', data: at(recording, 'data') }],
    },
  ],
};
