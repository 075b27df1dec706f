/** What the parts of a shared feed have in common. */
import { Distribution } from '../../lib/distribution.js';
import type { NamedTimers, Timers } from '../../lib/timers.js';
import type { Millis } from '../../schemas/common.js';
import type { NextEventId } from '../../streams/event-ids.js';
import type { FeedRequest, FeedSources } from '../../streams/feed/feed-source.js';
import type { Bus } from '../bus.js';
import type { PublishingRoom } from './publishing-room.js';
import type { TakeoverLog } from './takeover-log.js';

const LAG_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const TAKEOVER_SECONDS = [0.1, 0.25, 0.5, 1, 1.25, 1.5, 2, 3, 5, 10];

/** Since the start of the server, over all topics there were. */
export interface FeedCounts {
  /** Events that the bus took. */
  published: number;
  /** Events of which only the latest counts, replaced by a later one before the bus took them. */
  conflated: number;
  /** Events that were given up because too many waited for the bus. */
  dropped: number;
  /** Gaps in what was heard, filled from the bus' history; those that it could not fill. */
  repaired: number;
  lost: number;
  /** Topics of which the bus said that they are another server's now. */
  fenced: number;
  takeovers: { dead: number; handover: number };
  /** Seconds from the last sign of an owner that died, or from the offer of one that ends, until this server had the topic. */
  readonly takeoverSeconds: { readonly dead: Distribution; readonly handover: Distribution };
  /** Seconds from the owner's receipt of an item until it is shown here. */
  readonly deliverySeconds: Distribution;
}

export const createFeedCounts = (): FeedCounts => ({
  ...{ published: 0, conflated: 0, dropped: 0, repaired: 0, lost: 0, fenced: 0 },
  takeovers: { dead: 0, handover: 0 },
  takeoverSeconds: { dead: new Distribution(TAKEOVER_SECONDS), handover: new Distribution(TAKEOVER_SECONDS) },
  deliverySeconds: new Distribution(LAG_SECONDS),
});

export interface SharedFeedParts {
  readonly request: FeedRequest;
  /** Its name on the bus. */
  readonly key: string;
  readonly bus: Bus;
  readonly local: FeedSources;
  /** Begins an epoch of ids that are this server's alone. */
  readonly unsharedIds: () => NextEventId;
  /** Events that the bus keeps, where there is room for them. */
  readonly keep: number;
  readonly room: PublishingRoom;
  /** Whether this server has ever been with the others. */
  readonly hasBeenIn: () => boolean;
  readonly counts: FeedCounts;
  readonly takeovers: TakeoverLog;
  /** The feed is to be looked at soon: the bus did not answer it, or says what it does not know yet. */
  readonly unsettled: () => void;
  readonly now: () => Millis;
  readonly monotonic: () => Millis;
  readonly random: () => number;
  readonly timers: Timers;
}

export type SharedTimers = NamedTimers<'first' | 'repair' | 'succeed' | 'dial'>;

/** Of each kind that waits for its turn. */
export const MAX_HELD = 1_000;
