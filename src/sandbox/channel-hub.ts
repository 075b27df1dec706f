// Subscriptions: one channel per (venue, name), rendered once per tick and sent to all of its sockets.
import { type Millis } from './intervals.js';
import { type Market, type VenueId } from './listings.js';
import { type TickClock } from './tick-clock.js';
import { type BookAlteration, type Channel, type FeedVenue } from './venues/venue.js';

export interface Subscriber {
  /** Sends a frame of a channel. */
  readonly frame: (channel: string, frame: string) => void;
  /** Asked before an update of a book that changes something: true leaves it out for this subscriber (a gap). */
  readonly skipsBook: (channel: string) => boolean;
  /** What becomes of one update of a book for this subscriber; `alter` puts a fault into it. */
  readonly bookFrames: (
    channel: string,
    frame: string,
    alter: (alteration: Pick<BookAlteration, 'fault' | 'first'>) => string,
  ) => readonly string[];
}

interface ActiveChannel {
  readonly key: string;
  readonly channel: Channel;
  readonly subscribers: Set<Subscriber>;
  /** Time of the last update, or of the first subscription. */
  since: Millis;
}

export interface ChannelHub {
  readonly join: (venue: FeedVenue, key: string, subscriber: Subscriber) => boolean;
  readonly leave: (venue: VenueId, key: string, subscriber: Subscriber) => void;
  readonly count: () => number;
}

/** What arrives at one subscriber of an update: of order books, not always what was sent. */
function received(
  { channel, key, frames }: { channel: Channel; key: string; frames: readonly string[] },
  subscriber: Subscriber,
  { time, since }: { time: Millis; since: Millis },
): readonly string[] {
  const { book } = channel;
  if (book === undefined) return frames;
  const sent = subscriber.skipsBook(key) ? (book.tornUpdate?.(time, since) ?? []) : frames;
  return sent.flatMap((frame) =>
    subscriber.bookFrames(key, frame, (what) => book.alter(frame, { ...what, time })),
  );
}

export function createChannelHub(options: { now: () => Millis; clock: TickClock }): ChannelHub {
  const channels = new Map<string, ActiveChannel>();
  const byMarket = new Map<Market, Set<ActiveChannel>>();

  const tick = (active: ReadonlySet<ActiveChannel>, time: Millis): void => {
    for (const entry of active) {
      if (time <= entry.since) continue;
      const { key, channel, since } = entry;
      const frames = channel.update(time, since);
      entry.since = time;
      if (frames.length === 0) continue;
      for (const subscriber of entry.subscribers)
        for (const frame of received({ channel, key, frames }, subscriber, { time, since }))
          subscriber.frame(key, frame);
    }
  };

  const open = (venue: FeedVenue, key: string): ActiveChannel | undefined => {
    const name = `${venue.id} ${key}`;
    const known = channels.get(name);
    if (known) return known;
    const channel = venue.channel(key);
    if (!channel) return undefined;
    const entry: ActiveChannel = { key, channel, subscribers: new Set(), since: options.now() };
    channels.set(name, entry);
    const siblings = byMarket.get(channel.market) ?? new Set<ActiveChannel>();
    if (siblings.size === 0) options.clock.start(channel.market, (time) => tick(siblings, time));
    byMarket.set(channel.market, siblings.add(entry));
    return entry;
  };

  return {
    join: (venue, key, subscriber) => {
      const entry = open(venue, key);
      if (!entry) return false;
      entry.subscribers.add(subscriber);
      for (const frame of entry.channel.snapshot?.(entry.since) ?? []) subscriber.frame(key, frame);
      return true;
    },
    leave: (venue, key, subscriber) => {
      const name = `${venue} ${key}`;
      const entry = channels.get(name);
      if (!entry?.subscribers.delete(subscriber) || entry.subscribers.size > 0) return;
      channels.delete(name);
      const siblings = byMarket.get(entry.channel.market);
      siblings?.delete(entry);
      if (siblings?.size !== 0) return;
      byMarket.delete(entry.channel.market);
      options.clock.stop(entry.channel.market);
    },
    count: () => channels.size,
  };
}
