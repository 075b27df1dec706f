/**
 * The seam between the hub (topics, feeds, views) and the connections (SSE, WebSocket) that read from it, and what the
 * hub is made from. An event is serialised once, however many connections it goes to.
 */
import type { ExchangeClient, StreamTopic } from '../exchanges/exchange-client.js';
import type { Timers } from '../lib/timers.js';
import type { Log } from '../log/log.js';
import type { ListedMarkets, MarketData } from '../market-data/market-data-api.js';
import type { Millis } from '../schemas/common.js';
import type { Candle } from '../schemas/market.js';
import type { FeedSources } from './feed/feed-source.js';

/** One event, finished: connections write its bytes and never look inside. */
export interface SharedEvent {
  /** The event's JSON text, made once. */
  readonly json: string;
  /** `id: <id>\ndata: <json>\n\n`, made once on first use. Heartbeats and status events carry no id line. */
  readonly sse: Buffer;
  /** A finished unmasked WebSocket text frame, made once on first use. */
  readonly frame: Buffer;
  /** The same with the event's id as a member `id`, for `/ws`; equal to `frame` where it has none. */
  readonly frameWithId: Buffer;
  /** Events with the same key replace each other while a reader is slow; null: never dropped silently (trades). */
  readonly conflationKey: string | null;
  readonly type:
    | 'ticker'
    | 'status'
    | 'heartbeat'
    | 'trades'
    | 'orderbook'
    | 'ohlcv'
    | 'error'
    | 'reply'
    | 'lost'
    | 'health';
}

export interface SubscribeRequest {
  /** Topic with the CCXT id; the hub resolves nothing. */
  readonly topic: StreamTopic;
  /** The exchange name that was asked for, repeated in events. */
  readonly name: string;
  /** Ticker only: fraction by which `last` must move; default TICKER_DELTA_THRESHOLD; 0 is every tick. */
  readonly threshold?: number | undefined;
  /** Ticker only: events tell the venue's last 24 hours. Default false. */
  readonly stats?: boolean | undefined;
  /** The last event that this client has seen, in whatever text: it gets what came after that, and is told how much of it. */
  readonly lastEventId?: string | undefined;
  /** The client: queues for a venue are fair by client. */
  readonly client?: string | undefined;
  /** Aborts when the client has gone: what only it waits for is given up. */
  readonly signal?: AbortSignal | undefined;
}

export interface Subscriber {
  /** Must not throw and must not block. */
  onEvent(event: SharedEvent): void;
}

export interface Subscription {
  /** The symbol as the venue spells it. */
  readonly symbol: string;
  /** Which way its events come as it begins. */
  readonly via: 'websocket' | 'rest';
  /** The id after which the stream goes on, '' where its last event is not known; undefined: it named none. */
  readonly resumedAfter?: string | undefined;
  /** Idempotent. */
  close(): void;
}

export interface HubStats {
  readonly topics: number;
  readonly subscribers: number;
  readonly eventsIn: number;
  readonly eventsOut: number;
  readonly reconnects: number;
  /** Live order books that were found to be wrong, since the start. */
  readonly bookResyncs: readonly {
    readonly exchange: string;
    readonly reason: string;
    readonly count: number;
  }[];
  readonly feeds: readonly {
    readonly topic: StreamTopic;
    readonly state: string;
    readonly subscribers: number;
    readonly lastItemAt: number | null;
    readonly reconnects?: number | undefined;
    /** The other server that holds the feed; undefined: this one does. */
    readonly owner?: string | undefined;
  }[];
}

export interface StreamHub {
  /**
   * Resolves once the subscriber is registered and its snapshot (and the feed's status) was handed to `onEvent`.
   * Rejects with an AppError (unknown symbol, venue unreachable …) before anything was sent.
   */
  subscribe(request: SubscribeRequest, subscriber: Subscriber): Promise<Subscription>;
  stats(): HubStats;
  close(): Promise<void>;
}

export interface HubOptions {
  readonly exchanges: Pick<ExchangeClient, 'describe'>;
  readonly feeds: FeedSources;
  /** A function, since market data in turn reads live tickers from the hub. */
  readonly marketData: () => Pick<MarketData, 'get'> & Partial<ListedMarkets>;
  /** The part of Config.stream that the hub needs. */
  readonly settings: {
    /** Fraction by which `last` must move where a request does not say. */
    readonly deltaThreshold: number;
    /** From a topic's last client to the end of its feed. */
    readonly lingerMs: Millis;
  };
  /** Called with every candle of a live feed that closes. */
  readonly onCandles?:
    ((topic: StreamTopic, candles: readonly Candle[], receivedAt: Millis) => void) | undefined;
  readonly sandbox: boolean;
  readonly log: Log;
  readonly now: () => Millis;
  /** The clock of durations and deadlines; default: `now`. */
  readonly monotonic?: (() => Millis) | undefined;
  readonly timers?: Timers | undefined;
}
