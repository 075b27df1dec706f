/** Names of cached answers, and what is taken over under such a name from a tier that others write to as well. */
import type { MarketRequest } from '../exchanges/exchange-client.js';
import type { AdmitEntry } from '../cache/shared-tier.js';
import type { CacheEntry } from '../cache/cache-entry.js';
import { MARKET_KINDS, ohlcv, orderBook, ticker, trades, type MarketKind } from '../schemas/market.js';
import { COINMARKETCAP } from './market-data-api.js';
import { longestLife, type FreshnessSettings } from './freshness.js';

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

const BODIES = { ticker, ohlcv, orderbook: orderBook, trades } as const;

const kindOf = (text: string | undefined): MarketKind | undefined =>
  MARKET_KINDS.find((kind) => kind === text);

export interface SharedEntriesOptions {
  /** In front of every key, without the colon that follows. */
  readonly prefix: string;
  readonly ttl: FreshnessSettings;
}

/**
 * Judges what is taken from a tier that others write to as well. A program that can write there can write prices, but not
 * make them stay: an entry lives no longer than one that this server made would, and is a body of its kind. A body is
 * parsed once, when it is taken over; its bytes are what is served afterwards.
 */
export const createAdmission = ({ prefix, ttl }: SharedEntriesOptions): AdmitEntry => {
  const clamped = (entry: CacheEntry, kind: MarketKind, interval: string | undefined): CacheEntry => {
    const { receivedAt, closesAt } = entry;
    const life = longestLife({ kind, interval, moving: closesAt !== null }, ttl);
    const freshUntil = Math.min(entry.freshUntil, receivedAt + life);
    const staleUntil = Math.min(entry.staleUntil, Math.max(freshUntil, receivedAt + ttl.staleIfErrorMs));
    return { ...entry, freshUntil, staleUntil };
  };

  return (key, entry) => {
    if (!key.startsWith(`${prefix}:`)) return undefined;
    const [named, exchange, interval] = key.slice(prefix.length + 1).split(':', 3);
    const kind = kindOf(named);
    if (kind === undefined) return undefined;
    let json: unknown;
    try {
      json = JSON.parse(entry.body.toString());
    } catch {
      return undefined;
    }
    const { data } = BODIES[kind].safeParse(json);
    if (data === undefined || (data.exchange !== exchange && data.exchange !== COINMARKETCAP))
      return undefined;
    return clamped(entry, kind, interval);
  };
};
