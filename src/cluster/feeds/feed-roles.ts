/**
 * Who feeds a shared topic, as this server knows it.
 *
 * `opening`: asks the bus whose it is. `owner`: feeds it from the venue and publishes what is new. `follower`: shows what the
 * owner publishes, takes over where the owner is dead or offers it. `alone`: the bus is away, so this server feeds itself.
 */
import type { StreamItem } from '../../exchanges/exchange-client.js';
import { NamedTimers } from '../../lib/timers.js';
import type { Millis } from '../../schemas/common.js';
import type { EventId, NextEventId } from '../../streams/event-ids.js';
import type { FeedListener, FeedStatus, ItemSource } from '../../streams/feed/feed-source.js';
import { isSequence } from '../../streams/feed/feed-state.js';
import type { Claim, Overrule, Publication, TopicOwner } from '../bus.js';
import { Claims } from './claims.js';
import type { SharedFeedParts, SharedTimers } from './feed-parts.js';
import { OwnFeed } from './own-feed.js';
import { Ownership } from './ownership.js';
import { PublishedEvents } from './published-events.js';
import { RANK_MS } from './succession.js';
import { ToldStatus } from './told-status.js';
import { TradesSeen } from './trades-seen.js';

/** A follower of an owner that has not published yet is ready after this time at the latest. */
const FIRST_ITEM_MS: Millis = 1_000;

/** A bus that answers beats, but no claim for so long, cannot say whose a topic is. */
const CLAIMS_FAIL_MS: Millis = 1_000;

export type Role = 'opening' | 'owner' | 'follower' | 'alone' | 'closed';

export class FeedRoles {
  readonly #parts: SharedFeedParts;
  readonly #listener: FeedListener;
  readonly #isSequence: boolean;
  readonly #timers: SharedTimers;
  /** Settles once it is known who feeds the topic, and what is known of it already has been shown. */
  readonly opened: Promise<void>;
  #endOpening: () => void = () => undefined;
  #role: Role = 'opening';
  readonly #status: ToldStatus;
  readonly #claims: Claims;
  readonly #trades = new TradesSeen();
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
  /** What a fence that is over could not publish. */
  #unpublished: Publication[] = [];
  /** When the owner offered the topic. */
  #offeredAt: Millis = 0;
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
    this.#status = new ToldStatus({ state: 'reconnecting', detail, at: now() }, (status) =>
      this.#listener.onStatus(status),
    );
    this.#claims = new Claims(parts, {
      onAnswer: (claim, overrule) => this.#answered(claim, overrule),
      onFailure: (failingFor) => {
        if (this.#role === 'opening' && failingFor >= CLAIMS_FAIL_MS) this.goAlone();
      },
      isFollowing: () => this.#role === 'follower',
    });
    this.opened = new Promise((resolve) => (this.#endOpening = resolve));
  }

  get status(): FeedStatus {
    return this.#status.current;
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

  /** Whether the bus may take this server for the owner, though it does not know. */
  get isInDoubt(): boolean {
    return this.#claims.isInDoubt;
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
  claim(overrule?: Overrule): void {
    void this.#claims.ask(overrule);
  }

  async #answered(claim: Claim, overrule?: Overrule): Promise<void> {
    for (const fence of claim.fences) this.events.addFence(fence);
    if (claim.granted) await this.#take(claim, overrule);
    else this.#follow(claim.owner, claim.status);
  }

  /** A method, since the role may change during an await. */
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
    if (top !== null && (this.#isSequence || wasKnown)) await this.events.catchUp(top);
    if (this.#isClosed()) {
      bus.release(key, fence).catch(() => undefined);
      return;
    }
    this.#role = 'owner';
    this.#owner = null;
    this.#status.forgetHeard();
    this.#isOrphaned = false;
    this.events.addFence(fence);
    this.events.lastId = top;
    const pending = this.#unpublished.splice(0);
    this.#ownership = new Ownership(this.#parts, { fence, top, pending }, () => this.#fenced());
    this.#timers.cancelAll();
    // Clients of this server have seen what the followers' have not: it fed itself while the owner died.
    if (top !== null && this.#trades.isOwnAhead)
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
    if (status !== undefined && status.state !== this.status.state) this.#announce(status);
    else this.#tellStatus();
    this.primes = this.#listener.ready && because === undefined && !wasKnown;
    this.#endOpening();
  }

  /** Its owner let go of it, and lives. */
  #isReleased({ owner }: Overrule): boolean {
    return this.#isOrphaned && Number.isFinite(this.#parts.bus.silentFor(owner.server));
  }

  #countTakeover(overrule: Overrule, isReleased: boolean): void {
    const { bus, counts, takeovers, request, monotonic } = this.#parts;
    const { owner, because } = overrule;
    const tookMs = because === 'dead' ? bus.silentFor(owner.server) : monotonic() - this.#offeredAt;
    counts.takeovers[because] += 1;
    // A server that has said that it leaves is silent for ever.
    if (Number.isFinite(tookMs) && !isReleased) counts.takeoverSeconds[because].observe(tookMs / 1000);
    takeovers.add(request.topic, overrule);
  }

  #follow(owner: TopicOwner, statusText: string | null): void {
    if (this.#role === 'closed') return;
    const isNew = this.#role !== 'follower' || this.#owner?.fence !== owner.fence;
    this.#role = 'follower';
    this.#owner = owner;
    this.events.addFence(owner.fence);
    if (this.own.isHeld) this.own.close();
    this.#status.answered(statusText);
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
    this.#parts.unsettled();
    this.#claims.askAtOnce();
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
    this.#owner = null;
    this.#status.forgetHeard();
    this.#nextUnshared = unsharedIds();
    this.own.show();
    const status = this.own.status ?? this.status;
    if (hasBeenIn()) this.#announce(status);
    else this.#status.replace(status);
    this.#endOpening();
  }

  #received(item: StreamItem, source: ItemSource): StreamItem | null {
    const accepted = this.#listener.onItem(item, source);
    if (accepted === null) return null;
    this.#trades.byOwnFeed(accepted, source);
    if (this.#ownership === null) return accepted;
    this.#trades.ownPublished();
    this.#ownership.publish(accepted, source);
    return accepted;
  }

  /** Of the feed of this server, to its clients and to those of the followers. */
  #announce(status: FeedStatus): void {
    const isUnshared = this.#role === 'alone' && this.#parts.hasBeenIn();
    this.#status.show(isUnshared ? { ...status, detail: `unshared: ${status.detail}` } : status);
    this.#tellStatus();
  }

  /** The venue could not be asked: on every connection it is told that something may be missing. */
  #tellGap(detail: string): void {
    this.#announce({ ...this.status, detail, at: this.#parts.now() });
    if (!this.#isSequence) return;
    const loss = { count: undefined };
    this.#listener.onLoss(loss);
    this.#ownership?.tell({ kind: 'loss', loss });
  }

  /** The owner's. */
  heardStatus(status: FeedStatus): void {
    this.#status.heard(status);
  }

  /** The owner's, before it is known that this server follows. */
  overheardStatus(status: FeedStatus): void {
    this.#status.overheard(status);
  }

  #tellStatus(): void {
    this.#ownership?.tell({ kind: 'status', status: this.status }, true);
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
    if (owner.server === this.#parts.bus.serverId) {
      this.#claims.announced(owner.fence);
      return;
    }
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
    this.#parts.unsettled();
    this.#claims.askAtOnce({ owner, because: 'dead' });
  }

  /** What the bus sends is heard from now on, and again: what the owner told meanwhile was missed. */
  joined(): void {
    this.events.joined();
    this.#status.forgetHeard();
    this.#claims.joined();
  }

  #showPublished(item: StreamItem, source: ItemSource): void {
    // Of a sequence the owner has done what REST and feed need; what this server's own feed has shown overlaps.
    const overlap = { via: 'rest', seam: true } as const;
    this.#trades.byPublication(item, source);
    const overlaps = this.own.isOpen || this.#trades.isBehind(item);
    const way = this.#isSequence ? (overlaps ? overlap : { via: 'feed' as const }) : {};
    this.#listener.onItem(item, { ...source, ...way });
    if (this.#role === 'follower') this.#endOpening();
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
    this.#claims.askAtOnce({ owner, because: 'handover' });
  }
}
