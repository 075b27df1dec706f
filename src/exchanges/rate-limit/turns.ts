/**
 * Turns by client, so that one who asks for much does not keep others waiting: start-time fair queueing. Each client's
 * requests stand one behind the other; those of different clients take turns, however many each of them has.
 */

interface Queue {
  /** Where the client's next request begins, in units of cost. */
  end: number;
  waiting: number;
}

export class Turns {
  /** The start of the latest request that was served: nobody begins in the past, so idle time is not saved up. */
  #now = 0;
  /** Only of clients that wait. */
  readonly #queues = new Map<string, Queue>();

  /** Where a request that comes now would stand: behind all with the same or an earlier start. */
  startOf(client: string): number {
    return Math.max(this.#now, this.#queues.get(client)?.end ?? 0);
  }

  /** Takes that place for a request that costs so much; to be followed by one `leave`. */
  join(client: string, cost: number): number {
    const start = this.startOf(client);
    const queue = this.#queues.get(client) ?? { end: 0, waiting: 0 };
    queue.end = start + cost;
    queue.waiting += 1;
    this.#queues.set(client, queue);
    return start;
  }

  /** A request that began at `start` has been served. */
  served(start: number): void {
    this.#now = Math.max(this.#now, start);
  }

  /** One that had joined waits no more, whatever became of it. */
  leave(client: string): void {
    const queue = this.#queues.get(client);
    if (queue === undefined) return;
    queue.waiting -= 1;
    if (queue.waiting === 0) this.#queues.delete(client);
  }
}
