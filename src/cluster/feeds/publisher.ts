/** The way of an owned topic's events to the bus: in order, some at a time, and bounded while the bus is slow or away. */
import type { Timers } from '../../lib/timers.js';
import type { Millis } from '../../schemas/common.js';
import type { EventId } from '../../streams/event-ids.js';
import type { Bus, Publication } from '../bus.js';

/** Events that wait; beyond it the oldest are given up, and followers see by the ids how many rows they miss. */
const MAX_PENDING = 2_000;
const MAX_BATCH = 100;
const RETRY_MS: Millis = 200;

export interface PublisherOptions {
  readonly bus: Pick<Bus, 'publish' | 'isIn'>;
  readonly topic: string;
  readonly fence: number;
  /** Events that the bus keeps. */
  readonly keep: number;
  /** Only the latest counts: one that waits is replaced. */
  readonly isLatestOnly: boolean;
  readonly timers: Timers;
  /** The topic is not this server's any more. */
  readonly onFenced: () => void;
  readonly count: (outcome: 'published' | 'dropped', events: number) => void;
}

export class Publisher {
  readonly #options: PublisherOptions;
  #pending: Publication[];
  #sending = false;
  #ended = false;
  #acknowledged: EventId | null;

  /** `pending`: what an earlier fence of this server could not publish. */
  constructor(
    options: PublisherOptions,
    { acknowledged, pending = [] }: { acknowledged: EventId | null; pending?: Publication[] },
  ) {
    this.#options = options;
    this.#acknowledged = acknowledged;
    this.#pending = pending;
  }

  /** The latest event that the bus has taken; null: none. */
  get acknowledged(): EventId | null {
    return this.#acknowledged;
  }

  add(publication: Publication): void {
    const { isLatestOnly, count } = this.#options;
    if (isLatestOnly && this.#pending.length > 0) this.#pending = [];
    this.#pending.push(publication);
    if (this.#pending.length > MAX_PENDING) {
      this.#pending.shift();
      count('dropped', 1);
    }
    this.resume();
  }

  /** Goes on sending where the bus answers again. */
  resume(): void {
    if (!this.#sending && !this.#ended && this.#pending.length > 0 && this.#options.bus.isIn)
      void this.#send();
  }

  /** Nothing is sent any more. The answer is what was not. */
  end(): Publication[] {
    this.#ended = true;
    return this.#pending;
  }

  /** A method, since it may end during an await. */
  #isEnded(): boolean {
    return this.#ended;
  }

  async #send(): Promise<void> {
    this.#sending = true;
    const { bus, topic, fence, keep, timers, onFenced, count } = this.#options;
    while (!this.#ended && this.#pending.length > 0 && bus.isIn) {
      const batch = this.#pending.slice(0, MAX_BATCH);
      try {
        const holds = await bus.publish(topic, fence, { publications: batch, keep });
        if (this.#isEnded()) break;
        if (!holds) {
          this.#ended = true;
          onFenced();
          break;
        }
        // Meanwhile the oldest may have been given up, or replaced.
        const sent = new Set(batch);
        this.#pending = this.#pending.filter((publication) => !sent.has(publication));
        this.#acknowledged = batch.at(-1)?.id ?? this.#acknowledged;
        count('published', batch.length);
      } catch {
        // Not known whether it was taken: what is sent twice is passed over.
        timers.after(RETRY_MS, () => this.resume());
        break;
      }
    }
    this.#sending = false;
  }
}
