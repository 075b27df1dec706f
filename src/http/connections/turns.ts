/**
 * Round-robin over connections with pipelined requests. An answer that needs no waiting ends within the turn of the event
 * loop in which it began: all that a few connections send at once would be handled before any other connection is read. So
 * a connection's further requests are handled in later turns of the loop, one of each connection after the other.
 */

/** Requests that are handled in one turn of the event loop, of all connections together. */
const MAX_PER_TURN = 32;

export interface WaitingConnection {
  /** Handles one request, and tells whether the next could be handled too. */
  handleOne(): boolean;
}

export class Turns {
  readonly #waiting = new Set<WaitingConnection>();
  #turn: NodeJS.Immediate | null = null;

  /** Idempotent. */
  join(connection: WaitingConnection): void {
    this.#waiting.add(connection);
    this.#turn ??= setImmediate(() => {
      this.#take();
    });
  }

  leave(connection: WaitingConnection): void {
    this.#waiting.delete(connection);
    if (this.#waiting.size > 0 || this.#turn === null) return;
    clearImmediate(this.#turn);
    this.#turn = null;
  }

  #take(): void {
    this.#turn = null;
    let left = MAX_PER_TURN;
    // A Set is walked in the order of insertion, and meets again what is put back at its end.
    for (const connection of this.#waiting) {
      if (left === 0) break;
      left -= 1;
      this.#waiting.delete(connection);
      if (connection.handleOne()) this.#waiting.add(connection);
    }
    const [next] = this.#waiting;
    if (next !== undefined) this.join(next);
  }
}
