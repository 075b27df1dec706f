/** The running topics: started, kept for a linger after their last client, and ended. */
import { AppError, type BookFault } from '../errors.js';
import type { ExchangeId } from '../schemas/common.js';
import type { ExchangeDescription, StreamTopic } from '../exchanges/exchange-client.js';
import { BookCrossCheck } from './feed/book-cross-check.js';
import { FeedOutages } from './feed/feed-outages.js';
import type { SharedEvent, Subscriber } from './hub-api.js';
import { SilenceChecks } from './feed/silence-checks.js';
import { DEFAULT_CHECK_SPACING_MS, DEFAULT_POLL_INTERVALS, type HubOptions } from './hub-options.js';
import { systemTimers, type Timers } from '../lib/timers.js';
import { Topic } from './topic.js';

/** Open topics at most; a further one is refused as `overloaded`. */
export const MAX_TOPICS = 10_000;

export const keyOf = ({ channel, exchange, symbol, interval }: StreamTopic): string =>
  `${channel} ${exchange} ${interval ?? ''} ${symbol}`;

export interface Entry {
  readonly key: string;
  readonly topic: Topic;
  /** Ends the topic unless somebody joins before. */
  cancelLinger: (() => void) | null;
}

/** Live order books of an exchange that were found to be wrong and subscribed anew. */
export interface BookResyncCount {
  readonly exchange: ExchangeId;
  readonly reason: BookFault;
  readonly count: number;
}

export class TopicTable {
  readonly #options: HubOptions;
  readonly #timers: Timers;
  readonly #outages: FeedOutages;
  /** Bounded by the enabled exchanges. */
  readonly #checks = new Map<ExchangeId, SilenceChecks>();
  readonly #crossCheck: BookCrossCheck;
  /** Bounded by the enabled exchanges and the kinds of faults. */
  readonly #bookResyncs = new Map<string, BookResyncCount>();
  readonly #entries = new Map<string, Entry>();
  /** Tells this process's event ids from those before a restart. */
  readonly #epoch: string;
  #sequence = 0;
  #eventsIn = 0;
  #eventsOut = 0;
  /** Of topics that are closed. */
  #pastReconnects = 0;

  constructor(options: HubOptions) {
    this.#options = options;
    this.#timers = options.timers ?? systemTimers;
    this.#outages = new FeedOutages({ log: options.log, now: options.monotonic ?? options.now });
    this.#crossCheck = new BookCrossCheck({ timers: this.#timers, random: options.random });
    this.#epoch = Math.trunc(options.now()).toString(36);
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
  start(topic: StreamTopic, { watchable, capabilities, bookIntegrity }: ExchangeDescription): Entry {
    this.refuseWhereFull();
    const { exchanges, settings, pollIntervalMs, sandbox, log, now, monotonic = now, random } = this.#options;
    const opened = new Topic({
      topic,
      exchanges,
      watchable: watchable.includes(topic.channel),
      pollable: capabilities[topic.channel],
      bookIntegrity: bookIntegrity ?? 'snapshot',
      crossCheck: topic.channel === 'orderbook' && bookIntegrity === 'crosscheck' ? this.#crossCheck : null,
      bookFailed: (reason) => {
        this.#countResync(topic.exchange, reason);
      },
      idleTimeoutMs: settings.idleTimeoutMs,
      pollIntervalMs: (pollIntervalMs ?? DEFAULT_POLL_INTERVALS)[topic.channel],
      sandbox,
      log,
      outages: this.#outages,
      checks: this.#checksOf(topic.exchange),
      now,
      monotonic,
      random,
      timers: this.#timers,
      onCandles: this.#options.onCandles,
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
    this.#entries.set(entry.key, entry);
    opened.start();
    return entry;
  }

  #checksOf(exchange: ExchangeId): SilenceChecks {
    let checks = this.#checks.get(exchange);
    if (checks === undefined) {
      const { checkSpacingMs = DEFAULT_CHECK_SPACING_MS, now, monotonic = now } = this.#options;
      checks = new SilenceChecks({ spacingMs: checkSpacingMs, monotonic, timers: this.#timers });
      this.#checks.set(exchange, checks);
    }
    return checks;
  }

  /** Somebody joins: the topic does not end. */
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

  end(entry: Entry): void {
    this.keep(entry);
    if (this.#entries.get(entry.key) === entry) this.#entries.delete(entry.key);
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

  #deliver(subscriber: Subscriber, event: SharedEvent): void {
    try {
      subscriber.onEvent(event);
    } catch (error) {
      this.#options.log.error({ error }, 'a stream subscriber threw');
    }
  }
}
