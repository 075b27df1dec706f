/** From a caller's query to what a venue is asked. */
import type { ExchangeId, UnifiedSymbol } from '../schemas/common.js';
import type { MarketRequest } from '../exchanges/exchange-client.js';
import type { MarketQuery } from './market-data-api.js';

/** What the venue is asked: without the parts of a query that are ours alone. */
export const requestOf = (query: MarketQuery, exchange: ExchangeId, symbol: UnifiedSymbol): MarketRequest => {
  switch (query.kind) {
    case 'ticker':
      return { kind: 'ticker', exchange, symbol };
    case 'ohlcv': {
      const { kind, interval, since, until, limit } = query;
      return { kind, exchange, symbol, interval, since, until, limit };
    }
    case 'orderbook':
    case 'trades':
      return { kind: query.kind, exchange, symbol, limit: query.limit };
  }
};
