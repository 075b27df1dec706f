/**
 * Who stands in line for a venue's budget. A place holds one request, or all those of a call that needs several: they
 * are counted before everyone who comes later, whether they have arrived or not. Callers go before polls.
 */
import type { AppError } from '../../errors.js';
import type { Millis } from '../../schemas/common.js';

/** Ends the wait of a request that has arrived; null: it may leave. */
export type Settle = (error: AppError | null) => void;

export interface Place {
  readonly poll: boolean;
  readonly deadline: Millis;
  /** Requests that have not left yet, those that wait included. */
  owed: number;
  readonly waiters: Settle[];
}

/** Requests that leave before a given one: all of them, and the polls among them. */
export interface Ahead {
  readonly all: number;
  readonly polls: number;
}

const owedBy = (places: readonly Place[]): number => places.reduce((sum, { owed }) => sum + owed, 0);

export class WaitingLine {
  readonly #callers: Place[] = [];
  readonly #polls: Place[] = [];

  join(place: Place): void {
    this.#queueOf(place.poll).push(place);
  }

  /** One request of a place is not to be waited for any more; the place goes with its last. */
  served(place: Place): void {
    place.owed -= 1;
    if (place.owed === 0) this.#remove(place);
  }

  /** Nothing more will arrive at this place; what waits there goes on waiting. */
  close(place: Place): void {
    place.owed = place.waiters.length;
    if (place.owed === 0) this.#remove(place);
  }

  /** Refuses all that wait at a place and expects nothing more there. */
  refuse(place: Place, error: AppError): void {
    place.owed = place.waiters.length;
    for (const settle of [...place.waiters]) settle(error);
    this.#remove(place);
  }

  /** Requests before the next one to arrive at this place, or before a newcomer's. */
  before(poll: boolean, place?: Place): Ahead {
    const queue = this.#queueOf(poll);
    const index = place === undefined ? -1 : queue.indexOf(place);
    const earlier = index === -1 ? owedBy(queue) : owedBy(queue.slice(0, index));
    const own = index === -1 ? 0 : (place?.waiters.length ?? 0);
    const callers = poll ? owedBy(this.#callers) : 0;
    return { all: callers + earlier + own, polls: poll ? earlier + own : 0 };
  }

  /** The first of a class that waits, and what leaves before it. */
  next(poll: boolean): { readonly settle: Settle; readonly ahead: Ahead } | undefined {
    let all = poll ? owedBy(this.#callers) : 0;
    let polls = 0;
    for (const { waiters, owed } of this.#queueOf(poll)) {
      const [settle] = waiters;
      if (settle !== undefined) return { settle, ahead: { all, polls } };
      all += owed;
      if (poll) polls += owed;
    }
    return undefined;
  }

  get places(): readonly Place[] {
    return [...this.#callers, ...this.#polls];
  }

  get waiting(): number {
    return this.places.reduce((sum, { waiters }) => sum + waiters.length, 0);
  }

  /** Those who wait and those who are expected. */
  get owed(): number {
    return owedBy(this.#callers) + owedBy(this.#polls);
  }

  #queueOf(poll: boolean): Place[] {
    return poll ? this.#polls : this.#callers;
  }

  #remove(place: Place): void {
    const queue = this.#queueOf(place.poll);
    const index = queue.indexOf(place);
    if (index !== -1) queue.splice(index, 1);
  }
}
