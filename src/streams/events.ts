/** The words of the stream contract made of items and states: one JSON text and one shared event each. */
import type { StreamState } from '../schemas/stream.js';
import type { BookIntegrity } from '../schemas/market.js';
import type { Millis } from '../schemas/common.js';
import type { StreamItem, StreamTopic } from '../exchanges/exchange-client.js';
import { inWordsOf } from '../exchanges/named-error.js';
import type { Gap } from './channels/channel-state.js';
import type { SharedEvent } from './hub-api.js';
import { createSharedEvent } from './shared-event.js';

export interface EventSource {
  readonly topic: StreamTopic;
  /** The exchange name that was asked for. */
  readonly name: string;
  /** Marks every event as simulated. */
  readonly sandbox: boolean;
}

type Facts<C extends StreamItem['channel']> = Extract<StreamItem, { channel: C }>;

interface Stamp {
  readonly id: string;
  readonly conflationKey: string | null;
}

const finish = (
  { topic, name, sandbox }: EventSource,
  type: SharedEvent['type'],
  { facts, ...stamp }: Partial<Stamp> & { readonly facts: object },
): SharedEvent => {
  const head = { event_type: type, exchange: name, symbol: topic.symbol };
  const json = JSON.stringify(sandbox ? { ...head, ...facts, sandbox } : { ...head, ...facts });
  return createSharedEvent({ type, json, ...stamp });
};

export const tickerEventOf = (
  source: EventSource,
  { bid, ask, last, timestamp }: Facts<'ticker'>,
  { percent, ...stamp }: Stamp & { readonly percent: number },
): SharedEvent =>
  finish(source, 'ticker', {
    facts: { bid, ask, last, timestamp, price_change_percent: percent },
    ...stamp,
  });

/** Trades and closed candles may not be dropped; a book, and a candle that still moves, give way to a later one. */
export const plainEventOf = (
  source: EventSource,
  item: Exclude<StreamItem, Facts<'ticker'>>,
  { id, bookIntegrity }: { readonly id: string; readonly bookIntegrity?: BookIntegrity | undefined },
): SharedEvent => {
  const { name, topic } = source;
  switch (item.channel) {
    case 'trades':
      return finish(source, 'trades', { facts: { trades: item.trades }, id });
    case 'orderbook': {
      const { bids, asks, timestamp } = item;
      const facts = { bids, asks, timestamp, book_integrity: bookIntegrity };
      const conflationKey = `orderbook ${name} ${topic.symbol}`;
      return finish(source, 'orderbook', { facts, id, conflationKey });
    }
    case 'ohlcv': {
      const { candles } = item;
      const moving = candles.length === 1 && candles[0]?.closed === false ? candles[0] : null;
      const conflationKey =
        moving === null ? null : `ohlcv ${name} ${topic.symbol} ${topic.interval ?? ''} ${moving.timestamp}`;
      return finish(source, 'ohlcv', { facts: { interval: topic.interval, candles }, id, conflationKey });
    }
  }
};

export interface FeedStatus {
  readonly state: StreamState;
  /** A sentence for people. */
  readonly detail: string;
  /** Since when. */
  readonly at: Millis;
}

const channelOf = ({ topic: { channel, interval } }: EventSource) => ({
  channel,
  ...(interval === undefined ? {} : { interval }),
});

/** Of several states that a slow reader missed only the latest matters. */
export const statusEventOf = (source: EventSource, { state, detail, at }: FeedStatus): SharedEvent => {
  const { channel, exchange, symbol, interval } = source.topic;
  return finish(source, 'status', {
    facts: {
      state,
      timestamp: at,
      detail: inWordsOf({ name: source.name, exchange }, detail),
      ...(channel === 'ticker' ? {} : { channel }),
      ...(interval === undefined ? {} : { interval }),
    },
    conflationKey: `status ${channel} ${source.name} ${symbol} ${interval ?? ''}`,
  });
};

/** A stretch of which rows are missing for good: nobody knows how many. */
export const lostRangeEventOf = (source: EventSource, { from, to }: Gap, at: Millis): SharedEvent =>
  finish(source, 'lost', { facts: { ...channelOf(source), from, to, timestamp: at } });

/** `count` trades that came to light when later ones had been shown: told instead of shown out of order. */
export const lostEventOf = (source: EventSource, count: number, at: Millis): SharedEvent =>
  finish(source, 'lost', { facts: { ...channelOf(source), count, timestamp: at } });
