/**
 * The hub: topics with reference counts, one upstream feed each, and the clients' way into them. Nothing here scales
 * with topics that did not tick.
 */
import { AppError } from '../errors.js';
import type { ExchangeId, UnifiedSymbol } from '../schemas/common.js';
import { errorInWordsOf } from '../exchanges/named-error.js';
import type { LiveTicker, LiveTickers } from '../market-data/market-data-api.js';
import type { HubStats, StreamHub, SubscribeRequest, Subscriber, Subscription } from './hub-api.js';
import type { HubOptions } from './hub-options.js';
import { TopicOpening, shuttingDown } from './topic-opening.js';
import { TopicTable, keyOf } from './topic-table.js';

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
    const threshold = request.topic.channel === 'ticker' ? (request.threshold ?? settings.deltaThreshold) : 0;
    const { name, lastEventId } = request;
    const leave = entry.topic.join(subscriber, { name, threshold, lastEventId });
    let gone = false;
    return {
      symbol: entry.topic.topic.symbol,
      via: entry.topic.status.state === 'polling' ? 'rest' : 'websocket',
      close: () => {
        if (gone) return;
        gone = true;
        leave();
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
    const opened = this.#opening.close();
    this.#table.endAll();
    await opened;
  }
}

/** Makes the hub; opens nothing before the first subscription. */
export const createHub = (options: HubOptions): StreamHub & LiveTickers => new Hub(options);
