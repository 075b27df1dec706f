/** The client of a mcp-crypto-data-server, for browsers and Node 20 or later: `mcp-crypto-data-server/client`. */
import { createRest, type Query } from './rest.js';
import type { SocketConstructor } from './socket.js';
import { StreamClient, type Stream } from './stream.js';
import type { Exchanges, MarketsPage, Ohlcv, OrderBook, Status, Ticker, Tickers, Trades } from './types.js';

export { ProblemError } from './rest.js';
export type { Stream, Subscription } from './stream.js';
export type { Channel, Handlers, State, Topic, TopicState } from './topic.js';
export type * from './types.js';

export interface ClientOptions {
  /** Of the server, with the path that a proxy may have put in front of it. */
  readonly url: string;
  /** Sent as X-API-Key, and as the first message of the socket; never in an address. */
  readonly apiKey?: string | undefined;
  readonly fetch?: typeof globalThis.fetch | undefined;
  /** Node 20 has none: that of the package ws. */
  readonly WebSocket?: SocketConstructor | undefined;
}

interface OfMarket {
  readonly exchange: string;
  readonly symbol: string;
}

export interface Client {
  exchanges(): Promise<Exchanges>;
  markets(query: {
    readonly exchange: string;
    readonly base?: string;
    readonly quote?: string;
    readonly search?: string;
    readonly limit?: number;
    readonly cursor?: string;
  }): Promise<MarketsPage>;
  ticker(query: OfMarket & { readonly stats?: boolean; readonly convert?: string }): Promise<Ticker>;
  /** At most 100. */
  tickers(query: {
    readonly exchange: string;
    readonly symbols: readonly string[];
    readonly stats?: boolean;
  }): Promise<Tickers>;
  ohlcv(
    query: OfMarket & {
      readonly interval?: string;
      /** Milliseconds since the epoch, or an ISO date. */
      readonly since?: number | string;
      readonly until?: number | string;
      readonly limit?: number;
    },
  ): Promise<Ohlcv>;
  orderBook(query: OfMarket & { readonly limit?: number }): Promise<OrderBook>;
  trades(query: OfMarket & { readonly limit?: number }): Promise<Trades>;
  status(): Promise<Status>;
  readonly stream: Stream;
  /** Ends the socket, every timer and every request. */
  close(): void;
}

/** All methods reject with a ProblemError; what may be tried again was tried three times by then. */
export const createClient = ({ url, apiKey, fetch, WebSocket }: ClientOptions): Client => {
  const own = globalThis as { readonly WebSocket?: unknown };
  const { random } = Math;
  const rest = createRest({ url, apiKey, fetch: fetch ?? globalThis.fetch.bind(globalThis), random });
  const ending = new AbortController();
  const get = <T>(path: string, query: object = {}): Promise<T> =>
    rest<T>(path, query as Query, ending.signal);
  const stream = new StreamClient({
    ...{ url, apiKey, rest, random },
    WebSocket: WebSocket ?? (own.WebSocket as SocketConstructor | undefined),
    now: () => performance.now(),
  });
  return {
    exchanges: () => get('/v1/exchanges'),
    markets: (query) => get('/v1/markets', query),
    ticker: (query) => get('/v1/markets/ticker', query),
    tickers: ({ symbols, ...query }) => get('/v1/markets/tickers', { ...query, symbols: symbols.join(',') }),
    ohlcv: (query) => get('/v1/markets/ohlcv', query),
    orderBook: (query) => get('/v1/markets/orderbook', query),
    trades: (query) => get('/v1/markets/trades', query),
    status: () => get('/v1/status'),
    stream,
    close() {
      ending.abort();
      stream.close();
    },
  };
};
