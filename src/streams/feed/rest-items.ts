/** A feed's channel over REST: the request that fits a topic, its answer as an item of the feed, and one fetch. */
import * as market from '../../schemas/market.js';
import type { Millis } from '../../schemas/common.js';
import { AppError } from '../../errors.js';
import type {
  MarketAnswer,
  MarketRequest,
  StreamItem,
  StreamTopic,
  ExchangeClient,
} from '../../exchanges/exchange-client.js';

/** Levels a side in an order book event. */
export const STREAM_BOOK_LEVELS = 20;
/** Trades in a new subscriber's first event, and in one poll. */
const STREAM_TRADES = 100;
/** Trades that are asked for when a feed is live (again): the most that a gap may hold for REST to close it. */
export const CATCH_UP_TRADES = 1000;
/** Candles in a new subscriber's first event: the last closed one and the open one. */
const STREAM_CANDLES = 2;

export interface RestItem {
  readonly item: StreamItem;
  /** The symbol as the venue spells it. */
  readonly symbol: string;
  /** false: the venue gave no time of its own, so that the item's timestamp says only when it was received. */
  readonly timed: boolean;
  readonly receivedAt: Millis;
}

/** `trades` and `candles`: how many to ask for, 1 to 1000. Throws `invalid_request` for an ohlcv topic without its interval. */
export const requestOf = (
  topic: StreamTopic,
  {
    trades = STREAM_TRADES,
    candles = STREAM_CANDLES,
  }: { trades?: number | undefined; candles?: number | undefined } = {},
): MarketRequest => {
  const { channel, exchange, symbol, interval } = topic;
  switch (channel) {
    case 'ticker':
      return { kind: 'ticker', exchange, symbol };
    case 'trades':
      return { kind: 'trades', exchange, symbol, limit: trades };
    case 'orderbook':
      return { kind: 'orderbook', exchange, symbol, limit: STREAM_BOOK_LEVELS };
    case 'ohlcv':
      if (interval === undefined) throw new AppError('invalid_request', 'An ohlcv stream needs an interval.');
      return { kind: 'ohlcv', exchange, symbol, interval, limit: candles };
  }
};

/** The answer was made by this server out of checked data; it is parsed with its own schema all the same. */
export const itemOf = (
  topic: StreamTopic,
  {
    body,
    receivedAt,
    untimed,
    stats = market.NO_STATS,
  }: Pick<MarketAnswer, 'body' | 'receivedAt' | 'untimed' | 'stats'>,
): RestItem => {
  const timed = untimed !== true;
  const parsed: unknown = JSON.parse(Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString());
  switch (topic.channel) {
    case 'ticker': {
      const { symbol, bid, ask, last, timestamp, raw } = market.ticker.parse(parsed);
      const rawJson = JSON.stringify(raw ?? null);
      const item: StreamItem = { channel: 'ticker', bid, ask, last, timestamp, stats, rawJson };
      return { item, symbol, timed, receivedAt };
    }
    case 'trades': {
      const { symbol, trades } = market.trades.parse(parsed);
      return { item: { channel: 'trades', trades }, symbol, timed, receivedAt };
    }
    case 'orderbook': {
      const { symbol, bids, asks, timestamp } = market.orderBook.parse(parsed);
      const item: StreamItem = { channel: 'orderbook', bids, asks, timestamp };
      return { item, symbol, timed, receivedAt };
    }
    case 'ohlcv': {
      const { symbol, candles } = market.ohlcv.parse(parsed);
      return { item: { channel: 'ohlcv', candles }, symbol, timed, receivedAt };
    }
  }
};

/** A REST fetch has settled within this time. */
export const REST_DEADLINE_MS: Millis = 10_000;

/** Refusals of this server itself: the venue was not asked, so that they say nothing about it. */
const OWN_REFUSALS: ReadonlySet<string> = new Set([
  'upstream_budget_exhausted',
  'overloaded',
  'shutting_down',
]);
export const isOwnRefusal = ({ code }: AppError): boolean => OWN_REFUSALS.has(code);

/** Never rejects. One attempt: each caller has a back-off of its own. `trades`: how many to ask for where the channel is trades. */
export type RestFetch = (trades?: number) => Promise<RestItem | AppError>;

/** What a REST fetch needs of its feed's options. */
interface RestFetchOptions {
  readonly topic: StreamTopic;
  readonly exchanges: Pick<ExchangeClient, 'fetch'>;
  readonly monotonic: () => Millis;
  /** How many rows to ask for; undefined: as many as always. */
  readonly listener: { wanted(): number | undefined };
}

export const createRestFetch =
  ({ topic, exchanges, monotonic, listener }: RestFetchOptions, signal: AbortSignal): RestFetch =>
  async (trades = STREAM_TRADES) => {
    try {
      const answer = await exchanges.fetch(requestOf(topic, { trades, candles: listener.wanted() }), {
        deadline: monotonic() + REST_DEADLINE_MS,
        signal,
        priority: 'poll',
        attempts: 1,
      });
      return itemOf(topic, answer);
    } catch (thrown) {
      return AppError.from(thrown);
    }
  };
