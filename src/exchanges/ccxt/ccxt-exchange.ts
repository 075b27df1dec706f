/**
 * The little of a CCXT exchange that we use, as CCXT 4.5.84 has it. What its calls resolve to is `unknown`: the
 * normalizer checks it. Everything in exchanges/ccxt sees CCXT through this interface.
 */
import type { Millis } from '../../schemas/common.js';

/** One entry of `markets`; checked where the market list is made. */
type CcxtMarkets = Readonly<Record<string, unknown>>;

/** What CCXT's `fetch2` is called with. */
type RequestParts = readonly [
  path: unknown,
  api?: unknown,
  method?: unknown,
  params?: unknown,
  headers?: unknown,
  body?: unknown,
  config?: unknown,
];

export interface CcxtExchange {
  readonly id: string;
  readonly name?: unknown;
  readonly pro?: unknown;
  /** `true`, `false`, `undefined` or `'emulated'` by method. */
  readonly has: Readonly<Record<string, unknown>>;
  readonly timeframes?: Readonly<Record<string, unknown>> | undefined;
  /** CCXT's own table of page sizes and limits, by market type. */
  readonly features?: unknown;
  readonly options: Record<string, unknown>;
  readonly rateLimit: Millis;
  /** In which the venue counts; 0: CCXT does not know. */
  readonly rollingWindowSize: Millis;
  /** How `precision` is written; a constant of CCXT's base/functions/number. */
  readonly precisionMode?: unknown;
  readonly quoteJsonNumbers: boolean;

  urls: Record<string, unknown>;
  markets?: CcxtMarkets | undefined;
  markets_by_id?: Readonly<Record<string, unknown>> | undefined;
  /** The cached promise of the last load; a rejected one poisons every later call until it is reset. */
  marketsLoading?: Promise<unknown> | undefined;
  /** Agents for WebSocket connections; read when a connection is made. */
  agent?: unknown;
  httpAgent?: unknown;
  /** The live books that CCXT holds, by unified symbol. */
  readonly orderbooks: object;
  /** WebSocket clients by URL. */
  clients?: Record<string, unknown>;

  /** CCXT's reading of the wall clock. */
  milliseconds(): Millis;
  fetch: (...args: unknown[]) => Promise<unknown>;
  /** The venue's markets as CCXT parses them, before it keeps them. */
  fetchMarkets: (...args: unknown[]) => Promise<unknown>;
  throttle: (cost?: number) => Promise<void>;
  /** CCXT's weight of a request, from its table and what is asked for. */
  calculateRateLimiterCost(
    api: unknown,
    method: unknown,
    path: unknown,
    ...rest: readonly [params: unknown, config: unknown]
  ): number;
  fetch2: (...request: RequestParts) => Promise<unknown>;
  client: (url: string) => CcxtWsClient;
  handleRestResponse: (response: unknown, url: string, ...rest: unknown[]) => Promise<unknown>;

  getResponseHeaders(response: unknown): Record<string, string>;
  handleErrors(...args: unknown[]): unknown;
  handleHttpStatusCode(...args: unknown[]): void;
  hasUnsafeInteger(value: unknown): boolean;
  parseJson(text: string): unknown;

  /** The unified symbol of a venue's id; CCXT makes one up for an id that is in no list. */
  safeSymbol(marketId: unknown, market?: undefined, delimiter?: string, marketType?: string): unknown;

  loadMarkets(reload?: boolean): Promise<unknown>;
  setMarketsFromExchange(source: CcxtExchange): unknown;

  fetchTicker(symbol: string, params?: Readonly<Record<string, unknown>>): Promise<unknown>;
  /** By unified symbol; all of one kind of market. */
  fetchTickers(symbols: readonly string[]): Promise<unknown>;
  fetchOHLCV(
    symbol: string,
    timeframe: string,
    ...rest: readonly [since?: Millis, limit?: number, params?: Readonly<Record<string, unknown>>]
  ): Promise<unknown>;
  fetchOrderBook(symbol: string, limit?: number): Promise<unknown>;
  fetchTrades(symbol: string, since?: Millis, limit?: number): Promise<unknown>;

  watchTicker(symbol: string, params?: Readonly<Record<string, unknown>>): Promise<unknown>;
  watchTrades(
    symbol: string,
    ...rest: readonly [since?: Millis, limit?: number, params?: Readonly<Record<string, unknown>>]
  ): Promise<unknown>;
  watchOrderBook(
    symbol: string,
    limit?: number,
    params?: Readonly<Record<string, unknown>>,
  ): Promise<unknown>;
  watchOHLCV(
    symbol: string,
    timeframe: string,
    ...rest: readonly [since?: Millis, limit?: number, params?: Readonly<Record<string, unknown>>]
  ): Promise<unknown>;
  /** Closes the WebSocket connections; REST goes on. */
  close(): Promise<unknown>;
}

/** CCXT's WebSocket client of one URL. */
interface CcxtWsClient {
  readonly url: string;
  send(message: unknown): Promise<unknown>;
  /** Dials; at once, or after the back-off that `connect` was given. */
  createConnection(): void;
  onOpen(): void;
  hardened?: boolean;
}

export type CcxtClass = new (config: Readonly<Record<string, unknown>>) => CcxtExchange;

export type Table = Readonly<Record<string, unknown>>;

export const isTable = (value: unknown): value is Table => typeof value === 'object' && value !== null;

/** What `value` itself holds under `key`: never what it inherits, whatever the key. */
export const member = (value: unknown, key: string): unknown =>
  isTable(value) && Object.hasOwn(value, key) ? value[key] : undefined;

export type Method = (...args: unknown[]) => unknown;

export const isMethod = (value: unknown): value is Method => typeof value === 'function';

/** Puts `around` in the place of a method of a CCXT instance. Throws a TypeError where CCXT has no such method. */
export const wrapMethod = (instance: object, name: string, around: (original: Method) => Method): void => {
  const original: unknown = Reflect.get(instance, name);
  if (!isMethod(original)) throw new TypeError(`CCXT has no method ${name}.`);
  Reflect.set(instance, name, around(original));
};
