/** What a feed last told about itself, and when its venue was last heard, over whichever way. */
import type { Millis } from '../../schemas/common.js';
import type { StreamState } from '../../schemas/stream.js';
import type { FeedStatus } from '../events.js';

export interface FeedStateOptions {
  readonly now: () => Millis;
  readonly onStatus: (status: FeedStatus) => void;
}

export class FeedState {
  heardAt: Millis;
  #status: FeedStatus;
  readonly #options: FeedStateOptions;

  constructor(first: Omit<FeedStatus, 'at'>, options: FeedStateOptions) {
    this.#options = options;
    this.heardAt = options.now();
    this.#status = { ...first, at: this.heardAt };
  }

  get status(): FeedStatus {
    return this.#status;
  }

  silentFor(): Millis {
    return this.#options.now() - this.heardAt;
  }

  /** Tells of a change of state; of a new detail nobody is told. */
  set(state: StreamState, detail: string): void {
    const changed = state !== this.#status.state;
    this.#status = { state, detail, at: changed ? this.#options.now() : this.#status.at };
    if (changed) this.#options.onStatus(this.#status);
  }
}
