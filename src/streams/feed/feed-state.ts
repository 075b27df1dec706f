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

/** The weight of the latest gap in the usual one. */
const LATEST_WEIGHT = 0.1;

export class FeedState {
  #heardAt: Millis;
  #heard = 0;
  /** Until when it is known that nothing was missed. */
  #sureUntil: Millis;
  /** Between two signs of life; null before there were two. */
  #usualGap: Millis | null = null;
  #status: FeedStatus;
  readonly #options: FeedStateOptions;

  constructor(first: Omit<FeedStatus, 'at'>, options: FeedStateOptions) {
    this.#options = options;
    this.#heardAt = options.monotonic();
    this.#sureUntil = this.#heardAt;
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
    const at = this.#options.monotonic();
    const gap = at - this.#heardAt;
    // The first message comes as soon as it is subscribed, however rarely others do.
    if (this.#heard > 0) this.#usualGap = gap * LATEST_WEIGHT + (this.#usualGap ?? gap) * (1 - LATEST_WEIGHT);
    this.#heard += 1;
    this.#heardAt = this.#sureUntil = at;
  }

  /** REST has shown that the silence so far is the market's. */
  confirm(): void {
    this.#sureUntil = this.#options.monotonic();
    this.#usualGap = Math.max(this.#usualGap ?? 0, this.silentFor());
  }

  /** How odd the silence is since nothing is known to be missed: its length in usual gaps, or in `gap`s where none is known. */
  doubt(gap: Millis): number {
    return (this.#options.monotonic() - this.#sureUntil) / Math.max(1, this.#usualGap ?? gap);
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
