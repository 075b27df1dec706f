/** The hub: clients join topics. How one is opened: topic-opening.ts; all that run: topic-table.ts. */
import { AppError } from '../errors.js';
import { errorInWordsOf } from '../exchanges/refusals.js';
import type { LiveTicker, LiveTickers } from '../market-data/market-data-api.js';
import type { ExchangeId, UnifiedSymbol } from '../schemas/common.js';
import type {
  HubOptions,
  HubStats,
  StreamHub,
  SubscribeRequest,
  Subscriber,
  Subscription,
} from './hub-api.js';
import type { Recalled } from './history.js';
import { shuttingDown, TopicOpening } from './topic-opening.js';
import { keyOf, TopicTable, type TopicEntry } from './topic-table.js';

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
    for (;;) {
      const entry = await this.#opening.find(request).catch((thrown: unknown) => {
        const { name, topic } = request;
        throw errorInWordsOf({ name, exchange: topic.exchange }, AppError.from(thrown));
      });
      this.#table.keep(entry);
      const recalling = request.lastEventId === undefined ? null : entry.topic.recall(request.lastEventId);
      const recalled = recalling === null ? null : await recalling;
      // Nothing is awaited from here on, so that no item falls between the first event and those that follow.
      if (this.#closed) throw shuttingDown();
      // Another who wanted it and left may have ended it meanwhile.
      if (this.#table.get(entry.key) === entry) return this.#join(entry, { request, subscriber, recalled });
    }
  }

  #join(
    entry: TopicEntry,
    {
      request,
      subscriber,
      recalled,
    }: {
      readonly request: SubscribeRequest;
      readonly subscriber: Subscriber;
      readonly recalled: Recalled | null;
    },
  ): Subscription {
    this.#table.keep(entry);
    this.#subscribers += 1;
    const { settings } = this.#options;
    const isTicker = request.topic.channel === 'ticker';
    const threshold = isTicker ? (request.threshold ?? settings.deltaThreshold) : 0;
    const stats = isTicker && request.stats === true;
    const { name, lastEventId } = request;
    const joined = entry.topic.join(subscriber, { name, threshold, stats, lastEventId, recalled });
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
      feeds: topics.map(({ topic, status, members, lastItemAt, reconnects, owner }) => ({
        topic,
        owner,
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
