/** What the parts of one feed share: what it was made from, its timers, and its state. */
import type { ExchangeClient, StreamTopic } from '../../exchanges/exchange-client.js';
import { NamedTimers, type Timers } from '../../lib/timers.js';
import type { Log } from '../../log/log.js';
import type { Millis } from '../../schemas/common.js';
import type { StreamState } from '../../schemas/stream.js';
import type { NextEventId } from '../event-ids.js';
import type { BookCrossCheck } from './book-cross-check.js';
import type { FeedListener, FeedStatus } from './feed-source.js';
import type { FeedOutages } from './outages.js';
import type { SilenceChecks } from './silence-checks.js';

export interface FeedOptions {
  readonly topic: StreamTopic;
  readonly exchanges: Pick<ExchangeClient, 'watch' | 'fetch'>;
  /** The venue has a WebSocket feed for this channel. */
  readonly watchable: boolean;
  /** The venue has this channel over REST. */
  readonly pollable: boolean;
  readonly idleTimeoutMs: Millis;
  readonly pollIntervalMs: Millis;
  readonly listener: FeedListener;
  readonly log: Log;
  /** Shared by all order books that can be checked in no other way; null: this one is not among them. */
  readonly crossCheck: BookCrossCheck | null;
  /** Shared by all feeds. */
  readonly outages: FeedOutages;
  /** Shared by all feeds of the exchange. */
  readonly checks: SilenceChecks;
  readonly nextEventId: NextEventId;
  readonly now: () => Millis;
  /** The clock of durations and deadlines. */
  readonly monotonic: () => Millis;
  /** 0 (inclusive) to 1. */
  readonly random: () => number;
  readonly timers: Timers;
}

/** Channels that are silent in a quiet market from the very start, and whose items build on what came before. */
export const isSequence = ({ channel }: StreamTopic): boolean => channel === 'trades' || channel === 'ohlcv';

export class FeedTimers extends NamedTimers<
  'first' | 'subscribed' | 'idle' | 'reconnect' | 'fallback' | 'stale' | 'hold' | 'catch-up'
> {}

interface FeedStateOptions {
  readonly now: () => Millis;
  /** A monotonic clock. */
  readonly monotonic: () => Millis;
  readonly onStatus: (status: FeedStatus) => void;
}

/** The weight of the latest gap in the usual one. */
const LATEST_WEIGHT = 0.1;

/** A feed's status, and when its venue last sent something, over REST or WebSocket. */
export class FeedState {
  #lastMessageAt: Millis;
  #messages = 0;
  /** The latest instant at which nothing had been missed. */
  #upToDateAt: Millis;
  /** Between two messages; null before there were two. */
  #usualGap: Millis | null = null;
  #status: FeedStatus;
  readonly #options: FeedStateOptions;

  constructor(first: Omit<FeedStatus, 'at'>, options: FeedStateOptions) {
    this.#options = options;
    this.#lastMessageAt = options.monotonic();
    this.#upToDateAt = this.#lastMessageAt;
    this.#status = { ...first, at: options.now() };
  }

  get status(): FeedStatus {
    return this.#status;
  }

  /** How many messages came, to find out whether one came meanwhile. */
  get messages(): number {
    return this.#messages;
  }

  /** A message of the venue came, over WebSocket or REST. */
  messageReceived(): void {
    const at = this.#options.monotonic();
    const gap = at - this.#lastMessageAt;
    // The first message comes as soon as it is subscribed, however rarely others do.
    if (this.#messages > 0)
      this.#usualGap = gap * LATEST_WEIGHT + (this.#usualGap ?? gap) * (1 - LATEST_WEIGHT);
    this.#messages += 1;
    this.#lastMessageAt = this.#upToDateAt = at;
  }

  /** REST has shown that the silence so far is the market's. */
  confirm(): void {
    this.#upToDateAt = this.#options.monotonic();
    this.#usualGap = Math.max(this.#usualGap ?? 0, this.silentFor());
  }

  /** How unusual the silence is: its length in usual gaps between messages, or in `gap`s where none is known. */
  silenceScore(gap: Millis): number {
    return (this.#options.monotonic() - this.#upToDateAt) / Math.max(1, this.#usualGap ?? gap);
  }

  silentFor(): Millis {
    return this.#options.monotonic() - this.#lastMessageAt;
  }

  /** Reports a change of state; a new detail alone is not reported. */
  set(state: StreamState, detail: string): void {
    const changed = state !== this.#status.state;
    this.#status = { state, detail, at: changed ? this.#options.now() : this.#status.at };
    if (changed) this.#options.onStatus(this.#status);
  }
}
