/**
 * The only way to the venues. Implemented by the CCXT client (this thread), by the worker supervisor (other threads)
 * and by the wrappers around them (circuit breaker, retry): each knows only the next.
 *
 * Every rejection is an AppError. Every promise settles by `options.deadline`.
 */
import type {
  BookIntegrity,
  Candle,
  Capabilities,
  Market,
  PriceLevel,
  TickerStats,
  Trade,
} from '../schemas/market.js';
import type { Channel } from '../schemas/stream.js';
import type { ExchangeId, Millis, UnifiedSymbol } from '../schemas/common.js';
import type { AppError, ErrorCode } from '../errors.js';
import type { Observations } from '../lib/distribution.js';

interface RequestBase {
  readonly exchange: ExchangeId;
  readonly symbol: UnifiedSymbol;
}
export interface TickerRequest extends RequestBase {
  readonly kind: 'ticker';
}
export interface OhlcvRequest extends RequestBase {
  readonly kind: 'ohlcv';
  readonly interval: string;
  /** First candle wanted (ms); without it the latest `limit` candles before `until`. */
  readonly since?: Millis | undefined;
  /** Candles from here on (ms) are not wanted; without it up to now. */
  readonly until?: Millis | undefined;
  /** 1..2000 */
  readonly limit: number;
  /** The pages that the venue gave are wanted beside the answer. */
  readonly evidence?: boolean | undefined;
  /** One request to the venue: `limit` is at most its page, and only the evidence is wanted, no body. */
  readonly onePage?: boolean | undefined;
}
interface OrderBookRequest extends RequestBase {
  readonly kind: 'orderbook';
  /** Levels a side, 1..1000. */
  readonly limit: number;
}
interface TradesRequest extends RequestBase {
  readonly kind: 'trades';
  /** 1..1000 */
  readonly limit: number;
}
/** Several tickers at once, where the venue has a request for that. */
export interface TickersRequest {
  readonly kind: 'tickers';
  readonly exchange: ExchangeId;
  readonly symbols: readonly string[];
}
export type MarketRequest = TickerRequest | OhlcvRequest | OrderBookRequest | TradesRequest;

/** Whose request it is: what a client waits for, a feed that is polled, or history that is fetched ahead. */
export type Priority = 'caller' | 'poll' | 'backfill';

export interface CallOptions {
  /** Instant by which the call has settled, by the monotonic clock (lib/steady-clock.ts). */
  readonly deadline: Millis;
  readonly signal?: AbortSignal | undefined;
  /** Polling feeds get at most half of a venue's budget; a backfill's request leaves only where no other waits for a slot. */
  readonly priority: Priority;
  /** Who asks, for whom nothing else is known: those who wait for a venue take turns by client. */
  readonly client?: string | undefined;
  /** Tries at most, the first one included; default MAX_RETRIES more than one. 1 where stale data is at hand. */
  readonly attempts?: number | undefined;
}

/** How a venue gives its candles. */
export interface CandleTraits {
  /** Candles a request. */
  readonly page: number;
  /**
   * What `since` means to it. window: it gives [since, since + limit), even where that is empty. jump: it begins with the
   * first candle at or after `since`, however far away. latest: it gives its latest candles, whatever is asked.
   */
  readonly kind: 'window' | 'jump' | 'latest';
  /** It leaves out periods without trades. */
  readonly omitsEmpty: boolean;
}

/** One page as the venue gave it. */
export interface CandlePage {
  /** null: the latest candles were asked for. */
  readonly since: Millis | null;
  readonly limit: number;
  /** The venue's clock when it was asked. */
  readonly askedAt: Millis;
  /** Six numbers a candle: start, open, high, low, close, volume; NaN for what it did not give. Sorted, unique. */
  readonly rows: Float64Array;
  /** The venue refused the page, which begins before what it keeps; there are no rows. */
  readonly refused?: PageTooOld | undefined;
}

export interface PageTooOld {
  /** No start before this is taken. */
  readonly to: Millis;
  /** The venue said so; else no more is known than that it does not take the page's own start. */
  readonly told: boolean;
}

export interface CandleEvidence {
  /** The venue's own id of the market. */
  readonly marketId: string | null;
  readonly traits: CandleTraits;
  readonly pages: readonly CandlePage[];
}

/**
 * A finished answer. `body` is the complete JSON of the HTTP contract, made where the venue was asked, so that the
 * serving thread neither copies nor stringifies it; its first member is always `"exchange":"<ccxt id>"`.
 */
export interface MarketAnswer {
  readonly body: Uint8Array;
  /** The symbol as the venue's market list spells it. */
  readonly symbol: UnifiedSymbol;
  readonly receivedAt: Millis;
  /** Ticker or order book: the venue gave no time, and `timestamp` is that of receipt. */
  readonly untimed?: true | undefined;
  /** Ticker: the venue's last 24 hours, which `body` does not have. */
  readonly stats?: TickerStats | undefined;
  /** Of a request for several tickers, which has no body: those that there are. */
  readonly tickers?: readonly BulkTicker[] | undefined;
  /** OHLCV with gaps that the venue may fill when it is asked again. */
  readonly mayHeal?: boolean | undefined;
  /** OHLCV that still moves: when its open candle closes (or the next candle may appear). null where nothing moves. */
  readonly closesAt: Millis | null;
  /** OHLCV, where it was wanted. */
  readonly evidence?: CandleEvidence | undefined;
}

/** One of several tickers; `asked` is the symbol as the request has it. */
export interface BulkTicker {
  readonly asked: string;
  readonly answer: MarketAnswer;
}

export interface MarketList {
  /** Sorted by symbol. */
  readonly markets: readonly Market[];
  readonly loadedAt: Millis;
}

export interface ExchangeDescription {
  readonly exchange: ExchangeId;
  readonly name: string;
  readonly capabilities: Capabilities;
  /** Channels for which the venue has a WebSocket feed; the others are polled where REST has them. */
  readonly watchable: readonly Channel[];
  /** The venue's own intervals, shortest first. */
  readonly intervals: readonly string[];
  /** How its live order books are checked; null without order books. */
  readonly bookIntegrity: BookIntegrity | null;
  /** How candles are to be had, of spot markets and of derivatives. */
  readonly candles?: { readonly spot: CandleTraits; readonly contract: CandleTraits } | undefined;
}

export interface StreamTopic {
  readonly channel: Channel;
  readonly exchange: ExchangeId;
  readonly symbol: UnifiedSymbol;
  /** ohlcv only. */
  readonly interval?: string | undefined;
}

/** One normalized message of a feed. `rawJson` is the venue's own object as JSON text, for REST answers made of it. */
export type StreamItem =
  | {
      readonly channel: 'ticker';
      readonly bid: number | null;
      readonly ask: number | null;
      readonly last: number | null;
      readonly timestamp: Millis;
      /** The venue gave no time: `timestamp` is that of receipt. */
      readonly untimed?: true;
      /** Of the venue's last 24 hours. */
      readonly stats: TickerStats;
      readonly rawJson: string;
    }
  | { readonly channel: 'trades'; readonly trades: readonly Trade[] }
  | {
      readonly channel: 'orderbook';
      readonly bids: readonly PriceLevel[];
      readonly asks: readonly PriceLevel[];
      readonly timestamp: Millis;
      readonly untimed?: true;
    }
  | { readonly channel: 'ohlcv'; readonly candles: readonly Candle[] };

export interface WatchSink {
  /**
   * The subscription has left on an open connection, once per feed and perhaps after its first items. Feeds that are told
   * the same name share the connection.
   */
  onSubscribed?(socket: string): void;
  /** Tickers and order books are conflated to the latest; trades never are. */
  onItem(item: StreamItem): void;
  /** Exactly once, after which nothing follows: the feed broke (error) or was closed (null). */
  onEnd(error: AppError | null): void;
}

export interface WatchHandle {
  /** Idempotent; `onEnd(null)` follows. */
  close(): void;
}

export type CircuitState = 'closed' | 'open' | 'half_open';
export type MarketsState = 'not_loaded' | 'loading' | 'loaded' | 'refresh_failed' | 'load_failed';

/** A venue's fault as operators are told of it. */
export interface VenueError {
  readonly code: ErrorCode;
  /** The cause, the HTTP status, the venue's words; null where nothing is known. */
  readonly detail: string | null;
  readonly at: Millis;
}

export interface BudgetHealth {
  readonly limit: number;
  readonly remaining: number;
  readonly windowMs: Millis;
  /** Where several servers count together; undefined: this one counts alone. */
  readonly shared?:
    | {
        /** false: the shared count does not answer, and this server keeps to its part. */
        readonly isShared: boolean;
        /** How long requests waited before they left, in seconds. */
        readonly waits: Observations;
      }
    | undefined;
}

/** What is known of a venue without asking it. */
export interface ExchangeHealth {
  readonly exchange: ExchangeId;
  readonly markets: MarketsState;
  readonly marketsLoadedAt: Millis | null;
  /** A load of the markets is under way, or about to begin: the first one, or a refresh. */
  readonly marketsLoading?: boolean | undefined;
  /** Not one request leaves before this instant; null when the venue is not cooling down. */
  readonly coolDownUntil: Millis | null;
  readonly circuit: CircuitState;
  readonly budget: BudgetHealth;
  /** Of the thread that serves it; `inline` without workers. */
  readonly worker: 'inline' | 'starting' | 'running' | 'restarting';
  readonly workerRestarts: number;
  /** The latest fault, while no good answer has come since. */
  readonly lastError: VenueError | null;
  /** When the state above last changed. */
  readonly since: Millis;
}

export interface ExchangeClient {
  /** Capabilities and intervals from CCXT's own tables; makes no upstream call. */
  describe(exchange: ExchangeId): Promise<ExchangeDescription>;
  /** The venue's markets; loaded once, shared, refreshed in the background. */
  markets(exchange: ExchangeId, options: CallOptions): Promise<MarketList>;
  fetch(request: MarketRequest | TickersRequest, options: CallOptions): Promise<MarketAnswer>;
  /** Opens one raw feed. No reconnecting, no watchdog: that is the work of streams/feed. */
  watch(topic: StreamTopic, sink: WatchSink): WatchHandle;
  /** Synchronous, from memory. */
  health(): readonly ExchangeHealth[];
  close(): Promise<void>;
}
