/** What has been published of a topic, shown here in its order: gaps are repaired from the bus' history, or told. */
import type { StreamItem } from '../../exchanges/exchange-client.js';
import type { Millis } from '../../schemas/common.js';
import { MAX_RECENT_TRADES } from '../../streams/channels/sequence-state.js';
import { compareEventIds, type EventId, positionOf } from '../../streams/event-ids.js';
import type { ItemSource } from '../../streams/feed/feed-source.js';
import { isSequence } from '../../streams/feed/feed-state.js';
import { type Recalled, rowsOf } from '../../streams/history.js';
import type { Publication } from '../bus.js';
import { MAX_HELD, type SharedFeedParts, type SharedTimers } from './feed-parts.js';
import { readMessage, type SharedItem } from './messages.js';

const REPAIR_AGAIN_MS: Millis = 200;
/** Owners of the topic whose ids are known; the oldest is forgotten. */
const MAX_FENCES = 32;

/** Rows between two events that follow each other in what is kept; undefined: not known how many. */
const rowsBetween = (last: EventId, { id, previous, item }: SharedItem): number | undefined => {
  const [from, to, before] = [positionOf(last), positionOf(id), positionOf(previous ?? '')];
  if (previous === last || from === null || to === null) return 0;
  if (from.epoch === to.epoch) return Math.max(0, to.seq - rowsOf(item) - from.seq);
  // The last events of an owner that died may have reached its own clients alone.
  return before?.epoch === from.epoch ? Math.max(0, before.seq - from.seq) : undefined;
};

const itemsOf = (kept: readonly Publication[]): SharedItem[] =>
  kept.flatMap(({ text }) => {
    const message = readMessage(text);
    return message?.kind === 'item' ? [message] : [];
  });

interface PublishedEventsHooks {
  readonly isFollowing: () => boolean;
  readonly show: (item: StreamItem, source: ItemSource) => void;
  /** Nothing is missing up to here: what the owner publishes goes on from it. */
  readonly onRepaired: () => void;
}

export class PublishedEvents {
  readonly #parts: SharedFeedParts;
  readonly #timers: SharedTimers;
  readonly #hooks: PublishedEventsHooks;
  readonly #isSequence: boolean;
  readonly #fences = new Set<string>();
  #joined = false;
  #repairing = false;
  #repairAgain = false;
  /** Came while gaps were repaired. */
  #waiting: SharedItem[] = [];
  /** The latest shared event that was shown here. */
  lastId: EventId | null = null;

  constructor(parts: SharedFeedParts, timers: SharedTimers, hooks: PublishedEventsHooks) {
    this.#parts = parts;
    this.#timers = timers;
    this.#hooks = hooks;
    this.#isSequence = isSequence(parts.request.topic);
  }

  knows(id: EventId): boolean {
    return this.#fences.has(positionOf(id)?.epoch ?? '');
  }

  addFence(fence: number): void {
    this.#addEpoch(String(fence));
  }

  /** What the bus sends is heard from now on, and again. */
  joined(): void {
    this.#joined = true;
    void this.repair();
  }

  /** What the bus keeps behind an event. */
  async recall(since: EventId): Promise<Recalled | null> {
    const { bus, key } = this.#parts;
    try {
      const items = itemsOf(await bus.history(key, since));
      const [first] = items;
      return { lost: first === undefined ? 0 : rowsBetween(since, first), ticks: items };
    } catch {
      return null;
    }
  }

  /** Before this server goes on from `top`, the latest that the bus has: shows what it has not heard, or tells that it is lost. */
  async catchUp(top: EventId): Promise<void> {
    try {
      this.#applyKept(await this.#kept());
    } catch {
      if (!this.#isSequence || this.lastId === null || !this.#isNew(top)) return;
      this.#parts.counts.lost += 1;
      this.#parts.request.listener.onLoss({ count: undefined });
    }
  }

  /** Behind the latest event; where nothing was shown yet, what a new client is shown: to read all takes long for many topics. */
  #kept(): Promise<readonly Publication[]> {
    const { bus, key, request } = this.#parts;
    const isFirst = this.lastId === null && !request.listener.ready && request.topic.channel === 'trades';
    return bus.history(key, this.lastId ?? undefined, isFirst ? MAX_RECENT_TRADES : undefined);
  }

  heard(message: SharedItem): void {
    const isGap = this.#isSequence && this.lastId !== null && message.previous !== this.lastId;
    if (!this.#isNew(message.id)) return;
    if (!this.#repairing && this.#joined && !isGap) {
      this.#measure(message);
      this.#apply(message);
      return;
    }
    if (this.#waiting.length < MAX_HELD) this.#waiting.push(message);
    else this.#repairAgain = true;
    void this.repair();
  }

  heardTop(id: EventId): void {
    if (this.#isNew(id)) void this.repair();
  }

  /** Reads what the bus keeps behind the latest event; what came meanwhile follows. */
  async repair(): Promise<void> {
    if (!this.#hooks.isFollowing() || !this.#joined) return;
    if (this.#repairing) {
      this.#repairAgain = true;
      return;
    }
    this.#repairing = true;
    try {
      do {
        this.#repairAgain = false;
        const kept = await this.#kept();
        if (!this.#hooks.isFollowing()) return;
        this.#applyKept(kept);
      } while (this.#isRepairDue());
    } catch {
      this.#timers.arm('repair', REPAIR_AGAIN_MS, () => void this.repair());
      return;
    } finally {
      this.#repairing = false;
    }
    this.#hooks.onRepaired();
    for (const item of this.#waiting.splice(0)) this.heard(item);
  }

  /** A method, since it may change during an await. */
  #isRepairDue(): boolean {
    return this.#repairAgain;
  }

  #addEpoch(epoch: string): void {
    if (this.#fences.has(epoch)) return;
    this.#fences.add(epoch);
    const [oldest] = this.#fences;
    if (this.#fences.size > MAX_FENCES && oldest !== undefined) this.#fences.delete(oldest);
  }

  #isNew(id: EventId): boolean {
    return this.lastId === null || compareEventIds(id, this.lastId) > 0;
  }

  #apply({ id, item, source }: SharedItem): void {
    if (!this.#isNew(id)) return;
    this.lastId = id;
    this.#addEpoch(positionOf(id)?.epoch ?? '');
    this.#hooks.show(item, { ...source, receivedAt: this.#atOwnClock(source.receivedAt), id });
  }

  /** The owner's clock and this server's may differ. */
  #atOwnClock(time: Millis): Millis {
    return time - (this.#parts.bus.stats.clockOffsetMs ?? 0);
  }

  #measure({ source }: SharedItem): void {
    const { counts, now } = this.#parts;
    counts.deliverySeconds.observe(Math.max(0, now() - this.#atOwnClock(source.receivedAt)) / 1000);
  }

  #applyKept(kept: readonly Publication[]): void {
    const items = itemsOf(kept);
    const [first] = items;
    if (this.#isSequence && this.lastId !== null && first !== undefined) {
      const lost = rowsBetween(this.lastId, first);
      if (lost === 0) this.#parts.counts.repaired += 1;
      else {
        this.#parts.counts.lost += 1;
        this.#parts.request.listener.onLoss({ count: lost });
      }
    }
    for (const item of items) this.#apply(item);
  }
}
