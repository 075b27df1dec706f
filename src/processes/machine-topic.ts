/** A topic as the processes of one server have it that is one of many: which of them holds it, which listen. */
import type { Bus, Claim, TopicOwner } from '../cluster/bus.js';
import { MAX_FENCES, type BusListener } from './bus-host.js';

type Granted = Claim & { readonly granted: true };
type Refused = Claim & { readonly granted: false };

export class MachineTopic {
  readonly name: string;
  readonly #bus: Pick<Bus, 'serverId' | 'subscribe'>;
  /** By the process that listens. */
  readonly #listeners = new Map<string, BusListener>();
  #owner: TopicOwner | null = null;
  #holder: string | null = null;
  #status: string | null = null;
  #fences: readonly number[] = [];
  /** The latest fence of this server that the bus announced: maybe before its answer to the claim came. */
  #announced = 0;
  /** Ends the subscription; null: no process listens. */
  #end: (() => void) | null = null;
  #isJoined = false;

  constructor(name: string, bus: Pick<Bus, 'serverId' | 'subscribe'>) {
    this.name = name;
    this.#bus = bus;
  }

  /** The process that holds it, where this server does. */
  get owner(): TopicOwner | null {
    return this.#owner;
  }

  /** Whether another server feeds it. */
  get isFollowed(): boolean {
    return this.#holder !== null;
  }

  get listeners(): number {
    return this.#listeners.size;
  }

  isHeld(id: string, fence: number): boolean {
    return this.#owner?.server === id && this.#owner.fence === fence;
  }

  /** To a process that may not overrule the one that holds it. */
  refusal(owner: TopicOwner): Claim {
    return { granted: false, owner, status: this.#status, fences: this.#fences };
  }

  /** The bus has granted it to this server for a process. */
  granted(id: string, { fence, fences }: Granted): void {
    this.#owner = { server: id, fence };
    this.#status = this.#holder = null;
    this.#fences = [...fences, fence].slice(-MAX_FENCES);
    if (this.#announced === fence) this.#tellOwner(this.#owner);
  }

  refused({ owner, fences }: Refused): void {
    if (this.#owner !== null) this.orphaned();
    this.#holder = owner.server;
    this.#fences = fences;
  }

  /** The process that held it let go of it. */
  released(): void {
    this.#announceLate();
    this.#owner = this.#status = null;
  }

  /** The bus has said that this fence is over: who followed that process asks the bus who is next. */
  lost(fence: number): void {
    if (this.#owner?.fence === fence) this.orphaned();
  }

  /** The process that held it is dead, frozen or fenced. */
  orphaned(): void {
    this.#announceLate();
    this.#owner = this.#status = null;
    this.#tellOwner(null);
  }

  /** It is not known any more whether another server holds it. */
  cutOff(): void {
    this.#holder = null;
  }

  /** By the process that holds it. */
  told(status: string): void {
    this.#status = status;
  }

  /** Of those that the bus has counted: all processes hear by one subscription. */
  heardBy(subscriptions: number): number {
    return this.#isJoined ? Math.max(0, subscriptions - 1) + this.#listeners.size : subscriptions;
  }

  listen(id: string, listener: BusListener): void {
    this.#listeners.set(id, listener);
    if (this.#isJoined) listener.joined(this.name);
    this.#end ??= this.#bus.subscribe(this.name, {
      heard: (text) => {
        for (const each of this.#listeners.values()) each.heard(this.name, text);
      },
      owned: (owner) => this.#owned(owner),
      joined: () => {
        this.#isJoined = true;
        for (const each of this.#listeners.values()) each.joined(this.name);
      },
    });
  }

  /** `listener`: a later one of the same process stays. */
  mute(id: string, listener = this.#listeners.get(id)): void {
    if (this.#listeners.get(id) !== listener || !this.#listeners.delete(id) || this.#listeners.size > 0)
      return;
    this.#end?.();
    this.#end = null;
    this.#isJoined = false;
  }

  #owned(owner: TopicOwner | null): void {
    if (owner === null) {
      // Of a fence before that of the process that holds it: the bus tells in order.
      if (this.#owner !== null) return;
      this.#holder = null;
    } else if (owner.server === this.#bus.serverId) {
      this.#announced = owner.fence;
      // Which process it is, is not known before the answer to its claim.
      if (this.#owner?.fence === owner.fence) this.#tellOwner(this.#owner);
      return;
    } else if (owner.fence > (this.#owner?.fence ?? 0)) {
      this.#owner = this.#status = null;
      this.#holder = owner.server;
    }
    this.#tellOwner(owner);
  }

  /** An owner that was so short that the bus has not announced it yet: it will not be known any more when it does. */
  #announceLate(): void {
    if (this.#owner !== null && this.#announced < this.#owner.fence) this.#tellOwner(this.#owner);
  }

  #tellOwner(owner: TopicOwner | null): void {
    for (const listener of this.#listeners.values()) listener.owned(this.name, owner);
  }
}
