/**
 * Whether this server counts its requests together with the others of its egress: its heartbeat, and the changes between
 * the shared count and its own share.
 *
 * A server that shares sends a heartbeat every `heartbeatMs`. Once it cannot, its heartbeat lapses, and a moment later
 * it keeps to its share of what was left, without asking Redis. The others, where Redis answers them, withhold the share
 * of whoever has lapsed. When Redis answers again, the server synchronizes first: it adds what it has sent meanwhile. A
 * Redis that has lost its data does not know who has lapsed: then all servers synchronize, for `settleMs`, before any of
 * them relies on the count.
 */
import type { Millis } from '../schemas/common.js';
import type { BudgetTimes } from './budget-times.js';

/** A server that keeps to its share tries to synchronize once in so many intervals of the heartbeat. */
const SYNC_INTERVALS = 4;
/** While the count is shared it does so more rarely, to learn how many servers there are and what they have sent. */
const SYNC_INTERVALS_WHILE_SHARED = 16;
/** A lower number of servers is believed only so long after a higher one. */
const FEWER_AFTER_MS = 10_000;

export interface BudgetHeartbeatDeps {
  readonly times: BudgetTimes;
  /** A monotonic clock. */
  readonly now: () => Millis;
  /** Sends one heartbeat; the servers that are alive. Reports Redis' answer to `answered` itself. */
  readonly beat: (servers: number) => Promise<number>;
  /** Sends to Redis what this server has counted, and adopts what the others have. */
  readonly sync: () => Promise<void>;
  /** `isShared` has changed. */
  readonly changed: () => void;
}

export class BudgetHeartbeat {
  readonly #deps: BudgetHeartbeatDeps;
  readonly #timer: NodeJS.Timeout;
  #isShared = false;
  /** Until when a count that was lost is not relied upon. */
  #settledAt: Millis = -Infinity;
  /** Last seen alive. */
  #servers = 1;
  #countedAt: Millis = -Infinity;
  /** The latest attempt was not answered. */
  #isFailing = false;
  /** All that was sent alone is in the shared count: heartbeats may be sent. */
  #isBeating = false;
  /** When the last heartbeat was sent, whether it arrived or not. */
  #beatAt: Millis = -Infinity;
  #isSending = false;
  #isSyncing = false;
  #intervals = 0;
  #closed = false;

  constructor(deps: BudgetHeartbeatDeps) {
    this.#deps = deps;
    this.#timer = setInterval(() => {
      this.#intervals += 1;
      if (this.#isShared) void this.#beat();
      const every = this.#isShared ? SYNC_INTERVALS_WHILE_SHARED : SYNC_INTERVALS;
      if (this.#intervals % every === 0) void this.sync();
    }, deps.times.heartbeatMs).unref();
  }

  get isShared(): boolean {
    return this.#isShared;
  }

  /** Servers last seen alive, this one included. */
  get servers(): number {
    return this.#servers;
  }

  get isClosed(): boolean {
    return this.#closed;
  }

  /** Servers whose lease has just expired may still send: Redis was away for them too. */
  count(alive: number): void {
    const now = this.#deps.now();
    if (alive < this.#servers && (!this.#isShared || now - this.#countedAt < FEWER_AFTER_MS)) return;
    this.#servers = alive;
    this.#countedAt = now;
  }

  answered(): void {
    this.#isFailing = false;
  }

  /** No heartbeat is sent until something is answered again. */
  failed(): void {
    this.#isFailing = true;
    this.#leaveIfLapsed();
  }

  /** Redis was emptied: what the servers know is all there is. */
  lost(): void {
    if (!this.#isShared) this.#settledAt = this.#deps.now() + this.#deps.times.settleMs;
  }

  /** Synchronizes with the shared count; from then on it is used. Never rejects. */
  async sync(): Promise<void> {
    if (this.#isSyncing || this.#closed) return;
    this.#isSyncing = true;
    try {
      await this.#deps.sync();
      this.#isFailing = false;
      if (!this.#isShared && this.#deps.now() >= this.#settledAt) {
        this.#isShared = true;
        this.#deps.changed();
        await this.#deps.sync();
        this.#isBeating = this.#isShared;
        await this.#beat();
      }
    } catch {
      this.failed();
    } finally {
      this.#isSyncing = false;
    }
  }

  close(): void {
    this.#closed = true;
    clearInterval(this.#timer);
  }

  /** Stops asking Redis once the others withhold this server's share. */
  #leaveIfLapsed(): void {
    // A server that is alone has nobody to wait for.
    const wait = this.#servers > 1 ? this.#deps.times.aloneAfterMs : 0;
    if (!this.#isShared || this.#deps.now() - this.#beatAt < wait) return;
    this.#isShared = this.#isBeating = false;
    this.#deps.changed();
  }

  async #beat(): Promise<void> {
    if (this.#isFailing) this.#leaveIfLapsed();
    if (!this.#isBeating || this.#isSending || this.#isFailing || this.#closed) return;
    this.#isSending = true;
    this.#beatAt = this.#deps.now();
    try {
      this.count(await this.#deps.beat(this.#servers));
    } catch {
      this.failed();
    } finally {
      this.#isSending = false;
    }
  }
}
