/**
 * The seam between a topic and its feed. The feed of this process is `local-feed.ts`; another process may hold one just as
 * well: items, statuses and ids are plain data, and a topic keeps its channel's state up to date from either,
 * so that a feed of its own can go on from there when the other process is gone.
 */
import type { BookFault } from '../../errors.js';
import type { ExchangeDescription, StreamItem, StreamTopic } from '../../exchanges/exchange-client.js';
import type { EventId, NextEventId } from '../event-ids.js';
import type { Loss, Recalled } from '../history.js';
import type { ExchangeId, Millis } from '../../schemas/common.js';
import type { StreamState } from '../../schemas/stream.js';

export interface FeedStatus {
  readonly state: StreamState;
  /** A sentence for people. */
  readonly detail: string;
  /** Since when, in milliseconds since the epoch. */
  readonly at: Millis;
}

export interface ItemSource {
  readonly via: 'feed' | 'rest';
  /** false: the timestamp is the time of receipt, so that it says nothing about what is newer. */
  readonly timed: boolean;
  /** When it came, by the wall clock. */
  readonly receivedAt: Millis;
  /** Of an item that another server has judged and published: it is remembered whole, whatever of it is new here. */
  readonly id?: EventId;
  /** A caught-up REST answer that a live feed goes on from, or what that feed said meanwhile: the two overlap. */
  readonly seam?: boolean;
}

/** The topic, as its feed sees it. */
export interface FeedListener {
  /** Something is known already: what came before the feed's first message is wanted, and wanted first. */
  readonly ready: boolean;
  /** What of the item is new, as it is shown to clients; null: nothing is. A source that shares its feed passes that on. */
  onItem(item: StreamItem, source: ItemSource): StreamItem | null;
  onStatus(status: FeedStatus): void;
  /** The feed broke: what is known may have changed unseen. */
  onInterrupted(): void;
  /** The live order book is wrong, and so may be what was shown last; comes before `onInterrupted`. */
  onBookFault(fault: BookFault): void;
  /** Something may be missing for good; `detail` is a sentence for people. */
  onGap(detail: string): void;
  /** Rows are missing for good. */
  onLoss(loss: Loss): void;
  /** How many rows REST is to be asked for; undefined: as many as always. */
  wanted(): number | undefined;
  /** Whether a REST answer shows something that the feed should have brought. */
  isNews(item: StreamItem): boolean;
}

export interface FeedSource {
  readonly status: FeedStatus;
  /** How often it was lost since it was started. */
  readonly reconnects: number;
  /** Called once; the listener gets nothing before. */
  start(): void;
  /** Ends the feed for good; idempotent. The listener gets nothing afterwards. */
  close(): void;
  /**
   * The id of the event that is made of the item which the listener is just taking, and which has so many new trades or
   * candles (of others: 1); 0: the place before the first event. It never repeats; where processes share a feed, an item
   * has the same id in all of them, so that a client may resume at any.
   */
  nextEventId: NextEventId;
  /** Settles once it is known who feeds the topic, and what is known of it already has been shown. */
  opened?(): Promise<void>;
  /** What is known already is old: what REST knows is wanted as well. */
  readonly wantsPrime?: boolean;
  /** Takes what REST knew before the feed spoke, in place of the listener. */
  prime?(item: StreamItem, source: ItemSource): void;
  /** The topic found that rows are missing for good. */
  lost?(loss: Loss): void;
  /** Whether the id is one of the topic's, of whatever server. */
  knows?(id: EventId): boolean;
  /** What came after an event, in so far as the servers that share the feed keep it; null: it is not known there. */
  recall?(since: EventId): Promise<Recalled | null>;
  /** Whether nobody else shows what this feed brings. */
  mayEnd?(): Promise<boolean>;
  /** The other server that feeds the topic; undefined: this one does. */
  readonly owner?: string | undefined;
}

export interface FeedRequest {
  readonly topic: StreamTopic;
  readonly description: ExchangeDescription;
  readonly listener: FeedListener;
}

/** Where the hub gets its feeds from. */
export interface FeedSources {
  open(request: FeedRequest): FeedSource;
  /** A feed of the exchange may be wanted at any moment: loads what the first one would wait for. Never throws. */
  prepare?(exchange: ExchangeId): void;
}
