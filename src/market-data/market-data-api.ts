/**
 * What the market-data service offers to HTTP routes, streams and MCP: finished bytes and the truth about them.
 * Implemented by market-data.ts.
 */
import type { AppError } from '../errors.js';
import type { ResolvedExchange } from '../exchanges/exchange-names.js';
import type { ExchangeEntry, MarketsPage, TickerStats } from '../schemas/market.js';
import type { Millis, UnifiedSymbol, ExchangeId } from '../schemas/common.js';
import type { MarketRequest } from '../exchanges/exchange-client.js';

export type CacheState = 'HIT' | 'MISS' | 'STALE' | 'LIVE' | 'STORE';

/** A request as a caller words it: `exchange` is the name asked for (an alias perhaps), lower case. */
export type MarketQuery = MarketRequest & {
  /** Ticker only: currency of a CoinMarketCap quote; default the symbol's quote currency. */
  readonly convert?: string | undefined;
  /** Ticker only: with the venue's last 24 hours in the body. Default false. */
  readonly stats?: boolean | undefined;
  /** false: a CoinMarketCap quote is no substitute (streams show venues only). Default true. */
  readonly fallback?: boolean | undefined;
  /** Who asks: those who wait for a venue take turns by client. */
  readonly client?: string | undefined;
  /** Candles only. false: what cannot be fetched in time is not queued as a backfill. Default true. */
  readonly mayBackfill?: boolean | undefined;
};

export interface ServedAnswer {
  /** The complete JSON of the contract, with the exchange name that was asked for. Shared: never modify. */
  readonly body: Buffer;
  /** Strong validator, quoted. */
  readonly etag: string;
  readonly cache: CacheState;
  readonly receivedAt: Millis;
  /** Fresh before this instant; in the past for STALE; equal to receivedAt where the answer may not be cached. */
  readonly freshUntil: Millis;
  /** Data-Source header: `binance; via=rest`, `binance; via=websocket`, `coinmarketcap`, `sandbox; via=rest`. */
  readonly source: string;
  /** Ticker or order book: the venue gave no time, and `timestamp` is that of receipt. */
  readonly untimed?: true | undefined;
  /** Ticker: the venue's last 24 hours, whether or not the body has them. Absent: it gives none. */
  readonly stats?: TickerStats | undefined;
}

export interface TickersQuery {
  /** The name asked for, lower case. */
  readonly exchange: string;
  /** As the caller wrote them, each once. */
  readonly symbols: readonly string[];
  /** With the venue's last 24 hours. */
  readonly stats?: boolean | undefined;
  readonly client?: string | undefined;
}

/** Both in the order asked. */
export interface TickersFound {
  readonly tickers: readonly ServedAnswer[];
  readonly errors: readonly { readonly symbol: string; readonly error: AppError }[];
}

export interface MarketsFilter {
  readonly exchange: string;
  readonly base?: string | undefined;
  readonly quote?: string | undefined;
  readonly search?: string | undefined;
  readonly limit: number;
  readonly cursor?: string | undefined;
}

export interface MarketData {
  /** Rejects with an AppError; never with anything else. */
  get(query: MarketQuery, signal?: AbortSignal): Promise<ServedAnswer>;
  /** Tells at any later time whether `get` would serve the last tick of a running stream. Makes no request. */
  livenessOf(query: Pick<MarketQuery, 'exchange' | 'symbol'>): () => boolean;
  /** One page of a venue's markets, sorted by symbol; `loadedAt` is their age's start. */
  markets(
    filter: MarketsFilter,
    signal?: AbortSignal,
  ): Promise<{ readonly page: MarketsPage; readonly loadedAt: Millis }>;
  exchanges(): Promise<readonly ExchangeEntry[]>;
  /** Throws `unknown_exchange` or `exchange_not_enabled`. */
  resolveExchange(name: string): ResolvedExchange;
  /** Of an exchange that need not be enabled: its stored candles are served all the same. Throws `unknown_exchange`. */
  resolveStoredExchange(name: string): ResolvedExchange;
  /** The name under which an exchange is listed: as it was enabled, else its id. */
  listedName(exchange: ExchangeId): string;
}

export interface AnswersAtHand {
  /**
   * What `get` would serve without any wait: the last tick of a running stream, or an entry of the cache in memory that is
   * fresh. undefined: there is none. `as`: the exchange that the query names. Never throws.
   */
  atHand(query: MarketQuery, as: ResolvedExchange): ServedAnswer | undefined;
}

export interface ListedMarkets {
  /** Whether a market is known to have exactly this symbol: `false` also where no list is loaded. Never rejects. */
  lists(exchange: ExchangeId, symbol: string): Promise<boolean>;
}

export interface ManyTickers {
  /** Several tickers of one exchange, of the venue alone. Rejects with an AppError, where the caller left among others. */
  tickers(query: TickersQuery, signal?: AbortSignal): Promise<TickersFound>;
}

/** The last tick of a running stream, for REST answers that cost the venue nothing. */
export interface LiveTicker {
  readonly symbol: UnifiedSymbol;
  readonly bid: number | null;
  readonly ask: number | null;
  readonly last: number | null;
  readonly timestamp: Millis;
  readonly stats: TickerStats;
  /** The venue's own object as JSON text. */
  readonly rawJson: string;
  readonly receivedAt: Millis;
}

export interface LiveTickers {
  /** undefined unless the topic's feed is live over WebSocket at this moment. */
  latest(exchange: ExchangeId, symbol: UnifiedSymbol): LiveTicker | undefined;
}

export type Via = 'rest' | 'websocket' | 'store' | 'store+rest';

export const COINMARKETCAP = 'coinmarketcap';

/** `binance; via=rest`; while the venues are simulated `sandbox; via=rest`. */
export const venueSource = (exchange: ExchangeId, via: Via, sandbox: boolean): string =>
  `${sandbox ? 'sandbox' : exchange}; via=${via}`;

/** Of a quote that stands in for a venue. */
export const coinMarketCapSource = (sandbox: boolean): string =>
  sandbox ? `sandbox; via=${COINMARKETCAP}` : COINMARKETCAP;

/** Of what this server says of itself: its settings and its catalogue of exchanges. */
export const ownSource = (sandbox: boolean): string => (sandbox ? 'sandbox; via=rest' : 'server');
