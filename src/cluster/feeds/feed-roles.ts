/**
 * Who feeds a shared topic, as this server knows it.
 *
 * `opening`: asks the bus whose it is. `owner`: feeds it from the venue and publishes what is new. `follower`: shows what the
 * owner publishes, takes over where the owner is dead or offers it. `alone`: the bus is away, so this server feeds itself.
 */
import type { StreamItem } from '../../exchanges/exchange-client.js';
import { NamedTimers } from '../../lib/timers.js';
import type { Millis } from '../../schemas/common.js';
import { isFarAhead } from '../../streams/channels/channel-state.js';
import type { EventId, NextEventId } from '../../streams/event-ids.js';
import type { FeedListener, FeedStatus, ItemSource } from '../../streams/feed/feed-source.js';
import { isSequence } from '../../streams/feed/feed-state.js';
import type { Claim, Overrule, Publication, TopicOwner } from '../bus.js';
import type { SharedFeedParts, SharedTimers } from './feed-parts.js';
import { readMessage } from './messages.js';
import { OwnFeed } from './own-feed.js';
import { Ownership } from './ownership.js';
import { PublishedEvents } from './published-events.js';
import { RANK_MS } from './succession.js';

const CLAIM_EVERY_MS: Millis = 250;
/** A follower of an owner that has not published yet is ready after this time at the latest. */
const FIRST_ITEM_MS: Millis = 1_000;

export type Role = 'opening' | 'owner' | 'follower' | 'alone' | 'closed';

/** Of its trades; one of the future tells nothing. */
const newestOf = (item: StreamItem, { receivedAt }: ItemSource): Millis =>
  item.channel === 'trades'
    ? Math.max(
        -Infinity,
        ...item.trades.flatMap(({ timestamp }) => (isFarAhead(timestamp, receivedAt) ? [] : [timestamp])),
      )
    : -Infinity;

export class FeedRoles {
  readonly #parts: SharedFeedParts;
  readonly #listener: FeedListener;
  readonly #isSequence: boolean;
  readonly #timers: SharedTimers;
  /** Settles once it is known who feeds the topic, and what is known of it already has been shown. */
  readonly opened: Promise<void>;
  #endOpening: () => void = () => undefined;
  #role: Role = 'opening';
  #status: FeedStatus;
  /** The feed of this server. */
  readonly own: OwnFeed;
  /** What the owner publishes. */
  readonly events: PublishedEvents;
  #nextUnshared: NextEventId;
  #owner: TopicOwner | null = null;
  /** The bus has said that whom this server follows is dead. */
  #isOrphaned = false;
  /** null: the topic is not this server's. */
  #ownership: Ownership | null = null;
  /** What the bus last sent of the owner's status; null: nothing since it is heard, or since this server was the owner. */
  #heardLast: FeedStatus | null = null;
  /** What a fence that is over could not publish. */
  #unpublished: Publication[] = [];
  #claiming = false;
  /** The subscription has begun: what a claim that was under way is told may be older than what was missed. */
  #asksAgain = false;
  #claimAt: Millis = -Infinity;
  /** When the owner offered the topic. */
  #offeredAt: Millis = 0;
  /** The newest trade that this server's own feed has shown: what others publish of the time before overlaps with it. */
  #ownNewest: Millis = -Infinity;
  /** The newest trade that was published, by this server or by whom it followed. */
  #publishedNewest: Millis = -Infinity;
  /** Whether what REST knows is wanted, though something is known already. */
  primes = false;
  /** Called once this server is not the owner any more. */
  onOver: (() => void) | null = null;

  constructor(parts: SharedFeedParts) {
    this.#parts = parts;
    const { request, timers, unsharedIds, now } = parts;
    this.#listener = request.listener;
    this.#isSequence = isSequence(request.topic);
    this.#timers = new NamedTimers(timers);
    this.#nextUnshared = unsharedIds();
    this.own = new OwnFeed(parts, this.#timers, {
      onItem: (item, source) => this.#received(item, source),
      onStatus: (status) => this.#announce(status),
      onBookFault: (fault) => {
        this.#listener.onBookFault(fault);
        this.#ownership?.tell({ kind: 'fault', fault });
      },
      onGap: (detail) => this.#tellGap(detail),
      onDialed: () => this.#dialedIn(),
    });
    this.events = new PublishedEvents(parts, this.#timers, {
      isFollowing: () => this.#role === 'follower',
      show: (item, source) => this.#showPublished(item, source),
      onRepaired: () => this.#repaired(),
    });
    const detail = `Connecting to ${request.topic.exchange} for the first time.`;
    this.#status = { state: 'reconnecting', detail, at: now() };
    this.opened = new Promise((resolve) => (this.#endOpening = resolve));
  }

  get status(): FeedStatus {
    return this.#status;
  }

  /** null: the topic is not this server's. */
  get ownership(): Ownership | null {
    return this.#ownership;
  }

  get role(): Role {
    return this.#role;
  }

  get isOrphaned(): boolean {
    return this.#isOrphaned;
  }

  /** Who is followed. */
  get owner(): TopicOwner | null {
    return this.#role === 'follower' ? this.#owner : null;
  }

  close(): void {
    const { bus, key } = this.#parts;
    const held = this.#ownership;
    this.#role = 'closed';
    this.#ownership = null;
    this.#timers.cancelAll();
    this.own.close();
    held?.end();
    if (held !== null) bus.release(key, held.fence).catch(() => undefined);
    this.#over();
    this.#endOpening();
  }

  nextEventId(rows: number): EventId {
    return this.#ownership?.nextEventId(rows) ?? this.#nextUnshared(rows);
  }

  /** Asks the bus for the topic, in the place of another where that one is dead or offers it. */
  async claim(overrule?: Overrule): Promise<void> {
    const { bus, key, monotonic } = this.#parts;
    if (this.#claiming || monotonic() - this.#claimAt < CLAIM_EVERY_MS) return;
    this.#claiming = true;
    this.#claimAt = monotonic();
    try {
      const claim = await bus.claim(key, overrule);
      for (const fence of claim.fences) this.events.addFence(fence);
      if (claim.granted) await this.#take(claim, overrule);
      else this.#follow(claim.owner, claim.status);
    } catch {
      if (this.#isOpening()) this.goAlone();
    } finally {
      this.#claiming = false;
      this.#askAgain();
    }
  }

  /** A method, since the role may change during an await. */
  #isOpening(): boolean {
    return this.#role === 'opening';
  }

  #isClosed(): boolean {
    return this.#role === 'closed';
  }

  /** The topic is this server's. What was published before and is not known here comes first. */
  async #take({ fence, top }: Claim & { granted: true }, overrule?: Overrule): Promise<void> {
    const { bus, key, now } = this.#parts;
    const because = overrule?.because;
    const isReleased = overrule !== undefined && this.#isReleased(overrule);
    if (overrule !== undefined) this.#countTakeover(overrule, isReleased);
    const wasKnown = this.events.lastId !== null || this.own.isOpen;
    if (top !== null && (this.#isSequence || wasKnown)) await this.events.catchUp();
    if (this.#isClosed()) {
      bus.release(key, fence).catch(() => undefined);
      return;
    }
    this.#role = 'owner';
    this.#owner = this.#heardLast = null;
    this.#isOrphaned = false;
    this.events.addFence(fence);
    this.events.lastId = top;
    const pending = this.#unpublished.splice(0);
    this.#ownership = new Ownership(this.#parts, { fence, top, pending }, () => this.#fenced());
    this.#timers.cancelAll();
    // Clients of this server have seen what the followers' have not: it fed itself while the owner died.
    if (top !== null && this.#ownNewest > this.#publishedNewest)
      this.#ownership.tell({ kind: 'loss', loss: { count: undefined } });
    if (because === 'dead')
      this.#announce({
        ...{ state: 'reconnecting', at: now() },
        detail: isReleased
          ? 'Nobody holds this feed any more; this server takes over.'
          : 'The server that held this feed is gone; this one takes over.',
      });
    this.own.show();
    const { status } = this.own;
    if (status !== undefined && status.state !== this.#status.state) this.#announce(status);
    else this.#tellStatus();
    this.primes = this.#listener.ready && because === undefined && !wasKnown;
    this.#endOpening();
  }

  /** Its owner let go of it, and lives. */
  #isReleased({ owner }: Overrule): boolean {
    return this.#isOrphaned && Number.isFinite(this.#parts.bus.silentFor(owner.server));
  }

  #countTakeover({ owner, because }: Overrule, isReleased: boolean): void {
    const { bus, counts, log, request, monotonic } = this.#parts;
    const tookMs = because === 'dead' ? bus.silentFor(owner.server) : monotonic() - this.#offeredAt;
    counts.takeovers[because] += 1;
    // A server that has said that it leaves is silent for ever.
    if (Number.isFinite(tookMs) && !isReleased) counts.takeoverSeconds[because].observe(tookMs / 1000);
    log.info({ ...request.topic, because, from: owner.server }, 'took over a feed of another server');
  }

  #follow(owner: TopicOwner, statusText: string | null): void {
    if (this.#role === 'closed') return;
    const isNew = this.#role !== 'follower' || this.#owner?.fence !== owner.fence;
    this.#role = 'follower';
    this.#owner = owner;
    this.events.addFence(owner.fence);
    if (this.own.isHeld) this.own.close();
    const message = statusText === null ? null : readMessage(statusText);
    const answered = message?.kind === 'status' ? message.status : null;
    // What was told after the answer may have come before it.
    const isOld = answered === null || (this.#heardLast !== null && this.#heardLast.at >= answered.at);
    const status = isOld ? this.#heardLast : answered;
    if (status !== null) this.#showOnce(status);
    // The bus says who holds it, maybe sooner than its listeners heard that the owner before had released it.
    this.#isOrphaned = false;
    if (!isNew) return;
    const { local, request } = this.#parts;
    local.prepare?.(request.topic.exchange);
    this.#over();
    void this.events.repair();
  }

  /** Another server has the topic, or nobody has: what was not published is not known to the others. */
  #fenced(): void {
    this.#parts.counts.fenced += 1;
    this.#unpublished = this.#endOwnership();
    this.#role = 'opening';
    this.#claimAt = -Infinity;
    void this.claim();
  }

  /** The answer is what was not published. */
  #endOwnership(): Publication[] {
    const unpublished = this.#ownership?.end() ?? [];
    this.events.lastId = this.#ownership?.acknowledged ?? null;
    this.#ownership = null;
    this.#nextUnshared = this.#parts.unsharedIds();
    return unpublished;
  }

  /** The bus is away. */
  goAlone(): void {
    const { unsharedIds, hasBeenIn } = this.#parts;
    this.#timers.cancelAll();
    if (this.own.isHeld) this.own.close();
    this.#role = 'alone';
    this.#owner = this.#heardLast = null;
    this.#nextUnshared = unsharedIds();
    this.own.show();
    const status = this.own.status ?? this.#status;
    if (hasBeenIn()) this.#announce(status);
    else this.#status = status;
    this.#endOpening();
  }

  #received(item: StreamItem, source: ItemSource): StreamItem | null {
    const accepted = this.#listener.onItem(item, source);
    if (accepted === null) return null;
    this.#ownNewest = Math.max(this.#ownNewest, newestOf(accepted, source));
    if (this.#ownership === null) return accepted;
    this.#publishedNewest = Math.max(this.#publishedNewest, this.#ownNewest);
    this.#ownership.publish(accepted, source);
    return accepted;
  }

  /** Of the feed of this server, to its clients and to those of the followers. */
  #announce(status: FeedStatus): void {
    const isUnshared = this.#role === 'alone' && this.#parts.hasBeenIn();
    this.show(isUnshared ? { ...status, detail: `unshared: ${status.detail}` } : status);
    this.#tellStatus();
  }

  /** The venue could not be asked: on every connection it is told that something may be missing. */
  #tellGap(detail: string): void {
    this.#announce({ ...this.#status, detail, at: this.#parts.now() });
    if (!this.#isSequence) return;
    const loss = { count: undefined };
    this.#listener.onLoss(loss);
    this.#ownership?.tell({ kind: 'loss', loss });
  }

  /** The owner's. */
  heardStatus(status: FeedStatus): void {
    this.#heardLast = status;
    this.#showOnce(status);
  }

  /** The owner's, before it is known that this server follows. */
  overheardStatus(status: FeedStatus): void {
    this.#heardLast = status;
  }

  /** An owner that takes over without a break tells what is known already. */
  #showOnce(status: FeedStatus): void {
    const { state, detail, at } = this.#status;
    if (status.state !== state || status.detail !== detail || status.at !== at) this.show(status);
  }

  show(status: FeedStatus): void {
    this.#status = status;
    this.#listener.onStatus(status);
  }

  #tellStatus(): void {
    this.#ownership?.tell({ kind: 'status', status: this.#status }, true);
  }

  #over(): void {
    this.onOver?.();
    this.onOver = null;
  }

  /** The bus says who has the topic. */
  owned(owner: TopicOwner | null): void {
    if (owner === null) {
      this.#orphaned();
      return;
    }
    this.events.addFence(owner.fence);
    if (owner.server === this.#parts.bus.serverId) return;
    if (this.#ownership !== null && owner.fence > this.#ownership.fence) {
      this.#endOwnership();
      this.#unpublished = [];
      this.#follow(owner, null);
    } else if (this.#role === 'follower' && owner.fence > (this.#owner?.fence ?? 0)) {
      this.#timers.cancel('succeed');
      this.#follow(owner, null);
    }
  }

  #orphaned(): void {
    const owner = this.#owner;
    if (this.#role !== 'follower' || owner === null) return;
    this.#isOrphaned = true;
    this.#claimAt = -Infinity;
    void this.claim({ owner, because: 'dead' });
  }

  /** What the bus sends is heard from now on, and again: what the owner told meanwhile was missed. */
  joined(): void {
    this.events.joined();
    this.#heardLast = null;
    this.#asksAgain = true;
    if (!this.#claiming) this.#askAgain();
  }

  /** However short ago it asked: what the owner told since then it has not heard. */
  #askAgain(): void {
    const isDue = this.#asksAgain && this.#role === 'follower';
    this.#asksAgain = false;
    if (!isDue) return;
    this.#claimAt = -Infinity;
    void this.claim();
  }

  #showPublished(item: StreamItem, source: ItemSource): void {
    // Of a sequence the owner has done what REST and feed need; what this server's own feed has shown overlaps.
    const overlap = { via: 'rest', seam: true } as const;
    const overlaps = this.own.isOpen || this.#isBehindOwn(item);
    this.#publishedNewest = Math.max(this.#publishedNewest, newestOf(item, source));
    const way = this.#isSequence ? (overlaps ? overlap : { via: 'feed' as const }) : {};
    this.#listener.onItem(item, { ...source, ...way });
    if (this.#role === 'follower') this.#endOpening();
  }

  /** The owner may be behind what this server's feed had shown before it ended. */
  #isBehindOwn(item: StreamItem): boolean {
    return item.channel === 'trades' && item.trades.some(({ timestamp }) => timestamp <= this.#ownNewest);
  }

  #repaired(): void {
    // The owner's events go on from here.
    if (this.own.isOpen && !this.own.isHeld) this.own.close();
    if (this.#listener.ready) this.#endOpening();
    else this.#timers.arm('first', FIRST_ITEM_MS, () => this.#endOpening());
  }

  /** The owner is about to end: one follower dials, and takes over once its own feed speaks. */
  offered(): void {
    const { random, monotonic } = this.#parts;
    if (this.own.isHeld) return;
    this.#offeredAt = monotonic();
    this.#timers.arm('succeed', random() * RANK_MS, () => {
      if (this.#role === 'follower' && !this.own.isOpen) this.own.dial();
    });
  }

  #dialedIn(): void {
    const owner = this.#owner;
    if (this.#role !== 'follower' || owner === null) return;
    this.#claimAt = -Infinity;
    void this.claim({ owner, because: 'handover' });
  }
}
