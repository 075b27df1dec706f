/** The running topics of the hub, counted over all there were. Nothing here scales with topics that did not tick. */
import { AppError, type BookFault } from '../errors.js';
import type { ExchangeDescription, StreamTopic } from '../exchanges/exchange-client.js';
import { systemTimers, type Timers } from '../lib/timers.js';
import type { ExchangeId } from '../schemas/common.js';
import type { HubOptions } from './hub-api.js';
import { Topic } from './topic.js';

/** Open topics at most; a further one is refused as `overloaded`. */
export const MAX_TOPICS = 10_000;

/** One topic's key in the table. */
export const keyOf = ({ channel, exchange, symbol, interval }: StreamTopic): string =>
  `${channel} ${exchange} ${interval ?? ''} ${symbol}`;

export interface TopicEntry {
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
export class TopicTable {
  readonly #options: HubOptions;
  readonly #timers: Timers;
  /** Bounded by the enabled exchanges and the kinds of faults. */
  readonly #bookResyncs = new Map<string, BookResyncCount>();
  readonly #entries = new Map<string, TopicEntry>();
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

  get(key: string): TopicEntry | undefined {
    return this.#entries.get(key);
  }

  /** Starts a topic that is not there yet. Throws `overloaded`. */
  start(topic: StreamTopic, description: ExchangeDescription): TopicEntry {
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
    const entry: TopicEntry = { key: keyOf(topic), topic: opened, cancelLinger: null };
    this.#entries.set(entry.key, entry);
    opened.start();
    return entry;
  }

  /** A client joins: the topic does not end. */
  keep(entry: TopicEntry): void {
    entry.cancelLinger?.();
    entry.cancelLinger = null;
  }

  /** Ends the topic after the linger, where it has no members. */
  lingerIfEmpty(entry: TopicEntry): void {
    if (entry.topic.members > 0) return;
    entry.cancelLinger?.();
    entry.cancelLinger = this.#timers.after(this.#options.settings.lingerMs, () => {
      entry.cancelLinger = null;
      if (entry.topic.isShared) void this.#endUnlessFollowed(entry);
      else this.end(entry);
    });
  }

  /** Other servers may show what this topic's feed brings: it is kept for them, and looked at again after another linger. */
  async #endUnlessFollowed(entry: TopicEntry): Promise<void> {
    const mayEnd = await entry.topic.mayEnd();
    // Meanwhile a client may have come, and gone again.
    if (entry.topic.members > 0 || entry.cancelLinger !== null) return;
    if (mayEnd) this.end(entry);
    else if (this.#entries.get(entry.key) === entry) this.lingerIfEmpty(entry);
  }

  /** Idempotent. */
  end(entry: TopicEntry): void {
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
