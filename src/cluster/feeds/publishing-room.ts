/** Bounds over all topics that a server publishes: what waits for the bus in its memory, and what the bus keeps in Redis'. */

/** Of events that wait. One of each topic may wait all the same. */
const MAX_PENDING_BYTES = 8 * 1024 * 1024;

export class PublishingRoom {
  readonly #historyBytes: number;
  #pendingBytes = 0;
  #wantedBytes = 0;

  /** `historyBytes`: of all events that the bus keeps of this server's topics, as their JSON. */
  constructor(historyBytes: number) {
    this.#historyBytes = historyBytes;
  }

  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  get isFull(): boolean {
    return this.#pendingBytes > MAX_PENDING_BYTES;
  }

  /** Events wait (positive), or wait no more (negative). */
  pend(bytes: number): void {
    this.#pendingBytes += bytes;
  }

  /** By how much the whole history of a topic has become longer (positive) or shorter. */
  want(bytes: number): void {
    this.#wantedBytes += bytes;
  }

  /** Of so many events to keep, how many there is room for: where all topics together want too much, each has its part. */
  mostOf(events: number): number {
    const part = Math.min(1, this.#historyBytes / Math.max(1, this.#wantedBytes));
    return Math.max(1, Math.floor(events * part));
  }
}
