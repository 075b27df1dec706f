/** The feeds of a server that shares them with the others of its cluster. */
import { systemTimers, type Timers } from '../../lib/timers.js';
import type { Log } from '../../log/log.js';
import type { Millis } from '../../schemas/common.js';
import type { Channel } from '../../schemas/stream.js';
import { createUnsharedIds, type NextEventId } from '../../streams/event-ids.js';
import type { FeedRequest, FeedSource, FeedSources } from '../../streams/feed/feed-source.js';
import type { Bus } from '../bus.js';
import { BusPresence, LOOK_EVERY_MS } from './bus-presence.js';
import { FeedChecks } from './feed-checks.js';
import { createFeedCounts, type FeedCounts } from './feed-parts.js';
import { momentOf } from './moment.js';
import { PublishingRoom } from './publishing-room.js';
import type { Role } from './feed-roles.js';
import { SharedFeed } from './shared-feed.js';
import { TakeoverLog } from './takeover-log.js';

/** What is left of a hand-over is cut off after this time: the others take over by themselves. */
const HAND_OVER_MS: Millis = 4_000;

/** Candles change often, and the latest ones are all that is missed. */
const KEPT_CANDLES = 200;

export interface SharedFeedsOptions {
  readonly bus: Bus;
  readonly local: FeedSources;
  /** Servers whose venues have another name share no feed; '': the real ones. */
  readonly venues: string;
  /** Events of trades that the bus keeps of a topic. */
  readonly history: number;
  /** Of all events that the bus keeps of this server's topics. */
  readonly historyBytes: number;
  readonly log: Log;
  readonly now: () => Millis;
  readonly monotonic: () => Millis;
  /** 0 (inclusive) to 1. */
  readonly random: () => number;
  readonly timers?: Timers | undefined;
}

export interface SharedFeedsStats extends Readonly<FeedCounts> {
  /** Topics that this server feeds, or is about to. */
  readonly owned: number;
  readonly followed: number;
  /** Among `owned`: those that are this server's in the whole cluster. */
  readonly leases: number;
  /** Among `owned`: fed by this server alone, because the bus is away. */
  readonly unshared: number;
  /** Of events that wait for the bus. */
  readonly pendingBytes: number;
}

export interface SharedFeeds extends FeedSources {
  readonly stats: SharedFeedsStats;
  start(): void;
  /**
   * Offers what this server owns to those who follow it; resolves when they have it, or after some seconds. What it does not
   * own is closed: another that ends at the same time must not hand over to this one.
   */
  handOver(): Promise<void>;
  close(): void;
}

class ClusterFeeds implements SharedFeeds {
  readonly #options: SharedFeedsOptions;
  readonly #timers: Timers;
  readonly #feeds = new Set<SharedFeed>();
  readonly #checks = new FeedChecks(this.#feeds);
  readonly #unsharedIds: () => NextEventId;
  readonly #counts = createFeedCounts();
  readonly #room: PublishingRoom;
  #endHandOver: () => void = () => undefined;
  #checker: NodeJS.Timeout | undefined;
  readonly #presence = new BusPresence();
  readonly #takeovers: TakeoverLog;

  constructor(options: SharedFeedsOptions) {
    this.#options = options;
    this.#timers = options.timers ?? systemTimers;
    this.#takeovers = new TakeoverLog(options.log);
    this.#room = new PublishingRoom(options.historyBytes);
    this.#unsharedIds = createUnsharedIds(options.bus.serverId, options.now());
  }

  get stats(): SharedFeedsStats {
    const { owner: leases, follower: followed, alone: unshared } = this.#inRoles();
    const owned = this.#feeds.size - followed;
    return { ...this.#counts, owned, followed, leases, unshared, pendingBytes: this.#room.pendingBytes };
  }

  /** Each beat tells of them, and they may be thousands. */
  #inRoles(): Record<Role, number> {
    const inRoles = { opening: 0, owner: 0, follower: 0, alone: 0, closed: 0 };
    for (const { role } of this.#feeds) inRoles[role] += 1;
    return inRoles;
  }

  start(): void {
    this.#checker ??= setInterval(() => this.#check(), LOOK_EVERY_MS).unref();
  }

  open(request: FeedRequest): FeedSource {
    const { bus, local, venues, history, now, monotonic, random } = this.#options;
    const { channel, exchange, symbol, interval = '' } = request.topic;
    const keep: Record<Channel, number> = { ticker: 1, orderbook: 1, trades: history, ohlcv: KEPT_CANDLES };
    const parts = {
      ...{
        request,
        key: `${channel} ${exchange} ${interval} ${symbol} ${venues}`.trimEnd(),
        bus,
        local,
        keep: keep[channel],
      },
      ...{ unsharedIds: this.#unsharedIds, hasBeenIn: () => this.#presence.hasBeenIn, counts: this.#counts },
      ...{ now, monotonic, random, timers: this.#timers, room: this.#room, takeovers: this.#takeovers },
      unsettled: () => this.#checks.unsettled(),
    };
    const feed = new SharedFeed(parts, (closed) => this.#feeds.delete(closed));
    this.#feeds.add(feed);
    this.#checks.unsettled();
    return feed;
  }

  async handOver(): Promise<void> {
    if (!this.#options.bus.isIn) return;
    for (const feed of this.#feeds) if (feed.role !== 'owner') feed.close();
    const given = Promise.all([...this.#feeds].map((feed) => feed.handOver()));
    await new Promise<void>((resolve) => {
      const cancel = this.#timers.after(HAND_OVER_MS, resolve);
      this.#endHandOver = () => {
        cancel();
        resolve();
      };
      void given.then(this.#endHandOver);
    });
  }

  close(): void {
    this.#endHandOver();
    clearInterval(this.#checker);
    this.#takeovers.tell(Infinity);
  }

  #check(): void {
    const { bus, monotonic } = this.#options;
    const at = monotonic();
    this.#takeovers.tell(at);
    this.#checks.look(momentOf(bus, { at, ...this.#presence.look(bus.isIn, at) }));
  }
}

/** Opens nothing by itself; takes part once it is started, like the bus. */
export const createSharedFeeds = (options: SharedFeedsOptions): SharedFeeds => new ClusterFeeds(options);
