/**
 * A topic's feed that one server of the cluster holds, its owner, and that the others follow. All keep the same state of the
 * channel, so that any may go on from there. Gaps are repaired from the bus' history; an owner is dead by two witnesses: its
 * beat is not heard any more, and Redis says that its lease is over.
 */
import type { StreamItem } from '../../exchanges/exchange-client.js';
import type { Millis } from '../../schemas/common.js';
import type { EventId } from '../../streams/event-ids.js';
import type { FeedSource, FeedStatus, ItemSource } from '../../streams/feed/feed-source.js';
import type { Loss, Recalled } from '../../streams/history.js';
import type { SharedFeedParts } from './feed-parts.js';
import { FeedRoles, type Role } from './feed-roles.js';
import { type FeedMessage, readMessage } from './messages.js';
import type { Moment } from './moment.js';
import { maySucceed } from './succession.js';

/** Servers that lose the bus together do not open all their feeds at once. */
const ALONE_SPREAD_MS: Millis = 300;
/** Those who follow a topic that is offered may end meanwhile, like its owner. */
const RECOUNT_MS: Millis = 250;

export class SharedFeed implements FeedSource {
  readonly #parts: SharedFeedParts;
  readonly #roles: FeedRoles;
  readonly #onClose: (feed: SharedFeed) => void;
  #leave: () => void = () => undefined;
  #aloneAt: Millis | null = null;

  constructor(parts: SharedFeedParts, onClose: (feed: SharedFeed) => void) {
    this.#parts = parts;
    this.#roles = new FeedRoles(parts);
    this.#onClose = onClose;
  }

  get status(): FeedStatus {
    return this.#roles.status;
  }

  get reconnects(): number {
    return this.#roles.own.reconnects;
  }

  get role(): Role {
    return this.#roles.role;
  }

  get owner(): string | undefined {
    return this.#roles.owner?.server;
  }

  /** Nothing is about to change by itself, as long as its owner lives and the bus is there. */
  get isSettled(): boolean {
    const { role, owner, isOrphaned, isInDoubt } = this.#roles;
    return role === 'owner' || (owner !== null && !isOrphaned && !isInDoubt);
  }

  get wantsPrime(): boolean {
    return this.#roles.primes;
  }

  start(): void {
    const { bus, key, hasBeenIn } = this.#parts;
    const roles = this.#roles;
    this.#leave = bus.subscribe(key, {
      heard: (text) => this.#heard(text),
      owned: (owner) => roles.owned(owner),
      joined: () => roles.joined(),
    });
    if (bus.isIn) roles.claim();
    // Else the next check tells whether the bus is away, or this server stood still.
    else if (!hasBeenIn()) roles.goAlone();
  }

  opened(): Promise<void> {
    return this.#roles.opened;
  }

  close(): void {
    if (this.role === 'closed') return;
    this.#leave();
    this.#roles.close();
    this.#onClose(this);
  }

  nextEventId(rows: number): EventId {
    return this.#roles.nextEventId(rows);
  }

  prime(item: StreamItem, source: ItemSource): void {
    this.#roles.primes = false;
    this.#roles.own.receive(item, source);
  }

  knows(id: EventId): boolean {
    return this.#roles.events.knows(id);
  }

  /** The topic found that something is missing. */
  lost(loss: Loss): void {
    this.#roles.ownership?.tell({ kind: 'loss', loss });
  }

  async recall(since: EventId): Promise<Recalled | null> {
    return this.#roles.role === 'alone' || !this.knows(since) ? null : this.#roles.events.recall(since);
  }

  /** Whether no other server shows what this one feeds. */
  async mayEnd(): Promise<boolean> {
    const held = this.#roles.ownership;
    if (held === null) return true;
    const heard = await held.tellAndCount({ kind: 'top', id: held.acknowledged ?? '' });
    return heard === null || heard <= 1;
  }

  /** Offers the topic to those who follow it; resolves once another has it, or nobody wants it. */
  async handOver(): Promise<void> {
    if (this.#roles.ownership === null) return;
    const taken = new Promise<void>((resolve) => (this.#roles.onOver = resolve));
    const heard = await this.#roles.ownership.tellAndCount({ kind: 'handover' });
    if (heard === null || heard <= 1) return;
    do await this.#untilOrAfter(taken, RECOUNT_MS);
    while (!(await this.mayEnd()));
  }

  async #untilOrAfter(event: Promise<void>, ms: Millis): Promise<void> {
    let cancel = (): void => undefined;
    const late = new Promise<void>((resolve) => (cancel = this.#parts.timers.after(ms, resolve)));
    await Promise.race([event, late]);
    cancel();
  }

  /** Called ten times a second, or once where all are settled. */
  check(moment: Moment): void {
    const { at, isIn, isAway, mayReturn } = moment;
    switch (this.#roles.role) {
      case 'opening':
        if (isIn) this.#roles.claim();
        else if (isAway) this.#roles.goAlone();
        break;
      case 'owner':
        this.#roles.ownership?.check(moment);
        break;
      case 'follower':
        if (isIn) {
          this.#aloneAt = null;
          this.#watchOwner(moment);
        } else if (isAway) {
          this.#aloneAt ??= at + this.#parts.random() * ALONE_SPREAD_MS;
          if (at < this.#aloneAt) break;
          this.#aloneAt = null;
          this.#roles.goAlone();
        }
        break;
      case 'alone':
        if (mayReturn) this.#roles.claim();
        break;
      case 'closed':
        break;
    }
  }

  #watchOwner(moment: Moment): void {
    const owner = this.#roles.owner;
    if (owner === null) this.#roles.claim();
    else if (this.#roles.isOrphaned || maySucceed(this.#parts.key, owner, moment))
      this.#roles.claim({ owner, because: 'dead' });
    // Whoever is followed may follow this server.
    else if (this.#roles.isInDoubt)
      this.#roles.claim(this.#roles.own.isHeld ? { owner, because: 'handover' } : undefined);
  }

  #heard(text: string): void {
    const { role } = this.#roles;
    const message = role === 'owner' || role === 'closed' ? null : readMessage(text);
    if (message === null) return;
    if (role === 'follower') this.#hear(message);
    else if (message.kind === 'status') this.#roles.overheardStatus(message.status);
  }

  #hear(message: FeedMessage): void {
    switch (message.kind) {
      case 'item':
        this.#roles.events.heard(message);
        break;
      case 'status':
        this.#roles.heardStatus(message.status);
        break;
      case 'loss':
        this.#parts.request.listener.onLoss(message.loss);
        break;
      case 'fault':
        this.#parts.request.listener.onBookFault(message.fault);
        break;
      case 'top':
        this.#roles.events.heardTop(message.id);
        break;
      case 'handover':
        this.#roles.offered();
        break;
    }
  }
}
