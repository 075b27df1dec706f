/** What a venue offers by CCXT's own tables: kinds of data, feeds, intervals, and how its candles and order books come. */
import { sortIntervals } from '../../lib/intervals.js';
import type { ExchangeId } from '../../schemas/common.js';
import { MARKET_KINDS, type Capabilities, type MarketKind } from '../../schemas/market.js';
import { CHANNELS } from '../../schemas/stream.js';
import type { ExchangeDescription } from '../exchange-client.js';
import { bookIntegrity } from '../venues/book-integrity.js';
import { venueQuirks } from '../venues/venue-quirks.js';
import { candleTraitsOf } from './candle-pages.js';
import type { CcxtExchange } from './ccxt-exchange.js';

const METHODS = {
  ticker: { fetch: 'fetchTicker', watch: 'watchTicker' },
  ohlcv: { fetch: 'fetchOHLCV', watch: 'watchOHLCV' },
  orderbook: { fetch: 'fetchOrderBook', watch: 'watchOrderBook' },
  trades: { fetch: 'fetchTrades', watch: 'watchTrades' },
} as const satisfies Record<MarketKind, { fetch: string; watch: string }>;

/** CCXT's `emulated` means made of other calls of the venue: a ticker of all tickers is still its own. */
const EMULATION_ALLOWED = new Set<string>([METHODS.ticker.fetch]);

/** Whether CCXT's table says that the venue has what this method asks for. */
export const can = ({ has }: CcxtExchange, method: string): boolean => {
  if (!Object.hasOwn(has, method)) return false;
  return has[method] === true || (has[method] === 'emulated' && EMULATION_ALLOWED.has(method));
};

/** Whether a kind of data can be had over REST (`fetch`) or as a feed (`watch`). */
export const hasMethod = (ccxt: CcxtExchange, kind: MarketKind, via: 'fetch' | 'watch'): boolean =>
  can(ccxt, METHODS[kind][via]);

export const describeExchange = (exchange: ExchangeId, ccxt: CcxtExchange): ExchangeDescription => {
  const [ticker = false, ohlcv = false, orderbook = false, trades = false] = MARKET_KINDS.map((kind) =>
    hasMethod(ccxt, kind, 'fetch'),
  );
  const watchable = CHANNELS.filter((channel) => hasMethod(ccxt, channel, 'watch'));
  const stream = watchable.includes('ticker') ? 'websocket' : ticker ? 'polling' : null;
  const capabilities: Capabilities = { ticker, ohlcv, orderbook, trades, stream };
  // Some have candles in their feeds only.
  const hasCandles = ohlcv || watchable.includes('ohlcv');
  const { features } = ccxt;
  return {
    exchange,
    name: typeof ccxt.name === 'string' ? ccxt.name : exchange,
    capabilities,
    watchable,
    bookIntegrity: watchable.includes('orderbook') ? bookIntegrity(exchange) : orderbook ? 'snapshot' : null,
    intervals: hasCandles ? sortIntervals(Object.keys(ccxt.timeframes ?? {})) : [],
    candles: {
      spot: candleTraitsOf(venueQuirks(exchange, { features, contract: false })),
      contract: candleTraitsOf(venueQuirks(exchange, { features, contract: true })),
    },
  };
};
