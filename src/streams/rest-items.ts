/** A feed's channel asked for over REST: the request that fits a topic, and its answer as an item of the feed. */
import * as market from '../schemas/market.js';
import type { Millis } from '../schemas/common.js';
import { AppError } from '../errors.js';
import type { MarketAnswer, MarketRequest, StreamItem, StreamTopic } from '../exchanges/exchange-client.js';

/** Levels a side in an order book event. */
export const STREAM_BOOK_LEVELS = 20;
/** Trades in a newcomer's first event, and in one poll. */
export const STREAM_TRADES = 100;
/** Trades that are asked for when a feed is live (again): the most that a gap may hold for REST to close it. */
export const CATCH_UP_TRADES = 1000;
/** Candles in a newcomer's first event: the last closed one and the open one. */
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
  { body, receivedAt, untimed }: Pick<MarketAnswer, 'body' | 'receivedAt' | 'untimed'>,
): RestItem => {
  const timed = untimed !== true;
  const parsed: unknown = JSON.parse(Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString());
  switch (topic.channel) {
    case 'ticker': {
      const { symbol, bid, ask, last, timestamp, raw } = market.ticker.parse(parsed);
      const rawJson = JSON.stringify(raw ?? null);
      const item: StreamItem = { channel: 'ticker', bid, ask, last, timestamp, rawJson };
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
