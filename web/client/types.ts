/**
 * What the server answers and sends, as types alone: a program that imports the client needs no schema library for them.
 * A type test holds them against the server's schemas.
 */

/** Of the venue's last 24 hours; null where it does not say. */
export interface TickerStats {
  readonly open: number | null;
  readonly high: number | null;
  readonly low: number | null;
  readonly volume: number | null;
  readonly quote_volume: number | null;
  readonly change_percent: number | null;
}

export interface Ticker {
  readonly exchange: string;
  readonly symbol: string;
  readonly bid: number | null;
  readonly ask: number | null;
  readonly last: number | null;
  /** Milliseconds since the epoch, by the venue's clock. */
  readonly timestamp: number;
  /** The venue's own object. */
  readonly raw: unknown;
  /** Where `stats: true` asked for it. */
  readonly stats?: TickerStats | undefined;
}

/** What is known of several symbols, and why nothing is known of the others. */
export interface Tickers {
  readonly exchange: string;
  /** In the order asked. */
  readonly tickers: readonly Ticker[];
  readonly errors: readonly { readonly symbol: string; readonly code: string; readonly detail: string }[];
}

export interface Candle {
  /** Begin of the period, in milliseconds since the epoch. */
  readonly timestamp: number;
  readonly open: number | null;
  readonly high: number | null;
  readonly low: number | null;
  readonly close: number | null;
  readonly volume: number | null;
  /** false while the period has not ended. */
  readonly closed: boolean;
}

/** A stretch without candles: from (inclusive) to (exclusive), in milliseconds since the epoch. */
export interface Gap {
  readonly from: number;
  readonly to: number;
  readonly reason: 'not_available_from_exchange' | 'no_trades' | 'unconfirmed' | 'not_loaded_yet';
}

export interface Ohlcv {
  readonly exchange: string;
  readonly symbol: string;
  readonly interval: string;
  /** Oldest first. */
  readonly candles: readonly Candle[];
  readonly gaps?: readonly Gap[] | undefined;
  /** `since` of the next request, where more candles follow. */
  readonly next_since?: number | undefined;
}

export interface PriceLevel {
  readonly price: number;
  readonly amount: number;
}

export interface OrderBook {
  readonly exchange: string;
  readonly symbol: string;
  /** Best first, as are asks. */
  readonly bids: readonly PriceLevel[];
  readonly asks: readonly PriceLevel[];
  readonly timestamp: number;
}

export interface Trade {
  /** null where the venue gives none. */
  readonly trade_id: string | null;
  readonly timestamp: number;
  readonly price: number | null;
  readonly amount: number | null;
  /** The taker's. */
  readonly side: 'buy' | 'sell' | null;
}

export interface Trades {
  readonly exchange: string;
  readonly symbol: string;
  /** Oldest first. */
  readonly trades: readonly Trade[];
}

export interface Market {
  readonly symbol: string;
  readonly id: string;
  readonly base: string;
  readonly quote: string;
  readonly settle: string | null;
  readonly type: string;
  readonly active: boolean | null;
  readonly price_step: number | null;
  readonly amount_step: number | null;
  readonly contract_size: number | null;
}

export interface MarketsPage {
  readonly exchange: string;
  readonly markets: readonly Market[];
  readonly next_cursor: string | null;
}

export interface Exchange {
  readonly id: string;
  readonly ccxt_id: string;
  readonly name: string;
  readonly capabilities: {
    readonly ticker: boolean;
    readonly ohlcv: boolean;
    readonly orderbook: boolean;
    readonly trades: boolean;
    readonly stream: 'websocket' | 'polling' | null;
  } | null;
  readonly intervals: readonly string[];
  readonly book_integrity: 'checksum' | 'sequence' | 'snapshot' | 'crosscheck' | null;
}

export interface Exchanges {
  readonly exchanges: readonly Exchange[];
}

export interface ExchangeStatus {
  readonly id: string;
  readonly ccxt_id: string;
  readonly state: 'idle' | 'loading' | 'ok' | 'cooling_down' | 'failing' | 'restarting';
  readonly feeds: {
    readonly live: number;
    readonly polling: number;
    readonly reconnecting: number;
    readonly stale: number;
  };
  readonly oldest_tick_age_ms: number | null;
  readonly budget: {
    readonly limit: number;
    readonly remaining: number;
    readonly resets_in_ms: number | null;
  };
  readonly cooldown_ms: number;
  readonly circuit: 'closed' | 'open' | 'half_open';
  readonly markets_age_ms: number | null;
  readonly reconnects: number;
  readonly last_error: {
    readonly code: string;
    readonly detail: string | null;
    readonly at: number;
  } | null;
}

interface ClusterTopic {
  readonly channel: string;
  readonly exchange: string;
  readonly symbol: string;
  readonly interval?: string | undefined;
  /** The server that holds its feed. */
  readonly owner: string;
}
/** Servers that share their feeds. */
export interface ClusterStatus {
  readonly server_id: string;
  readonly state: 'ok' | 'unshared' | 'degraded';
  readonly servers: readonly {
    readonly id: string;
    readonly since: number;
    readonly owned: number;
    readonly followed: number;
  }[];
  readonly owned: readonly ClusterTopic[];
  readonly followed: readonly ClusterTopic[];
}

export interface Status {
  readonly version: string;
  /** Seconds since the start. */
  readonly uptime: number;
  readonly sandbox: boolean;
  readonly features: Readonly<
    Record<'store' | 'backfill_api' | 'auth' | 'graphql' | 'udf' | 'dashboard', boolean>
  >;
  readonly exchanges: readonly ExchangeStatus[];
  readonly ledger: {
    readonly state: 'ok' | 'degraded' | 'disabled';
    readonly series: number | null;
    readonly candles: number | null;
    readonly bytes: number | null;
    readonly jobs: Readonly<Record<'queued' | 'running' | 'waiting' | 'failed', number>>;
  } | null;
  /** null where the server acts alone. */
  readonly cluster: ClusterStatus | null;
}

/** An error answer (RFC 9457). */
export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly instance: string;
  /** Stable: what programs act on. */
  readonly code: string;
  readonly retryable: boolean;
  readonly retry_after_ms?: number | undefined;
  readonly request_id: string;
}

interface OfMarket {
  /** What a client that comes back may name to be told what came since. Absent on what the client itself has fetched. */
  readonly id?: string | undefined;
  readonly exchange: string;
  readonly symbol: string;
  /** Present and true while the sandbox is the venue. */
  readonly sandbox?: true | undefined;
}
export interface TickerEvent extends OfMarket {
  readonly event_type: 'ticker';
  readonly bid: number | null;
  readonly ask: number | null;
  readonly last: number | null;
  readonly timestamp: number;
  readonly price_change_percent: number;
  /** Where the topic asked for it. */
  readonly stats?: TickerStats | undefined;
}
export interface TradesEvent extends OfMarket {
  readonly event_type: 'trades';
  readonly trades: readonly Trade[];
}
export interface OrderBookEvent extends OfMarket {
  readonly event_type: 'orderbook';
  readonly bids: readonly PriceLevel[];
  readonly asks: readonly PriceLevel[];
  readonly timestamp: number;
  readonly book_integrity: 'checksum' | 'sequence' | 'snapshot' | 'crosscheck';
}
export interface OhlcvEvent extends OfMarket {
  readonly event_type: 'ohlcv';
  readonly interval: string;
  readonly candles: readonly Candle[];
}
export interface HealthEvent extends Status {
  readonly event_type: 'health';
}
export type StreamEvent = TickerEvent | TradesEvent | OrderBookEvent | OhlcvEvent | HealthEvent;
