/** Stream events made of items and statuses: one JSON text and one shared event each. */
import type { SharedEvent } from './hub-api.js';
import type { FeedStatus } from './feed/feed-source.js';
import type { BookIntegrity } from '../schemas/market.js';
import type { Millis } from '../schemas/common.js';
import type { StreamItem, StreamTopic } from '../exchanges/exchange-client.js';
import { inWordsOf } from '../exchanges/refusals.js';
import type { Loss, Resumption } from './history.js';

export interface SharedEventParts {
  readonly type: SharedEvent['type'];
  /** Complete JSON text on one line, as JSON.stringify makes it. */
  readonly json: string;
  /** For SSE's `id:` line; without it the event leaves a client's last event id as it was. */
  readonly id?: string | undefined;
  /** Default null: the event may not be replaced by a later one. */
  readonly conflationKey?: string | null | undefined;
}

const FIN_TEXT = 0x81;
const LENGTH_16 = 126;
const LENGTH_64 = 127;

/** A finished, unmasked text frame with FIN set (RFC 6455, section 5.2), as a server sends it. */
export const textFrame = (text: string): Buffer => {
  const length = Buffer.byteLength(text);
  const head = length < LENGTH_16 ? 2 : length <= 0xffff ? 4 : 10;
  const frame = Buffer.allocUnsafeSlow(head + length);
  frame[0] = FIN_TEXT;
  if (head === 2) {
    frame[1] = length;
  } else if (head === 4) {
    frame[1] = LENGTH_16;
    frame.writeUInt16BE(length, 2);
  } else {
    frame[1] = LENGTH_64;
    frame.writeBigUInt64BE(BigInt(length), 2);
  }
  frame.write(text, head);
  return frame;
};

class FinishedEvent implements SharedEvent {
  readonly type: SharedEvent['type'];
  readonly json: string;
  readonly conflationKey: string | null;
  readonly #id: string | undefined;
  #sse: Buffer | undefined;
  #frame: Buffer | undefined;
  #frameWithId: Buffer | undefined;

  constructor({ type, json, id, conflationKey }: SharedEventParts) {
    this.type = type;
    this.json = json;
    this.conflationKey = conflationKey ?? null;
    this.#id = id;
  }

  get sse(): Buffer {
    this.#sse ??= Buffer.from(
      this.#id === undefined ? `data: ${this.json}\n\n` : `id: ${this.#id}\ndata: ${this.json}\n\n`,
    );
    return this.#sse;
  }

  get frame(): Buffer {
    this.#frame ??= textFrame(this.json);
    return this.#frame;
  }

  get frameWithId(): Buffer {
    if (this.#id === undefined) return this.frame;
    // Ids are of letters, digits and `.-`: nothing needs an escape.
    this.#frameWithId ??= textFrame(`${this.json.slice(0, -1)},"id":"${this.#id}"}`);
    return this.#frameWithId;
  }
}

/** An event from its JSON text. `json` must hold no line break: SSE carries it in one `data:` line. */
export const createSharedEvent = (parts: SharedEventParts): SharedEvent => new FinishedEvent(parts);

/** One named Server-Sent Event of another protocol, for clients of that transport alone. */
export const sseEvent = ({
  type,
  json,
  name,
  conflationKey = null,
}: {
  readonly type: SharedEvent['type'];
  readonly json: string;
  readonly name: string;
  readonly conflationKey?: string | null;
}): SharedEvent => {
  const sse = Buffer.from(`event: ${name}\ndata: ${json}\n\n`);
  return { type, json, conflationKey, sse, frame: sse, frameWithId: sse };
};

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
  { bid, ask, last, timestamp, stats }: Facts<'ticker'>,
  {
    percent,
    stats: isWanted,
    ...stamp
  }: Stamp & {
    readonly percent: number;
    /** With the venue's last 24 hours. */
    readonly stats: boolean;
  },
): SharedEvent => {
  const facts = { bid, ask, last, timestamp, price_change_percent: percent };
  return finish(source, 'ticker', { facts: isWanted ? { ...facts, stats } : facts, ...stamp });
};

/** Trades and closed candles may not be dropped; a book, and an open candle, may be replaced by a later one. */
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

const channelOf = ({ topic: { channel, interval } }: EventSource) => ({
  channel,
  ...(interval === undefined ? {} : { interval }),
});

/** Of several states that a slow reader missed only the latest matters. */
export const statusEventOf = (
  source: EventSource,
  { state, detail, at, resumed }: FeedStatus & { readonly resumed?: Resumption['resumed'] | undefined },
): SharedEvent => {
  const { channel, exchange, symbol, interval } = source.topic;
  return finish(source, 'status', {
    facts: {
      state,
      timestamp: at,
      detail: inWordsOf({ name: source.name, exchange }, detail),
      ...(channel === 'ticker' ? {} : { channel }),
      ...(interval === undefined ? {} : { interval }),
      ...(resumed === undefined ? {} : { resumed }),
    },
    conflationKey:
      resumed === undefined ? `status ${channel} ${source.name} ${symbol} ${interval ?? ''}` : null,
  });
};

/**
 * Rows that are missing for good: a stretch of time, or how many. Trades that came to light when later ones had been shown are
 * among them: reported instead of shown out of order.
 */
export const lostEventOf = (source: EventSource, loss: Loss, at: Millis): SharedEvent =>
  finish(source, 'lost', {
    facts: {
      ...channelOf(source),
      ...('count' in loss ? { count: loss.count } : { from: loss.from, to: loss.to }),
      timestamp: at,
    },
  });

/** What a client missed, in its order. */
export const missedEventsOf = (
  source: EventSource,
  { lost, events }: Exclude<Resumption, { readonly resumed: 'none' }>,
  at: Millis,
): SharedEvent[] => [
  ...(lost !== 0 ? [lostEventOf(source, { count: lost }, at)] : []),
  ...events.flatMap((event) => {
    if ('loss' in event) return [lostEventOf(source, event.loss, at)];
    const { item, ...place } = event.tick;
    return item.channel === 'ticker' ? [] : [plainEventOf(source, item, place)];
  }),
];
