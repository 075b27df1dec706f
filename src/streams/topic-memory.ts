/** What a topic remembers: the id of its latest event, and the events after which clients may go on. */
import type { StreamTopic } from '../exchanges/exchange-client.js';
import type { EventId } from './event-ids.js';
import type { FeedSource } from './feed/feed-source.js';
import { isSequence } from './feed/feed-state.js';
import { History, type Loss, type Recalled, type Resumption, type Tick } from './history.js';

/** Events that a topic remembers for clients that come back; of a ticker or an order book only the latest counts. */
const REMEMBERED_EVENTS = 64;

export class TopicMemory {
  readonly #isSequence: boolean;
  readonly #feed: FeedSource;
  readonly #history: History;
  #lastId: EventId;

  constructor(topic: StreamTopic, feed: FeedSource) {
    this.#isSequence = isSequence(topic);
    this.#feed = feed;
    this.#lastId = feed.nextEventId(0);
    this.#history = new History(this.#isSequence ? REMEMBERED_EVENTS : 1);
    this.#history.begin(this.#lastId);
  }

  get lastId(): EventId {
    return this.#lastId;
  }

  /** The next event has the id that another server gave it, or the feed's next one where it has `rows` rows. */
  advance(event: EventId | { readonly rows: number }): void {
    this.#lastId = typeof event === 'string' ? event : this.#feed.nextEventId(event.rows);
  }

  add(tick: Tick): void {
    this.#history.add(tick);
  }

  lose(loss: Loss): void {
    this.#history.lose(loss);
  }

  /** What came after an event, where this server does not remember it and others may; null: they do not either. */
  recall(id: string): Promise<Recalled | null> | null {
    if (!this.#isSequence || this.#history.since(id).resumed === 'complete') return null;
    return this.#feed.recall?.(id) ?? null;
  }

  /** What a client gets that names its last event. `recalled`: what `recall` answered. */
  since(id: string, recalled: Recalled | null = null): Resumption {
    if (recalled !== null) return this.#history.sinceWith(id, recalled);
    const own = this.#history.since(id);
    const isKnown = own.resumed !== 'none' || this.#isSequence || this.#feed.knows?.(id) !== true;
    return isKnown ? own : { resumed: 'complete', lost: 0, events: [], after: id };
  }
}
