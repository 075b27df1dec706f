/** What the parts of a shared feed have in common. */
import type { NamedTimers, Timers } from '../../lib/timers.js';
import type { Log } from '../../log/log.js';
import type { Millis } from '../../schemas/common.js';
import type { NextEventId } from '../../streams/event-ids.js';
import type { FeedRequest, FeedSources } from '../../streams/feed/feed-source.js';
import type { Bus } from '../bus.js';

export interface FeedCounts {
  published: number;
  dropped: number;
  repaired: number;
  lost: number;
  fenced: number;
  takeovers: { dead: number; handover: number };
}

export interface SharedFeedParts {
  readonly request: FeedRequest;
  /** Its name on the bus. */
  readonly key: string;
  readonly bus: Bus;
  readonly local: FeedSources;
  /** Begins an epoch of ids that are this server's alone. */
  readonly unsharedIds: () => NextEventId;
  /** Events that the bus keeps. */
  readonly keep: number;
  /** Whether this server has ever been with the others. */
  readonly hasBeenIn: () => boolean;
  readonly counts: FeedCounts;
  readonly log: Log;
  readonly now: () => Millis;
  readonly monotonic: () => Millis;
  readonly random: () => number;
  readonly timers: Timers;
}

export type SharedTimers = NamedTimers<'first' | 'repair' | 'succeed' | 'dial'>;

/** Of each kind that waits for its turn. */
export const MAX_HELD = 1_000;
