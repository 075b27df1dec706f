/** The client without its async iterators, for the page, which has no use for them. */
import { createRest, type Query } from './rest.js';
import type { SocketConstructor } from './socket.js';
import type { StreamClient, StreamOptions } from './stream.js';
import type { Exchanges, MarketsPage, Ohlcv, OrderBook, Status, Ticker, Tickers, Trades } from './types.js';

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

export interface Client<S> {
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
  readonly stream: S;
  /** Ends the socket, every timer and every request. */
  close(): void;
}

const PING_INTERVAL_MS = 10_000;

/** All methods reject with a ProblemError; what may be tried again was tried three times by then. */
export const createCore = <S extends StreamClient>(
  { url, apiKey, fetch, WebSocket }: ClientOptions & { readonly WebSocket: SocketConstructor },
  StreamConstructor: new (options: StreamOptions) => S,
): Client<S> => {
  const { random } = Math;
  const rest = createRest({ url, apiKey, fetch: fetch ?? globalThis.fetch.bind(globalThis), random });
  const ending = new AbortController();
  const get =
    <T>(path: string) =>
    (query: object = {}): Promise<T> =>
      rest<T>(`/v1/${path}`, query as Query, ending.signal);
  const stream = new StreamConstructor({
    ...{ url, apiKey, rest, random, WebSocket },
    now: () => performance.now(),
    pingIntervalMs: PING_INTERVAL_MS,
  });
  return {
    exchanges: get('exchanges'),
    markets: get('markets'),
    ticker: get('markets/ticker'),
    // A list becomes text with commas.
    tickers: get('markets/tickers'),
    ohlcv: get('markets/ohlcv'),
    orderBook: get('markets/orderbook'),
    trades: get('markets/trades'),
    status: get('status'),
    stream,
    close() {
      ending.abort();
      stream.close();
    },
  };
};
