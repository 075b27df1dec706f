/** A server's hold on a topic under one fence: numbers and publishes its events, and tells the followers what is beside them. */
import type { StreamItem } from '../../exchanges/exchange-client.js';
import type { Millis } from '../../schemas/common.js';
import type { EventId } from '../../streams/event-ids.js';
import type { ItemSource } from '../../streams/feed/feed-source.js';
import { isSequence } from '../../streams/feed/feed-state.js';
import type { Publication } from '../bus.js';
import type { SharedFeedParts } from './feed-parts.js';
import { type FeedMessage, writeMessage } from './messages.js';
import type { Moment } from './moment.js';
import { Publisher } from './publisher.js';

/** Less than the second between two checks of a topic while nothing is about to change. */
const TELL_TOP_MS: Millis = 900;
/** A quiet topic is told again so often: its owner learns where the bus has forgotten it. */
const TELL_AGAIN_MS: Millis = 30_000;
/** Told while the bus did not answer; the oldest are given up. */
const MAX_UNTOLD = 32;

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
  #checkedAt: Millis = -Infinity;
  #toldAt: Millis;
  #told: EventId | null = null;
  #seenTop: EventId | null = null;
  /** The leases of this server when the bus last said that the topic is its own. */
  #leases: number | undefined;
  #untold: { readonly message: FeedMessage; readonly asStatus: boolean }[] = [];
  #telling = false;

  /** `onFenced`: called once, where the topic is not this server's any more. */
  constructor(parts: SharedFeedParts, { fence, top, pending }: Hold, onFenced: () => void) {
    const { bus, key, keep, room, timers, counts, request } = parts;
    this.#parts = parts;
    this.#toldAt = parts.monotonic();
    this.#leases = bus.stats.leases;
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

  /** In this order, and again where the bus did not answer. */
  tell(message: FeedMessage, asStatus = false): void {
    // Of statuses only the latest counts.
    if (asStatus) this.#untold = this.#untold.filter((untold) => !untold.asStatus);
    this.#untold.push({ message, asStatus });
    if (this.#untold.length > MAX_UNTOLD) this.#untold.shift();
    void this.#tellUntold();
  }

  async #tellUntold(): Promise<void> {
    const { bus, key } = this.#parts;
    if (this.#telling) return;
    this.#telling = true;
    try {
      for (let next = this.#untold[0]; next !== undefined && !this.#ended; next = this.#untold[0]) {
        const { message, asStatus } = next;
        const heard = await bus.tell(key, this.fence, { text: writeMessage(message), asStatus });
        this.#untold = this.#untold.filter((untold) => untold !== next);
        if (heard === null) this.#fenced();
      }
    } catch {
      // Told again by `check`.
      this.#parts.unsettled();
    } finally {
      this.#telling = false;
    }
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

  /** Called ten times a second, or once where nothing is about to change. */
  check({ at, isIn, leases }: Pick<Moment, 'at' | 'isIn' | 'leases'>): void {
    this.#publisher.resume();
    if (!isIn) return;
    if (this.#untold.length > 0) void this.#tellUntold();
    this.#tellTop(at, leases);
  }

  /** Nothing is published any more. The answer is what was not. */
  end(): Publication[] {
    this.#ended = true;
    return this.#publisher.end();
  }

  #fenced(): void {
    if (!this.#ended) this.#onFenced();
  }

  /**
   * Once a second, of a topic that has published, but nothing since the second before. At once, of any, where the lease of
   * this server began anew: meanwhile another may have taken the topic, or the bus was emptied.
   */
  #tellTop(now: Millis, leases: number | undefined): void {
    const isNewLease = this.#leases !== undefined && leases !== this.#leases;
    this.#leases = leases;
    if (now - this.#checkedAt < TELL_TOP_MS && !isNewLease) return;
    this.#checkedAt = now;
    const top = this.acknowledged;
    const hasGoneQuiet = top !== null && top === this.#seenTop && top !== this.#told;
    this.#seenTop = top;
    if (!hasGoneQuiet && !isNewLease && now - this.#toldAt < TELL_AGAIN_MS) return;
    this.#toldAt = now;
    this.#told = top;
    this.tell({ kind: 'top', id: top ?? '' });
  }
}
