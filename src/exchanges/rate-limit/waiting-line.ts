/**
 * Who stands in line for a venue's budget. A place holds one request, or all those of a call that needs several: they
 * are counted before everyone who comes later, whether they have arrived or not. Callers go before polls, and callers
 * take turns by client.
 */
import type { AppError } from '../../errors.js';
import type { Millis } from '../../schemas/common.js';
import { Turns } from './turns.js';

/** Ends the wait of a request that has arrived; null: it may leave. */
export type Settle = (error: AppError | null) => void;

/** What a newcomer would be. */
export interface Newcomer {
  readonly poll: boolean;
  /** Who asks: clients take turns. */
  readonly client: string;
}

export interface Place extends Newcomer {
  readonly deadline: Millis;
  /** Requests that have not left yet, those that wait included. */
  owed: number;
  readonly waiters: Settle[];
}

interface Standing {
  readonly place: Place;
  readonly start: number;
}

/** Requests that leave before a given one: all of them, and the polls among them. */
export interface Ahead {
  readonly all: number;
  readonly polls: number;
}

const owedBy = (standing: readonly Standing[]): number =>
  standing.reduce((sum, { place }) => sum + place.owed, 0);

class Queue {
  readonly #turns = new Turns();
  /** In the order in which they leave. */
  standing: Standing[] = [];

  /** Where a newcomer of `client` would stand. */
  indexFor(client: string): number {
    const start = this.#turns.startOf(client);
    const later = this.standing.findIndex((other) => other.start > start);
    return later === -1 ? this.standing.length : later;
  }

  join(place: Place): void {
    const index = this.indexFor(place.client);
    this.standing.splice(index, 0, { place, start: this.#turns.join(place.client, place.owed) });
  }

  indexOf(place: Place): number {
    return this.standing.findIndex((other) => other.place === place);
  }

  served(place: Place): void {
    const found = this.standing[this.indexOf(place)];
    if (found !== undefined) this.#turns.served(found.start);
  }

  remove(place: Place): void {
    const index = this.indexOf(place);
    if (index === -1) return;
    this.standing.splice(index, 1);
    this.#turns.leave(place.client);
  }
}

export class WaitingLine {
  readonly #callers = new Queue();
  readonly #polls = new Queue();

  join(place: Place): void {
    this.#queueOf(place.poll).join(place);
  }

  /** One request of a place is not to be waited for any more; the place goes with its last. */
  served(place: Place): void {
    place.owed -= 1;
    if (place.owed === 0) this.#queueOf(place.poll).remove(place);
  }

  /** A request of this place has left: newcomers begin no earlier than it did. To be told before `served`. */
  left(place: Place): void {
    this.#queueOf(place.poll).served(place);
  }

  /** Nothing more will arrive at this place; what waits there goes on waiting. */
  close(place: Place): void {
    place.owed = place.waiters.length;
    if (place.owed === 0) this.#queueOf(place.poll).remove(place);
  }

  /** Refuses all that wait at a place and expects nothing more there. */
  refuse(place: Place, error: AppError): void {
    place.owed = place.waiters.length;
    for (const settle of [...place.waiters]) settle(error);
    this.#queueOf(place.poll).remove(place);
  }

  /** Requests before the next one to arrive at this place, or before a newcomer's. */
  before({ poll, client }: Newcomer, place?: Place): Ahead {
    const queue = this.#queueOf(poll);
    const own = place === undefined ? -1 : queue.indexOf(place);
    const earlier = owedBy(queue.standing.slice(0, own === -1 ? queue.indexFor(client) : own));
    const waiting = own === -1 ? 0 : (place?.waiters.length ?? 0);
    const callers = poll ? owedBy(this.#callers.standing) : 0;
    return { all: callers + earlier + waiting, polls: poll ? earlier + waiting : 0 };
  }

  /** The first of a class that waits, and what leaves before it. */
  next(poll: boolean): { readonly settle: Settle; readonly ahead: Ahead } | undefined {
    let all = poll ? owedBy(this.#callers.standing) : 0;
    let polls = 0;
    for (const { place } of this.#queueOf(poll).standing) {
      const [settle] = place.waiters;
      if (settle !== undefined) return { settle, ahead: { all, polls } };
      all += place.owed;
      if (poll) polls += place.owed;
    }
    return undefined;
  }

  /**
   * The place that gives way to a newcomer where the line is full: the last one of the client that has most, if that
   * client has more than the newcomer's would then have.
   */
  displacedBy({ client }: Newcomer): Place | undefined {
    const owed = new Map<string, number>();
    for (const place of this.places) owed.set(place.client, (owed.get(place.client) ?? 0) + place.owed);
    const [most, count] = [...owed].reduce((a, b) => (b[1] > a[1] ? b : a), ['', 0]);
    if (count <= (owed.get(client) ?? 0) + 1) return undefined;
    return this.places.findLast((place) => place.client === most);
  }

  get places(): readonly Place[] {
    return [...this.#callers.standing, ...this.#polls.standing].map(({ place }) => place);
  }

  get waiting(): number {
    return this.places.reduce((sum, { waiters }) => sum + waiters.length, 0);
  }

  /** Those who wait and those who are expected. */
  get owed(): number {
    return owedBy(this.#callers.standing) + owedBy(this.#polls.standing);
  }

  #queueOf(poll: boolean): Queue {
    return poll ? this.#polls : this.#callers;
  }
}
