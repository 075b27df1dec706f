/** The server's clock, read from its answers to pings: the median of the latest few, each taken to be half a round trip old. */

const READINGS = 5;

export class ServerClock {
  readonly #now: () => number;
  /** Server's time minus ours. */
  #offsets: number[] = [];
  #isOutdated = false;

  /** `now`: a monotonic clock, in milliseconds. */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** Milliseconds since the epoch; null before the first reading. */
  get time(): number | null {
    const middle = this.#offsets.toSorted((a, b) => a - b)[Math.floor(this.#offsets.length / 2)];
    return middle === undefined ? null : middle + this.#now();
  }

  get isVague(): boolean {
    return this.#isOutdated || this.#offsets.length < READINGS;
  }

  /** Of an answer that came now to what was sent at `sentAt`, by our clock. Answers without a time are ignored. */
  read(sentAt: number, timestamp: number): void {
    if (!Number.isFinite(sentAt) || !Number.isFinite(timestamp)) return;
    const known = this.#isOutdated ? [] : this.#offsets;
    this.#isOutdated = false;
    this.#offsets = [...known, timestamp - (sentAt + this.#now()) / 2].slice(-READINGS);
  }

  /**
   * A machine that slept may have stopped its monotonic clock: the next reading takes the place of all that an earlier
   * connection has brought.
   */
  reset(): void {
    this.#isOutdated = true;
  }
}
