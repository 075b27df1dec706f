/**
 * The hub: topics with reference counts, one upstream feed each, and the clients' way into them. Nothing here scales
 * with topics that did not tick.
 */
import { AppError } from '../../errors.js';
import type { ExchangeId, Millis, UnifiedSymbol } from '../../schemas/common.js';
import type { Channel } from '../../schemas/stream.js';
import type { Log } from '../log.js';
import type { ExchangeClient, ExchangeDescription, StreamTopic } from '../exchange/exchange-client.js';
import { errorInWordsOf } from '../exchange/named-error.js';
import type { LiveTicker, LiveTickers, MarketData } from '../market-data-api.js';
import type {
  HubStats,
  StreamHub,
  SubscribeRequest,
  SharedEvent,
  Subscriber,
  Subscription,
} from './hub-api.js';
import { itemOf, requestOf, type RestItem } from './rest-items.js';
import { systemTimers, type Timers } from './timers.js';
import { Topic } from './topic.js';

/** Open topics at most; a further one is refused as `overloaded`. */
export const MAX_TOPICS = 10_000;

export const DEFAULT_POLL_INTERVALS: Readonly<Record<Channel, Millis>> = {
  ticker: 2_000,
  trades: 2_000,
  orderbook: 2_000,
  ohlcv: 5_000,
};

/** The part of Config.stream that the hub needs. */
export interface HubSettings {
  /** Fraction by which `last` must move where a request does not say. */
  readonly deltaThreshold: number;
  readonly lingerMs: Millis;
  readonly idleTimeoutMs: Millis;
}

export interface HubOptions {
  readonly exchanges: Pick<ExchangeClient, 'describe' | 'watch' | 'fetch'>;
  /** A function, since market data in turn reads live tickers from the hub. */
  readonly marketData: () => Pick<MarketData, 'get'>;
  readonly settings: HubSettings;
  readonly pollIntervalMs?: Readonly<Record<Channel, Millis>> | undefined;
  readonly sandbox: boolean;
  readonly log: Log;
  readonly now: () => Millis;
  /** 0 (inclusive) to 1. */
  readonly random: () => number;
  readonly timers?: Timers | undefined;
}

const keyOf = ({ channel, exchange, symbol, interval }: StreamTopic): string =>
  `${channel} ${exchange} ${interval ?? ''} ${symbol}`;

const tickerKey = (exchange: ExchangeId, symbol: UnifiedSymbol): string =>
  keyOf({ channel: 'ticker', exchange, symbol });

interface Entry {
  readonly key: string;
  readonly topic: Topic;
  /** Ends the topic unless somebody joins before. */
  cancelLinger: (() => void) | null;
}

class Hub implements StreamHub, LiveTickers {
  readonly #options: HubOptions;
  readonly #timers: Timers;
  readonly #topics = new Map<string, Entry>();
  readonly #openings = new Map<string, Promise<Entry>>();
  /** Tells this process's event ids from those before a restart. */
  readonly #epoch: string;
  #sequence = 0;
  #eventsIn = 0;
  #eventsOut = 0;
  #subscribers = 0;
  /** Of topics that are closed. */
  #pastReconnects = 0;
  #closed = false;

  constructor(options: HubOptions) {
    this.#options = options;
    this.#timers = options.timers ?? systemTimers;
    this.#epoch = Math.trunc(options.now()).toString(36);
  }

  async subscribe(request: SubscribeRequest, subscriber: Subscriber): Promise<Subscription> {
    const entry = await this.#find(request).catch((thrown: unknown) => {
      const { name, topic } = request;
      throw errorInWordsOf({ name, exchange: topic.exchange }, AppError.from(thrown));
    });
    // Nothing is awaited from here on, so that no item falls between the first event and those that follow.
    if (this.#closed) throw shuttingDown();
    entry.cancelLinger?.();
    entry.cancelLinger = null;
    this.#subscribers += 1;
    const { settings } = this.#options;
    const threshold = request.topic.channel === 'ticker' ? (request.threshold ?? settings.deltaThreshold) : 0;
    const { name, lastEventId } = request;
    const leave = entry.topic.join(subscriber, { name, threshold, lastEventId });
    let gone = false;
    return {
      symbol: entry.topic.topic.symbol,
      close: () => {
        if (gone) return;
        gone = true;
        leave();
        this.#subscribers -= 1;
        if (entry.topic.members === 0) this.#linger(entry);
      },
    };
  }

  latest(exchange: ExchangeId, symbol: UnifiedSymbol): LiveTicker | undefined {
    return this.#topics.get(tickerKey(exchange, symbol))?.topic.liveTicker();
  }

  stats(): HubStats {
    const topics = [...this.#topics.values()].map(({ topic }) => topic);
    return {
      topics: topics.length,
      subscribers: this.#subscribers,
      eventsIn: this.#eventsIn,
      eventsOut: this.#eventsOut,
      reconnects: topics.reduce((sum, { reconnects }) => sum + reconnects, this.#pastReconnects),
      feeds: topics.map(({ topic, status, members, lastItemAt }) => ({
        topic,
        state: status.state,
        subscribers: members,
        lastItemAt,
      })),
    };
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const entry of [...this.#topics.values()]) this.#end(entry);
    await Promise.allSettled(this.#openings.values());
  }

  /** The running topic, or a new one; callers who want the same new one share its opening. */
  async #find(request: SubscribeRequest): Promise<Entry> {
    const key = keyOf(request.topic);
    const running = this.#topics.get(key);
    if (running?.topic.ready === true) return running;
    const shared = this.#openings.get(key);
    if (shared !== undefined) return shared;
    const opening = this.#open(request).finally(() => {
      this.#openings.delete(key);
    });
    this.#openings.set(key, opening);
    return opening;
  }

  /** Its faults name the exchange by its CCXT id: callers under several names may share them. */
  async #open({ topic: wanted }: SubscribeRequest): Promise<Entry> {
    if (this.#closed) throw shuttingDown();
    this.#refuseWhereFull(this.#topics.size + this.#openings.size);
    const [description, snapshot] = await Promise.all([
      this.#options.exchanges.describe(wanted.exchange),
      this.#snapshot(wanted),
    ]);
    if (this.#isClosed()) throw shuttingDown();
    if (!isOffered(wanted.channel, description))
      throw new AppError(
        'not_supported_by_exchange',
        `${wanted.exchange} offers no ${wanted.channel} stream.`,
      );
    // The venue may be reachable over WebSocket all the same.
    const hopeful = description.watchable.includes(wanted.channel);
    if (snapshot instanceof AppError && !(snapshot.retryable && hopeful)) throw snapshot;
    const symbol = snapshot instanceof AppError ? wanted.symbol : snapshot.symbol;
    const topic: StreamTopic = { ...wanted, symbol };
    const entry = this.#topics.get(keyOf(topic)) ?? this.#start(topic, description);
    if (snapshot instanceof AppError) {
      if (!entry.topic.ready && !(await entry.topic.firstItem())) {
        if (entry.topic.members === 0) this.#end(entry);
        throw this.#isClosed() ? shuttingDown() : snapshot;
      }
    } else if (!entry.topic.ready) {
      const { item, timed, receivedAt } = snapshot;
      entry.topic.prime(item, { via: 'rest', timed, receivedAt });
    }
    if (entry.topic.members === 0) this.#linger(entry);
    return entry;
  }

  /** Venues only: a CoinMarketCap quote is no first event of a venue's stream. Never rejects. */
  async #snapshot(topic: StreamTopic): Promise<RestItem | AppError> {
    try {
      const request = requestOf(topic);
      const answer = await this.#options.marketData().get({ ...request, fallback: false });
      return itemOf(topic, answer.body, answer.receivedAt);
    } catch (thrown) {
      return AppError.from(thrown);
    }
  }

  #start(topic: StreamTopic, { watchable, capabilities }: ExchangeDescription): Entry {
    this.#refuseWhereFull(this.#topics.size);
    const { exchanges, settings, pollIntervalMs, sandbox, log, now, random } = this.#options;
    const opened = new Topic({
      topic,
      exchanges,
      watchable: watchable.includes(topic.channel),
      pollable: capabilities[topic.channel],
      idleTimeoutMs: settings.idleTimeoutMs,
      pollIntervalMs: (pollIntervalMs ?? DEFAULT_POLL_INTERVALS)[topic.channel],
      sandbox,
      log,
      now,
      random,
      timers: this.#timers,
      nextId: () => `${this.#epoch}-${(this.#sequence += 1)}`,
      count: (events) => {
        this.#eventsIn += 1;
        this.#eventsOut += events;
      },
      deliver: (subscriber, event) => {
        this.#deliver(subscriber, event);
      },
    });
    const entry: Entry = { key: keyOf(topic), topic: opened, cancelLinger: null };
    this.#topics.set(entry.key, entry);
    opened.start();
    return entry;
  }

  #deliver(subscriber: Subscriber, event: SharedEvent): void {
    try {
      subscriber.onEvent(event);
    } catch (error) {
      this.#options.log.error({ error }, 'a stream subscriber threw');
    }
  }

  #linger(entry: Entry): void {
    entry.cancelLinger?.();
    entry.cancelLinger = this.#timers.after(this.#options.settings.lingerMs, () => {
      this.#end(entry);
    });
  }

  #end(entry: Entry): void {
    entry.cancelLinger?.();
    entry.cancelLinger = null;
    if (this.#topics.get(entry.key) === entry) this.#topics.delete(entry.key);
    this.#pastReconnects += entry.topic.reconnects;
    entry.topic.close();
  }

  #refuseWhereFull(topics: number): void {
    if (topics < MAX_TOPICS) return;
    throw new AppError('overloaded', 'Too many different streams are open.');
  }

  /** A method, since the flag may change during an await. */
  #isClosed(): boolean {
    return this.#closed;
  }
}

const isOffered = (channel: Channel, { watchable, capabilities }: ExchangeDescription): boolean =>
  watchable.includes(channel) || capabilities[channel];

const shuttingDown = (): AppError => new AppError('shutting_down', 'The server is shutting down.');

/** Makes the hub; opens nothing before the first subscription. */
export const createHub = (options: HubOptions): StreamHub & LiveTickers => new Hub(options);
