/** What a feed last told about itself, and when its venue was last heard, over whichever way. */
import type { Millis } from '../../schemas/common.js';
import type { StreamState } from '../../schemas/stream.js';
import type { FeedStatus } from '../events.js';

export interface FeedStateOptions {
  readonly now: () => Millis;
  /** The clock of durations and deadlines; nobody sets it. */
  readonly monotonic: () => Millis;
  readonly onStatus: (status: FeedStatus) => void;
}

export class FeedState {
  #heardAt: Millis;
  #heard = 0;
  #status: FeedStatus;
  readonly #options: FeedStateOptions;

  constructor(first: Omit<FeedStatus, 'at'>, options: FeedStateOptions) {
    this.#options = options;
    this.#heardAt = options.monotonic();
    this.#status = { ...first, at: options.now() };
  }

  get status(): FeedStatus {
    return this.#status;
  }

  /** How often the venue was heard, to tell whether it was meanwhile. */
  get heard(): number {
    return this.#heard;
  }

  /** The venue said something, over whichever way. */
  hear(): void {
    this.#heard += 1;
    this.#heardAt = this.#options.monotonic();
  }

  silentFor(): Millis {
    return this.#options.monotonic() - this.#heardAt;
  }

  /** Tells of a change of state; of a new detail nobody is told. */
  set(state: StreamState, detail: string): void {
    const changed = state !== this.#status.state;
    this.#status = { state, detail, at: changed ? this.#options.now() : this.#status.at };
    if (changed) this.#options.onStatus(this.#status);
  }
}
