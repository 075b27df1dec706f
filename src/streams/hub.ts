/**
 * The hub: topics with reference counts, one upstream feed each, and the clients' way into them. Nothing here scales
 * with topics that did not tick.
 */
import { AppError, type BookFault } from '../errors.js';
import type { ExchangeDescription, StreamTopic } from '../exchanges/exchange-client.js';
import { errorInWordsOf } from '../exchanges/refusals.js';
import { createSingleFlight } from '../lib/single-flight.js';
import { systemTimers, type Timers } from '../lib/timers.js';
import type { LiveTicker, LiveTickers } from '../market-data/market-data-api.js';
import { likelySymbol } from '../market-data/market-directory.js';
import type { ExchangeId, UnifiedSymbol } from '../schemas/common.js';
import type { Channel } from '../schemas/stream.js';
import { itemOf, requestOf, type RestItem } from './feed/rest-items.js';
import type {
  HubOptions,
  HubStats,
  StreamHub,
  SubscribeRequest,
  Subscriber,
  Subscription,
} from './hub-api.js';
import { Topic } from './topic.js';

/** Open topics at most; a further one is refused as `overloaded`. */
export const MAX_TOPICS = 10_000;

const keyOf = ({ channel, exchange, symbol, interval }: StreamTopic): string =>
  `${channel} ${exchange} ${interval ?? ''} ${symbol}`;

interface Entry {
  readonly key: string;
  readonly topic: Topic;
  /** Cancels the end of a topic without clients; null where none is due. */
  cancelLinger: (() => void) | null;
}

/** Live order books of an exchange that were found to be wrong and subscribed anew. */
interface BookResyncCount {
  readonly exchange: ExchangeId;
  readonly reason: BookFault;
  readonly count: number;
}

/** The running topics: started, kept for a linger after their last client, and ended. */
class TopicTable {
  readonly #options: HubOptions;
  readonly #timers: Timers;
  /** Bounded by the enabled exchanges and the kinds of faults. */
  readonly #bookResyncs = new Map<string, BookResyncCount>();
  readonly #entries = new Map<string, Entry>();
  #eventsIn = 0;
  #eventsOut = 0;
  /** Of topics that are closed. */
  #pastReconnects = 0;

  constructor(options: HubOptions) {
    this.#options = options;
    this.#timers = options.timers ?? systemTimers;
  }

  get topics(): Topic[] {
    return [...this.#entries.values()].map(({ topic }) => topic);
  }

  /** Since the start, over all topics there were. */
  get counters(): { readonly eventsIn: number; readonly eventsOut: number; readonly reconnects: number } {
    const reconnects = this.topics.reduce((sum, topic) => sum + topic.reconnects, this.#pastReconnects);
    return { eventsIn: this.#eventsIn, eventsOut: this.#eventsOut, reconnects };
  }

  get bookResyncs(): BookResyncCount[] {
    return [...this.#bookResyncs.values()];
  }

  get(key: string): Entry | undefined {
    return this.#entries.get(key);
  }

  /** Starts a topic that is not there yet. Throws `overloaded`. */
  start(topic: StreamTopic, description: ExchangeDescription): Entry {
    this.refuseWhereFull();
    const { feeds, sandbox, onCandles, log, now, monotonic = now } = this.#options;
    const opened = new Topic({
      topic,
      description,
      feeds,
      sandbox,
      bookFailed: (reason) => {
        this.#countResync(topic.exchange, reason);
      },
      onCandles,
      count: (events) => {
        this.#eventsIn += 1;
        this.#eventsOut += events;
      },
      log,
      now,
      monotonic,
      timers: this.#timers,
    });
    const entry: Entry = { key: keyOf(topic), topic: opened, cancelLinger: null };
    this.#entries.set(entry.key, entry);
    opened.start();
    return entry;
  }

  /** A client joins: the topic does not end. */
  keep(entry: Entry): void {
    entry.cancelLinger?.();
    entry.cancelLinger = null;
  }

  /** Ends the topic after the linger, where it has no members. */
  lingerIfEmpty(entry: Entry): void {
    if (entry.topic.members > 0) return;
    entry.cancelLinger?.();
    entry.cancelLinger = this.#timers.after(this.#options.settings.lingerMs, () => {
      this.end(entry);
    });
  }

  /** Idempotent. */
  end(entry: Entry): void {
    if (this.#entries.get(entry.key) !== entry) return;
    this.#entries.delete(entry.key);
    this.keep(entry);
    this.#pastReconnects += entry.topic.reconnects;
    entry.topic.close();
  }

  endAll(): void {
    for (const entry of [...this.#entries.values()]) this.end(entry);
  }

  /** `more`: topics that are about to come. */
  refuseWhereFull(more = 0): void {
    if (this.#entries.size + more < MAX_TOPICS) return;
    throw new AppError('overloaded', 'Too many different streams are open.');
  }

  #countResync(exchange: ExchangeId, reason: BookFault): void {
    const key = `${exchange} ${reason}`;
    const count = (this.#bookResyncs.get(key)?.count ?? 0) + 1;
    this.#bookResyncs.set(key, { exchange, reason, count });
  }
}

const shuttingDown = (): AppError => new AppError('shutting_down', 'The server is shutting down.');

const clientGone = (cause: unknown): AppError =>
  new AppError('invalid_request', 'The client left before its subscription began.', { cause });

const isOffered = (channel: Channel, { watchable, capabilities }: ExchangeDescription): boolean =>
  watchable.includes(channel) || capabilities[channel];

/** From a client's request to a running topic that has something to show, opened once however many want it at once. */
class TopicOpening {
  readonly #options: HubOptions;
  readonly #table: TopicTable;
  readonly #openings = createSingleFlight<Entry>();
  readonly #running = new Set<Promise<Entry>>();
  #closed = false;

  constructor(options: HubOptions, table: TopicTable) {
    this.#options = options;
    this.#table = table;
  }

  /** The running topic, or a new one; callers who want the same new one share its opening. Rejects with an AppError. */
  async find(request: SubscribeRequest): Promise<Entry> {
    const key = keyOf(request.topic);
    const running = this.#table.get(key);
    if (running?.topic.ready === true) return running;
    try {
      return await this.#openings.run(key, (signal) => this.#start(request, signal), request.signal);
    } catch (thrown) {
      throw request.signal?.aborted === true ? clientGone(thrown) : thrown;
    }
  }

  /** Nothing is opened any more; resolves once no opening is under way. */
  async close(): Promise<void> {
    this.#closed = true;
    await Promise.allSettled(this.#running);
  }

  #start(request: SubscribeRequest, signal: AbortSignal): Promise<Entry> {
    const opening = this.#open(request, signal);
    this.#running.add(opening);
    const ended = (): void => void this.#running.delete(opening);
    opening.then(ended, ended);
    return opening;
  }

  async #open({ topic: wanted, client }: SubscribeRequest, signal: AbortSignal): Promise<Entry> {
    if (this.#closed) throw shuttingDown();
    this.#table.refuseWhereFull(this.#openings.size);
    const [description, snapshot] = await Promise.all([
      this.#options.exchanges.describe(wanted.exchange),
      this.#snapshot(wanted, { client, signal }),
    ]);
    if (this.#isClosed()) throw shuttingDown();
    // The last client that waited has left: no feed is opened.
    if (signal.aborted) throw clientGone(signal.reason);
    if (!isOffered(wanted.channel, description))
      throw new AppError(
        'not_supported_by_exchange',
        `${wanted.exchange} offers no ${wanted.channel} stream.`,
      );
    // The venue may be reachable over WebSocket all the same.
    const hasFeed = description.watchable.includes(wanted.channel);
    if (snapshot instanceof AppError && !(snapshot.retryable && hasFeed)) throw snapshot;
    const symbol = snapshot instanceof AppError ? likelySymbol(wanted.symbol) : snapshot.symbol;
    const topic: StreamTopic = { ...wanted, symbol };
    const entry = this.#table.get(keyOf(topic)) ?? this.#table.start(topic, description);
    if (snapshot instanceof AppError) {
      if (!entry.topic.ready && !(await entry.topic.firstItem())) {
        if (entry.topic.members === 0) this.#table.end(entry);
        throw this.#isClosed() ? shuttingDown() : snapshot;
      }
    } else if (!entry.topic.ready) {
      const { item, timed, receivedAt } = snapshot;
      entry.topic.prime(item, { via: 'rest', timed, receivedAt });
    }
    this.#table.lingerIfEmpty(entry);
    return entry;
  }

  /** Venues only: a CoinMarketCap quote is no first event of a venue's stream. Never rejects. */
  async #snapshot(
    topic: StreamTopic,
    { client, signal }: { readonly client: string | undefined; readonly signal: AbortSignal },
  ): Promise<RestItem | AppError> {
    try {
      const request = requestOf(topic);
      const answer = await this.#options.marketData().get({ ...request, fallback: false, client }, signal);
      return itemOf(topic, answer);
    } catch (thrown) {
      return AppError.from(thrown);
    }
  }

  /** A method, since the flag may change during an await. */
  #isClosed(): boolean {
    return this.#closed;
  }
}

const tickerKey = (exchange: ExchangeId, symbol: UnifiedSymbol): string =>
  keyOf({ channel: 'ticker', exchange, symbol });

class Hub implements StreamHub, LiveTickers {
  readonly #options: HubOptions;
  readonly #table: TopicTable;
  readonly #opening: TopicOpening;
  #subscribers = 0;
  #closed = false;

  constructor(options: HubOptions) {
    this.#options = options;
    this.#table = new TopicTable(options);
    this.#opening = new TopicOpening(options, this.#table);
  }

  async subscribe(request: SubscribeRequest, subscriber: Subscriber): Promise<Subscription> {
    const entry = await this.#opening.find(request).catch((thrown: unknown) => {
      const { name, topic } = request;
      throw errorInWordsOf({ name, exchange: topic.exchange }, AppError.from(thrown));
    });
    // Nothing is awaited from here on, so that no item falls between the first event and those that follow.
    if (this.#closed) throw shuttingDown();
    this.#table.keep(entry);
    this.#subscribers += 1;
    const { settings } = this.#options;
    const isTicker = request.topic.channel === 'ticker';
    const threshold = isTicker ? (request.threshold ?? settings.deltaThreshold) : 0;
    const stats = isTicker && request.stats === true;
    const { name, lastEventId } = request;
    const joined = entry.topic.join(subscriber, { name, threshold, stats, lastEventId });
    let gone = false;
    return {
      symbol: entry.topic.topic.symbol,
      via: entry.topic.status.state === 'polling' ? 'rest' : 'websocket',
      resumedAfter: joined.resumedAfter,
      close: () => {
        if (gone) return;
        gone = true;
        joined.leave();
        this.#subscribers -= 1;
        this.#table.lingerIfEmpty(entry);
      },
    };
  }

  latest(exchange: ExchangeId, symbol: UnifiedSymbol): LiveTicker | undefined {
    return this.#table.get(tickerKey(exchange, symbol))?.topic.liveTicker();
  }

  stats(): HubStats {
    const { topics, counters, bookResyncs } = this.#table;
    return {
      topics: topics.length,
      subscribers: this.#subscribers,
      ...counters,
      bookResyncs,
      feeds: topics.map(({ topic, status, members, lastItemAt, reconnects }) => ({
        topic,
        state: status.state,
        subscribers: members,
        lastItemAt,
        reconnects,
      })),
    };
  }

  async close(): Promise<void> {
    this.#closed = true;
    const opened = this.#opening.close();
    this.#table.endAll();
    await opened;
  }
}

/** Makes the hub; opens nothing before the first subscription. */
export const createHub = (options: HubOptions): StreamHub & LiveTickers => new Hub(options);
