/**
 * The one queue of a venue's requests. A place holds one request, or all those of a call that needs several: they are
 * counted before every later one, whether they have arrived or not. Lanes go one after the other (callers before polls),
 * and within a lane clients take turns.
 */
import type { AppError } from '../../errors.js';
import type { Millis } from '../../schemas/common.js';
import { LANES, paceMsOf, type Ahead, type Lane } from './budget.js';
import type { Pace } from './pace.js';

/** Requests of one venue that may wait or have a slot booked; more are refused at once. */
export const MAX_WAITING = 1000;

/** A request that has arrived and waits. */
export interface Waiter {
  readonly pace: Pace | undefined;
  /** Ends its wait; null: it may leave. */
  readonly settle: (error: AppError | null) => void;
}

/** What a request that is not in the queue yet would be. */
export interface Candidate {
  readonly lane: Lane;
  /** Who asks: clients take turns. */
  readonly client: string;
  /** Leaves out of the reserve for market lists, and so takes no slot of the budget. */
  readonly reserved: boolean;
}

export interface Place extends Candidate {
  readonly deadline: Millis;
  /** Requests that have not left yet, those that wait included. */
  outstanding: number;
  readonly waiters: Waiter[];
}

/** A place, and what leaves before its first request. */
export interface Position {
  readonly place: Place;
  readonly ahead: Ahead;
}

interface ClientTurns {
  /** Where the client's next request begins, in units of cost. */
  end: number;
  waiting: number;
}

/**
 * The places of one lane in the order in which they leave: start-time fair queueing by client. Each client's requests
 * stand one behind the other; those of different clients take turns, however many each of them has.
 */
class LaneQueue {
  /** The start of the latest request that has left: no candidate begins earlier, so idle time is not saved up. */
  #now = 0;
  /** Only of clients that wait. */
  readonly #clients = new Map<string, ClientTurns>();
  readonly #starts = new Map<Place, number>();
  readonly places: Place[] = [];

  /** Behind all with the same or an earlier start. */
  indexFor(client: string): number {
    const start = this.#startOf(client);
    const later = this.places.findIndex((other) => (this.#starts.get(other) ?? 0) > start);
    return later === -1 ? this.places.length : later;
  }

  join(place: Place, cost: number): void {
    const { client } = place;
    this.places.splice(this.indexFor(client), 0, place);
    const start = this.#startOf(client);
    this.#starts.set(place, start);
    const turns = this.#clients.get(client) ?? { end: 0, waiting: 0 };
    turns.end = start + cost;
    turns.waiting += 1;
    this.#clients.set(client, turns);
  }

  left(place: Place): void {
    this.#now = Math.max(this.#now, this.#starts.get(place) ?? 0);
  }

  remove(place: Place): void {
    const index = this.places.indexOf(place);
    if (index === -1) return;
    this.places.splice(index, 1);
    this.#starts.delete(place);
    const turns = this.#clients.get(place.client);
    if (turns === undefined) return;
    turns.waiting -= 1;
    if (turns.waiting === 0) this.#clients.delete(place.client);
  }

  #startOf(client: string): number {
    return Math.max(this.#now, this.#clients.get(client)?.end ?? 0);
  }
}

interface Sum {
  all: number;
  sameLane: number;
  paceMs: Millis;
}

const add = (sum: Sum, { reserved, waiters }: Place, requests: number): void => {
  if (!reserved) {
    sum.all += requests;
    sum.sameLane += requests;
  }
  for (const { pace } of waiters) sum.paceMs += paceMsOf(pace);
};

export class RequestQueue {
  readonly #queues: ReadonlyMap<Lane, LaneQueue> = new Map(
    Object.values(LANES)
      .sort((a, b) => a.rank - b.rank)
      .map((lane) => [lane, new LaneQueue()]),
  );

  /** `cost`: how far the client's next request falls behind others' by this one. */
  join(place: Place, cost: number): void {
    this.#queues.get(place.lane)?.join(place, cost);
  }

  /** Waits at a place of the queue until it is settled, by `onAbort` where the signal aborts. */
  wait(
    place: Place,
    pace: Pace | undefined,
    ...[signal, onAbort]: readonly [
      AbortSignal | undefined,
      (signal: AbortSignal, settle: Waiter['settle']) => void,
    ]
  ): Promise<void> {
    return new Promise((resolve, reject) => {
      const abandon = (): void => {
        if (signal !== undefined) onAbort(signal, waiter.settle);
      };
      const waiter: Waiter = {
        pace,
        settle: (error) => {
          place.waiters.splice(place.waiters.indexOf(waiter), 1);
          if (error === null) this.left(place);
          this.done(place);
          signal?.removeEventListener('abort', abandon);
          if (error === null) resolve();
          else reject(error);
        },
      };
      place.waiters.push(waiter);
      signal?.addEventListener('abort', abandon, { once: true });
    });
  }

  /** One request of a place is not to be waited for any more; the place goes with its last. */
  done(place: Place): void {
    place.outstanding -= 1;
    if (place.outstanding === 0) this.#queues.get(place.lane)?.remove(place);
  }

  /** A request of this place has left: newcomers begin no earlier than it did. To be told before `done`. */
  left(place: Place): void {
    this.#queues.get(place.lane)?.left(place);
  }

  /** Nothing more will arrive at this place; what waits there goes on waiting. */
  close(place: Place): void {
    place.outstanding = place.waiters.length;
    if (place.outstanding === 0) this.#queues.get(place.lane)?.remove(place);
  }

  /** Refuses all that wait at a place and expects nothing more there. */
  refuse(place: Place, error: AppError): void {
    place.outstanding = place.waiters.length;
    for (const waiter of [...place.waiters]) waiter.settle(error);
    this.#queues.get(place.lane)?.remove(place);
  }

  /** What leaves before the next request to arrive at this place, or before a candidate's. */
  before({ lane, client }: Candidate, place?: Place): Ahead {
    const sum: Sum = { all: 0, sameLane: 0, paceMs: 0 };
    for (const [each, { places }] of this.#queues) {
      if (each.rank > lane.rank) break;
      if (each !== lane) {
        for (const other of places) add(sum, other, other.outstanding);
        continue;
      }
      sum.sameLane = 0;
      const own = place === undefined ? -1 : places.indexOf(place);
      const index = own === -1 ? (this.#queues.get(lane)?.indexFor(client) ?? 0) : own;
      for (const other of places.slice(0, index)) add(sum, other, other.outstanding);
      if (own !== -1 && place !== undefined) add(sum, place, place.waiters.length);
    }
    return sum;
  }

  /** The places that `picks` takes, in the order in which they leave. */
  positions(picks: (place: Place) => boolean): readonly Position[] {
    const positions: Position[] = [];
    const sum: Sum = { all: 0, sameLane: 0, paceMs: 0 };
    for (const { places } of this.#queues.values()) {
      sum.sameLane = 0;
      for (const place of places) {
        if (picks(place)) positions.push({ place, ahead: { ...sum } });
        add(sum, place, place.outstanding);
      }
    }
    return positions;
  }

  /** Whether a candidate may join: the queue is not full, or another client has more places than its own would have. */
  takes(candidate: Candidate): boolean {
    return this.outstanding < MAX_WAITING || this.displacedBy(candidate) !== undefined;
  }

  /**
   * The place that is given up for a candidate where the queue is full: the last one of the client that has most, if that
   * client has more than the candidate's would then have.
   */
  displacedBy({ client }: Candidate): Place | undefined {
    if (this.outstanding < MAX_WAITING) return undefined;
    const outstanding = new Map<string, number>();
    for (const place of this.places)
      outstanding.set(place.client, (outstanding.get(place.client) ?? 0) + place.outstanding);
    const [most, count] = [...outstanding].reduce((a, b) => (b[1] > a[1] ? b : a), ['', 0]);
    if (count <= (outstanding.get(client) ?? 0) + 1) return undefined;
    return this.places.findLast((place) => place.client === most);
  }

  get places(): readonly Place[] {
    return [...this.#queues.values()].flatMap(({ places }) => places);
  }

  get waiting(): number {
    return this.places.reduce((sum, { waiters }) => sum + waiters.length, 0);
  }

  /** Requests that wait, and those that are expected. */
  get outstanding(): number {
    return this.places.reduce((sum, { outstanding }) => sum + outstanding, 0);
  }

  /** Requests that wait for the pace alone and leave out of the reserve. */
  get reserved(): number {
    return this.places.reduce((sum, { reserved, outstanding }) => sum + (reserved ? outstanding : 0), 0);
  }
}
