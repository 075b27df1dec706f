/** What has to be known of single venues' feeds; the only place in the watch code that names venues. */
import type { ExchangeId } from '../../schemas/common.js';
import { type CcxtExchange, member, wrapMethod } from '../ccxt/ccxt-exchange.js';
import type { FrameRules } from '../ccxt/feeds/frame-queue.js';
import { BookGuard } from '../ccxt/feeds/book-guard.js';
import { nameMarkets, type FeedNameOf } from '../ccxt/feeds/feed-names.js';
import { type SocketCapacity, assignSockets } from '../ccxt/feeds/watch-subscriptions.js';
import { bookRecord } from './book-integrity.js';
import { noteOfMessage } from './corrections.js';

export interface WatchQuirks {
  /** Extra parameters of `watchOrderBook`. */
  readonly bookParams: Readonly<Record<string, unknown>>;
  /** Public feeds for which CCXT asks for keys all the same. */
  readonly keyless: boolean;
  /** How many feeds the venue takes on how many sockets, where CCXT spreads them. */
  readonly socketCapacity: SocketCapacity | null;
  /** The name that its feeds have for a market, where CCXT subscribes by the unified one. */
  readonly feedName: FeedNameOf | null;
  /** CCXT subscribes by unified currency codes, and what comes back can not be told apart. */
  readonly subscribesByCode: boolean;
  /** Where frames that subscribe may be put together, and how. */
  readonly frames: FrameRules | null;
}

const PLAIN: WatchQuirks = {
  bookParams: {},
  keyless: false,
  socketCapacity: null,
  feedName: null,
  subscribesByCode: false,
  frames: null,
};

/** v2 writes BTC and DOGE where `wsname` has the old codes (docs.kraken.com, "WebSocket v2", "Instrument"). */
const krakenFeedName: FeedNameOf = (market) => {
  const name = member(member(market, 'info'), 'wsname');
  if (typeof name !== 'string') return undefined;
  const code = (id: string): string => ({ XBT: 'BTC', XDG: 'DOGE' })[id] ?? id;
  return name.split('/').map(code).join('/');
};

const paramsOf = ({ params }: Readonly<Record<string, unknown>>): readonly unknown[] =>
  Array.isArray(params) ? (params as readonly unknown[]) : [];

/**
 * `{"method": "SUBSCRIBE", "params": [<stream>, …], "id": <id>}`, five messages a second at most; a name that it does not know is no
 * error (developers.binance.com, "Live Subscribing/Unsubscribing to streams"). A hundred names are some 2 kB.
 */
const BINANCE_FRAMES: FrameRules = {
  most: 100,
  keyOf: ({ method, params, id }) =>
    (method === 'SUBSCRIBE' || method === 'UNSUBSCRIBE') && Array.isArray(params) && id !== undefined
      ? method
      : undefined,
  namesOf: paramsOf,
  merge: (frames) => ({ ...frames[0], params: frames.flatMap(paramsOf) }),
};

const BY_CODE: Partial<WatchQuirks> = { subscribesByCode: true };

const VENUES: ReadonlyMap<ExchangeId, Partial<WatchQuirks>> = new Map<ExchangeId, Partial<WatchQuirks>>([
  [
    'binance',
    // The venue takes 1024 streams a connection (developers.binance.com, "WebSocket Streams").
    { socketCapacity: { sockets: 4, each: 1000 }, frames: BINANCE_FRAMES },
  ],
  ['binancecoinm', { frames: BINANCE_FRAMES }],
  ['binanceus', { frames: BINANCE_FRAMES }],
  ['binanceusdm', { frames: BINANCE_FRAMES }],
  ['kraken', { feedName: krakenFeedName }],
  [
    'coinbaseexchange',
    // `level2` needs keys; `level2_batch` brings the same messages, batched every 50 ms, to anybody.
    { bookParams: { channels: ['level2_batch'] }, keyless: true },
  ],
  // CCXT logs in for its business channels, public ones too (okx.com/docs-v5, "All trades channel").
  ['myokx', { keyless: true }],
  ['okx', { keyless: true }],
  ['okxus', { keyless: true }],
  ['bithumb', BY_CODE],
  ['cex', BY_CODE],
  ['coinone', BY_CODE],
  ['deepcoin', BY_CODE],
  ['independentreserve', BY_CODE],
]);

export const watchQuirks = (exchange: ExchangeId): WatchQuirks => ({ ...PLAIN, ...VENUES.get(exchange) });

/** Trades kept per symbol between two wakes of a loop; what exceeds it would be lost. */
const TRADES_LIMIT = 5_000;

/** Shows `note` each message before CCXT takes it apart. */
const noteMessages = (instance: CcxtExchange, note: (message: unknown) => void): void => {
  wrapMethod(instance, 'handleMessage', (handle) => (...args) => {
    note(args[1]);
    return handle.apply(instance, args);
  });
};

/** Once per instance, before its first feed. Returns what guards its order books, where anything can. */
export const applyWatchQuirks = (instance: CcxtExchange, exchange: ExchangeId): BookGuard | null => {
  const { keyless, socketCapacity, feedName } = watchQuirks(exchange);
  Object.assign(instance.options, { tradesLimit: TRADES_LIMIT });
  if (socketCapacity !== null) assignSockets(instance, { exchange, ...socketCapacity });
  if (feedName !== null) nameMarkets(instance, feedName);
  if (keyless) Object.assign(instance, { authenticate: () => ({}) });
  const note = noteOfMessage(exchange);
  if (note !== undefined) noteMessages(instance, note);
  const record = bookRecord(exchange);
  return record === null ? null : new BookGuard(instance, record);
};
