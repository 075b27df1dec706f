/**
 * The one queue of a venue's requests. An entry holds one request, or all those of a call that needs several: they are
 * counted before every later one, whether they have arrived or not. Lanes go one after the other (callers before polls),
 * and within a lane clients take turns.
 */
import type { AppError } from '../../errors.js';
import type { Millis } from '../../schemas/common.js';
import { LANES, paceMsOf, type Ahead, type Lane } from './budget.js';
import type { Pace } from './shared-budget.js';

/** Requests of one venue that may wait or have a slot booked; more are refused at once. */
export const MAX_WAITING = 1000;

/** A request that has arrived and waits. */
export interface Waiter {
  readonly pace: Pace | undefined;
  /** Ends its wait; null: it may leave. */
  readonly settle: (error: AppError | null) => void;
}

/** A request that is not in the queue yet. */
export interface Candidate {
  readonly lane: Lane;
  /** Who asks: clients take turns. */
  readonly client: string;
  /** Leaves out of the reserve for market lists, and so takes no slot of the budget. */
  readonly reserved: boolean;
}

export interface QueueEntry extends Candidate {
  readonly deadline: Millis;
  /** Requests that have not left yet, those that wait included. */
  outstanding: number;
  readonly waiters: Waiter[];
}

/** An entry, and the requests that leave before its first. */
export interface Position {
  readonly entry: QueueEntry;
  readonly ahead: Ahead;
}

interface ClientTurns {
  /** Where the client's next request begins, in units of cost. */
  end: number;
  waiting: number;
}

/**
 * The entries of one lane in the order in which they leave: start-time fair queueing by client. Each client's requests
 * stand one behind the other; those of different clients take turns, however many each of them has.
 */
class LaneQueue {
  /** The start of the latest request that has left: no candidate begins earlier, so idle time is not saved up. */
  #now = 0;
  /** Only of clients that wait. */
  readonly #clients = new Map<string, ClientTurns>();
  readonly #starts = new Map<QueueEntry, number>();
  readonly entries: QueueEntry[] = [];

  /** Behind all with the same or an earlier start. */
  indexFor(client: string): number {
    const start = this.#startOf(client);
    const later = this.entries.findIndex((other) => (this.#starts.get(other) ?? 0) > start);
    return later === -1 ? this.entries.length : later;
  }

  join(entry: QueueEntry, cost: number): void {
    const { client } = entry;
    this.entries.splice(this.indexFor(client), 0, entry);
    const start = this.#startOf(client);
    this.#starts.set(entry, start);
    const turns = this.#clients.get(client) ?? { end: 0, waiting: 0 };
    turns.end = start + cost;
    turns.waiting += 1;
    this.#clients.set(client, turns);
  }

  left(entry: QueueEntry): void {
    this.#now = Math.max(this.#now, this.#starts.get(entry) ?? 0);
  }

  remove(entry: QueueEntry): void {
    const index = this.entries.indexOf(entry);
    if (index === -1) return;
    this.entries.splice(index, 1);
    this.#starts.delete(entry);
    const turns = this.#clients.get(entry.client);
    if (turns === undefined) return;
    turns.waiting -= 1;
    if (turns.waiting === 0) this.#clients.delete(entry.client);
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

const add = (sum: Sum, { reserved, waiters }: QueueEntry, requests: number): void => {
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
  #outstanding = 0;

  /** `cost`: how far the client's next request falls behind others' by this one. */
  join(entry: QueueEntry, cost: number): void {
    this.#outstanding += entry.outstanding;
    this.#queues.get(entry.lane)?.join(entry, cost);
  }

  /** Waits in an entry of the queue until it is settled, by `onAbort` where the signal aborts. */
  wait(
    entry: QueueEntry,
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
          entry.waiters.splice(entry.waiters.indexOf(waiter), 1);
          if (error === null) this.left(entry);
          this.done(entry);
          signal?.removeEventListener('abort', abandon);
          if (error === null) resolve();
          else reject(error);
        },
      };
      entry.waiters.push(waiter);
      signal?.addEventListener('abort', abandon, { once: true });
    });
  }

  /** One request of an entry is no longer expected; the entry is removed with its last. */
  done(entry: QueueEntry): void {
    this.#expect(entry, entry.outstanding - 1);
  }

  /** A request of this entry has left: newcomers begin no earlier than it did. To be called before `done`. */
  left(entry: QueueEntry): void {
    this.#queues.get(entry.lane)?.left(entry);
  }

  /** No more requests of this entry will arrive; those that wait go on waiting. */
  close(entry: QueueEntry): void {
    this.#expect(entry, entry.waiters.length);
  }

  /** Refuses all requests of an entry that wait, and removes it. */
  refuse(entry: QueueEntry, error: AppError): void {
    this.#expect(entry, entry.waiters.length);
    for (const waiter of [...entry.waiters]) waiter.settle(error);
  }

  /** So many requests of an entry have yet to leave; it is removed with its last. */
  #expect(entry: QueueEntry, outstanding: number): void {
    this.#outstanding += outstanding - entry.outstanding;
    entry.outstanding = outstanding;
    if (outstanding === 0) this.#queues.get(entry.lane)?.remove(entry);
  }

  /** The requests that leave before the next one of this entry, or before a candidate's. */
  before({ lane, client }: Candidate, entry?: QueueEntry): Ahead {
    const sum: Sum = { all: 0, sameLane: 0, paceMs: 0 };
    for (const [each, { entries }] of this.#queues) {
      if (each.rank > lane.rank) break;
      if (each !== lane) {
        for (const other of entries) add(sum, other, other.outstanding);
        continue;
      }
      sum.sameLane = 0;
      const own = entry === undefined ? -1 : entries.indexOf(entry);
      const index = own === -1 ? (this.#queues.get(lane)?.indexFor(client) ?? 0) : own;
      for (const other of entries.slice(0, index)) add(sum, other, other.outstanding);
      if (own !== -1 && entry !== undefined) add(sum, entry, entry.waiters.length);
    }
    return sum;
  }

  /** The entries that `picks` takes, in the order in which they leave. */
  positions(picks: (entry: QueueEntry) => boolean): readonly Position[] {
    const positions: Position[] = [];
    const sum: Sum = { all: 0, sameLane: 0, paceMs: 0 };
    for (const { entries } of this.#queues.values()) {
      sum.sameLane = 0;
      for (const entry of entries) {
        if (picks(entry)) positions.push({ entry, ahead: { ...sum } });
        add(sum, entry, entry.outstanding);
      }
    }
    return positions;
  }

  /** Whether a candidate may join: the queue is not full, or another client has more entries than its own would have. */
  takes(candidate: Candidate): boolean {
    return this.outstanding < MAX_WAITING || this.displacedBy(candidate) !== undefined;
  }

  /**
   * The entry that is given up for a candidate where the queue is full: the last one of the client that has most, if that
   * client has more than the candidate's would then have.
   */
  displacedBy({ client }: Candidate): QueueEntry | undefined {
    if (this.outstanding < MAX_WAITING) return undefined;
    const outstanding = new Map<string, number>();
    for (const entry of this.entries)
      outstanding.set(entry.client, (outstanding.get(entry.client) ?? 0) + entry.outstanding);
    const [most, count] = [...outstanding].reduce((a, b) => (b[1] > a[1] ? b : a), ['', 0]);
    if (count <= (outstanding.get(client) ?? 0) + 1) return undefined;
    return this.entries.findLast((entry) => entry.client === most);
  }

  get entries(): readonly QueueEntry[] {
    return [...this.#queues.values()].flatMap(({ entries }) => entries);
  }

  /** Whether there is one such. It is asked at every request, of a queue that may be long: nothing is copied. */
  has(isSuch: (entry: QueueEntry) => boolean): boolean {
    for (const { entries } of this.#queues.values()) if (entries.some(isSuch)) return true;
    return false;
  }

  /** Of the entries with a request that waits; Infinity: none does. */
  get earliestDeadline(): Millis {
    let earliest = Infinity;
    for (const { entries } of this.#queues.values())
      for (const { deadline, waiters } of entries)
        if (deadline < earliest && waiters.length > 0) earliest = deadline;
    return earliest;
  }

  get waiting(): number {
    return this.entries.reduce((sum, { waiters }) => sum + waiters.length, 0);
  }

  /** Requests that wait, and those that are expected. */
  get outstanding(): number {
    return this.#outstanding;
  }

  /** Requests that wait for the pace alone and leave out of the reserve. */
  get reserved(): number {
    let sum = 0;
    for (const { entries } of this.#queues.values())
      for (const { reserved, outstanding } of entries) if (reserved) sum += outstanding;
    return sum;
  }
}
