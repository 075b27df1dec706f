/**
 * What a topic knows of its channel, and whether each item that comes in is new, a repetition, or late. One
 * implementation a channel; none does I/O or reads a clock.
 */
import type { Millis } from '../../schemas/common.js';
import type { StreamItem } from '../../exchanges/exchange-client.js';

export interface ItemOrigin {
  readonly via: 'feed' | 'rest';
  /** false: the timestamp is the time of receipt, so that it says nothing about what is newer. */
  readonly timed: boolean;
  /** When it came, by the wall clock; default: never, so that no time is too far ahead of it. */
  readonly receivedAt?: Millis;
  /** The REST answer and the feed's items at their seam: they overlap, and nothing is missing between them. */
  readonly seam?: boolean;
}

/** `repeated`: nothing new, but what is known is confirmed. `late`: older than what is known; must not be shown. */
export type Judgement = StreamItem | 'repeated' | 'late';

/** A stretch of which something may be missing for good. */
export interface Gap {
  readonly from: Millis;
  readonly to: Millis;
}

export interface ChannelState {
  /** What of the item is new. The answer may hold less than the item did, or a candle that it closes. */
  accept(item: StreamItem, origin: ItemOrigin): Judgement;
  /** Whether a REST answer shows something that a healthy feed would have brought by now. Changes nothing. */
  isNews(item: StreamItem): boolean;
  /** For a new subscriber; null while nothing is known. */
  snapshot(): StreamItem | null;
  /** The feed broke: what was known may since have changed unseen. */
  interrupted(): void;
  /** What was shown last may have been wrong: it is not shown to new subscribers. */
  forget?(): void;
  /** The gap that REST could not close after an interruption; returned once. */
  takeGap?(): Gap | null;
  /** How many of its newest rows REST is to be asked for, so that none since the last known is missing. */
  wanted?(now: Millis): number;
  /** How many items came too late to be shown in their order; returned once. */
  takeLost?(): number;
}

/** Clocks of venues and of this machine do not differ so much. */
export const MAX_AHEAD_MS: Millis = 60_000;

/**
 * A time that is remembered as the newest, and that lies far ahead of now: a wrong stamp, or the wall clock was set back
 * since. What comes now is not late for it. `receivedAt`: when it came, by the wall clock; undefined: unknown.
 */
export const isFarAhead = (newest: Millis, receivedAt: Millis | undefined): boolean =>
  receivedAt !== undefined && newest > receivedAt + MAX_AHEAD_MS;
