/** What a feed needs, and whom it tells. */
import type { Millis } from '../../schemas/common.js';
import type { ExchangeClient, StreamItem, StreamTopic } from '../../exchanges/exchange-client.js';
import type { Log } from '../../log/log.js';
import type { FeedStatus } from '../events.js';
import type { Timers } from '../../lib/timers.js';
import type { BookFault } from '../../errors.js';
import type { BookCrossCheck } from './book-cross-check.js';
import type { FeedOutages } from './feed-outages.js';
import type { SilenceChecks } from './silence-checks.js';

export interface ItemSource {
  readonly via: 'feed' | 'rest';
  readonly timed: boolean;
  readonly receivedAt: Millis;
  /** A caught-up REST answer that a live feed goes on from, or what that feed said meanwhile: the two overlap. */
  readonly seam?: boolean;
}

export interface FeedListener {
  /** Something is known already: what came before the feed's first message is wanted, and wanted first. */
  readonly ready: boolean;
  onItem(item: StreamItem, source: ItemSource): void;
  onStatus(status: FeedStatus): void;
  /** The feed broke: what is known may have changed unseen. */
  onInterrupted(): void;
  /** The live order book is wrong, and so may be what was shown last; comes before `onInterrupted`. */
  onBookFault(fault: BookFault): void;
  /** Something may be missing for good; `detail` is a sentence for people. */
  onGap(detail: string): void;
  /** How many rows REST is to be asked for; undefined: as many as always. */
  wanted(): number | undefined;
  /** Whether a REST answer shows something that the feed should have brought. */
  isNews(item: StreamItem): boolean;
}

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
  readonly now: () => Millis;
  /** The clock of durations and deadlines; nobody sets it. */
  readonly monotonic: () => Millis;
  /** 0 (inclusive) to 1. */
  readonly random: () => number;
  readonly timers: Timers;
}

/** Channels that are silent in a quiet market from the very start, and whose items build on what came before. */
export const isSequence = ({ channel }: StreamTopic): boolean => channel === 'trades' || channel === 'ohlcv';
