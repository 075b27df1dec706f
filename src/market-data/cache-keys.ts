/** Names of cached answers. Versioned, so that a release with another shape never reads an old one. */
import type { MarketRequest } from '../exchanges/exchange-client.js';

/** Simulated answers live apart from real ones even where both kinds of server share a Redis. */
export const keyPrefix = (sandbox: boolean): string => (sandbox ? 'mcds:v1:sandbox' : 'mcds:v1');

/** `request` holds the CCXT id and the canonical symbol; the parts cannot contain each other's separator in front. */
export const cacheKey = (prefix: string, request: MarketRequest): string => {
  const { kind, exchange, symbol } = request;
  switch (request.kind) {
    case 'ticker':
      return `${prefix}:${kind}:${exchange}:${symbol}`;
    case 'ohlcv':
      return `${prefix}:${kind}:${exchange}:${request.interval}:${request.limit}:${request.since ?? 'latest'}:${request.until ?? 'now'}:${symbol}`;
    case 'orderbook':
    case 'trades':
      return `${prefix}:${kind}:${exchange}:${request.limit}:${symbol}`;
  }
};
