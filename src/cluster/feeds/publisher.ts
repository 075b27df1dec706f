/** The way of an owned topic's events to the bus: in order, some at a time, and bounded while the bus is slow or away. */
import type { Timers } from '../../lib/timers.js';
import type { Millis } from '../../schemas/common.js';
import type { EventId } from '../../streams/event-ids.js';
import type { Bus, Publication } from '../bus.js';
import type { PublishingRoom } from './publishing-room.js';

/** Events that wait; beyond it the oldest are given up, and followers see by the ids how many rows they miss. */
const MAX_PENDING = 2_000;
const MAX_BATCH = 100;
const NONE: ReadonlySet<Publication> = new Set();
const RETRY_MS: Millis = 200;

export interface PublisherOptions {
  readonly bus: Pick<Bus, 'publish' | 'isIn'>;
  readonly topic: string;
  readonly fence: number;
  /** Events that the bus keeps, where there is room for them. */
  readonly keep: number;
  readonly room: PublishingRoom;
  /** Only the latest counts: one that waits is replaced. */
  readonly isLatestOnly: boolean;
  readonly timers: Timers;
  /** The topic is not this server's any more. */
  readonly onFenced: () => void;
  readonly count: (outcome: 'published' | 'conflated' | 'dropped', events: number) => void;
}

export class Publisher {
  readonly #options: PublisherOptions;
  #pending: Publication[];
  #sending = false;
  /** Sent, and not yet acknowledged. */
  #batch: ReadonlySet<Publication> = NONE;
  #ended = false;
  #isFenced = false;
  #acknowledged: EventId | null;
  #cancelRetry: () => void = () => undefined;
  /** Of the last events, each with half the weight of the one after it. */
  #meanBytes = 0;
  #events = 0;
  #wantedBytes = 0;

  /** `pending`: what an earlier fence of this server could not publish. */
  constructor(
    options: PublisherOptions,
    { acknowledged, pending = [] }: { acknowledged: EventId | null; pending?: Publication[] },
  ) {
    this.#options = options;
    this.#acknowledged = acknowledged;
    this.#pending = pending;
    for (const publication of pending) options.room.pend(publication.text.length);
  }

  /** The latest event that the bus has taken; null: none. */
  get acknowledged(): EventId | null {
    return this.#acknowledged;
  }

  add(publication: Publication): void {
    const { isLatestOnly, room } = this.#options;
    // What is on its way is not taken back.
    if (isLatestOnly)
      this.#giveUp(
        this.#pending.filter((waiting) => !this.#batch.has(waiting)),
        'conflated',
      );
    this.#pending.push(publication);
    room.pend(publication.text.length);
    this.#measure(publication.text.length);
    const isTooMuch = (): boolean => this.#pending.length > MAX_PENDING || room.isFull;
    while (isTooMuch() && this.#pending.length > 1) this.#giveUp(this.#pending.slice(0, 1), 'dropped');
    this.resume();
  }

  #giveUp(publications: readonly Publication[], outcome: 'conflated' | 'dropped'): void {
    this.#remove(new Set(publications));
    this.#options.count(outcome, publications.length);
  }

  #remove(publications: ReadonlySet<Publication>): void {
    this.#pending = this.#pending.filter((publication) => {
      if (!publications.has(publication)) return true;
      this.#options.room.pend(-publication.text.length);
      return false;
    });
  }

  /** What an earlier owner published is not counted: it is trimmed all the same. */
  #measure(bytes: number): void {
    const { keep, room } = this.#options;
    this.#events = Math.min(this.#events + 1, keep);
    this.#meanBytes = this.#meanBytes === 0 ? bytes : (this.#meanBytes + bytes) / 2;
    const wanted = this.#events * this.#meanBytes;
    room.want(wanted - this.#wantedBytes);
    this.#wantedBytes = wanted;
  }

  /** Goes on sending where the bus answers again. */
  resume(): void {
    if (
      !this.#sending &&
      !this.#ended &&
      !this.#isFenced &&
      this.#pending.length > 0 &&
      this.#options.bus.isIn
    )
      void this.#send();
  }

  /** Nothing is sent any more. The answer is what was not. */
  end(): Publication[] {
    const { room } = this.#options;
    this.#ended = true;
    this.#cancelRetry();
    const pending = this.#pending.splice(0);
    for (const { text } of pending) room.pend(-text.length);
    room.want(-this.#wantedBytes);
    this.#wantedBytes = 0;
    return pending;
  }

  /** A method, since it may end during an await. */
  #isEnded(): boolean {
    return this.#ended;
  }

  async #send(): Promise<void> {
    this.#sending = true;
    const { bus, topic, fence, keep, room, timers, onFenced, count } = this.#options;
    while (!this.#ended && this.#pending.length > 0 && bus.isIn) {
      const batch = this.#pending.slice(0, MAX_BATCH);
      this.#batch = new Set(batch);
      try {
        const holds = await bus.publish(topic, fence, { publications: batch, keep: room.mostOf(keep) });
        if (this.#isEnded()) break;
        if (!holds) {
          this.#isFenced = true;
          onFenced();
          break;
        }
        // Meanwhile the oldest may have been given up.
        this.#remove(this.#batch);
        this.#acknowledged = batch.at(-1)?.id ?? this.#acknowledged;
        count('published', batch.length);
      } catch {
        // Not known whether it was taken: what is sent twice is passed over.
        this.#cancelRetry();
        if (!this.#isEnded()) this.#cancelRetry = timers.after(RETRY_MS, () => this.resume());
        break;
      }
    }
    this.#batch = NONE;
    this.#sending = false;
  }
}
