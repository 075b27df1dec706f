/** A server's hold on a topic under one fence: numbers and publishes its events, and tells the followers what is beside them. */
import type { StreamItem } from '../../exchanges/exchange-client.js';
import type { Millis } from '../../schemas/common.js';
import type { EventId } from '../../streams/event-ids.js';
import type { ItemSource } from '../../streams/feed/feed-source.js';
import { isSequence } from '../../streams/feed/feed-state.js';
import type { Publication } from '../bus.js';
import type { SharedFeedParts } from './feed-parts.js';
import { type FeedMessage, writeMessage } from './messages.js';
import { Publisher } from './publisher.js';

const TELL_TOP_MS: Millis = 1_000;

interface Hold {
  readonly fence: number;
  /** The latest event that the bus keeps; null: none. */
  readonly top: EventId | null;
  /** What a fence that is over could not publish. */
  readonly pending: Publication[];
}

export class Ownership {
  readonly fence: number;
  readonly #parts: SharedFeedParts;
  readonly #onFenced: () => void;
  readonly #publisher: Publisher;
  #lastId: EventId | null;
  #seq = 0;
  #ended = false;
  #toldAt: Millis = -Infinity;
  #told: EventId | null = null;
  #seenTop: EventId | null = null;

  /** `onFenced`: called once, where the topic is not this server's any more. */
  constructor(parts: SharedFeedParts, { fence, top, pending }: Hold, onFenced: () => void) {
    const { bus, key, keep, room, timers, counts, request } = parts;
    this.#parts = parts;
    this.fence = fence;
    this.#lastId = top;
    this.#onFenced = onFenced;
    this.#publisher = new Publisher(
      {
        ...{ bus, topic: key, fence, keep, room, isLatestOnly: !isSequence(request.topic), timers },
        onFenced: () => this.#fenced(),
        count: (outcome, events) => (counts[outcome] += events),
      },
      { acknowledged: top, pending },
    );
    this.#publisher.resume();
  }

  /** The latest event that the bus has taken; null: none. */
  get acknowledged(): EventId | null {
    return this.#publisher.acknowledged;
  }

  nextEventId(rows: number): EventId {
    return `${this.fence}-${(this.#seq += rows)}`;
  }

  /** What has been shown here under the latest id. */
  publish(item: StreamItem, { via, timed, receivedAt: here }: ItemSource): void {
    const id = `${this.fence}-${this.#seq}`;
    const receivedAt = here + (this.#parts.bus.stats.clockOffsetMs ?? 0);
    const message = {
      ...({ kind: 'item', id, previous: this.#lastId, item } as const),
      source: { via, timed, receivedAt },
    };
    this.#publisher.add({ id, text: writeMessage(message) });
    this.#lastId = id;
  }

  tell(message: FeedMessage, asStatus = false): void {
    void this.tellAndCount(message, asStatus);
  }

  /** How many heard it; null: nobody, or that is not known. */
  async tellAndCount(message: FeedMessage, asStatus = false): Promise<number | null> {
    const { bus, key } = this.#parts;
    try {
      const heard = await bus.tell(key, this.fence, { text: writeMessage(message), asStatus });
      if (heard === null) this.#fenced();
      return heard;
    } catch {
      return null;
    }
  }

  /** Called ten times a second. */
  check(): void {
    this.#publisher.resume();
    this.#tellTop();
  }

  /** Nothing is published any more. The answer is what was not. */
  end(): Publication[] {
    this.#ended = true;
    return this.#publisher.end();
  }

  #fenced(): void {
    if (!this.#ended) this.#onFenced();
  }

  /** Once a second, of a topic that has published, but nothing since the second before. */
  #tellTop(): void {
    const { monotonic } = this.#parts;
    if (monotonic() - this.#toldAt < TELL_TOP_MS) return;
    this.#toldAt = monotonic();
    const top = this.acknowledged;
    if (top !== null && top === this.#seenTop && top !== this.#told) {
      this.#told = top;
      this.tell({ kind: 'top', id: top });
    }
    this.#seenTop = top;
  }
}
