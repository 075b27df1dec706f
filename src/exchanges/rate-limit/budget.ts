/** What requests to one venue may take: the budget in a rolling window, and the pace of CCXT's weights. */
import type { Millis } from '../../schemas/common.js';
import type { Priority } from '../exchange-client.js';
import type { Pace } from './shared-budget.js';
import type { GateState, WindowEntry } from './upstream-gate.js';

export interface Lane {
  /** The lower goes first. */
  readonly rank: number;
  /** The part of the budget that its requests may use. */
  readonly share: number;
  /** Counts against that share of polls. */
  readonly countsAsPoll: boolean;
  /** false: its requests wait for the venue's pace, but are refused where no slot of the budget is free. */
  readonly waitsForSlot: boolean;
}

/** Polls keep to half of the budget, so that they cannot starve callers; a backfill takes what both leave over. */
export const LANES: Readonly<Record<Priority, Lane>> = {
  caller: { rank: 0, share: 1, countsAsPoll: false, waitsForSlot: true },
  poll: { rank: 1, share: 0.5, countsAsPoll: true, waitsForSlot: true },
  backfill: { rank: 2, share: 0.5, countsAsPoll: false, waitsForSlot: false },
};

/** Requests that leave before a given one. */
export interface Ahead {
  readonly all: number;
  /** Those of the same lane among them. */
  readonly sameLane: number;
  /** How long those of them that have arrived take of the venue's pace. */
  readonly paceMs: Millis;
}

/** Requests closer together than this fraction of the window share an entry, which bounds memory and state. */
const ENTRIES_PER_WINDOW = 256;

/** Counts requests over the last `windowMs`: exactly when they are sparse, never too few when they are dense. */
class RollingWindow {
  readonly #windowMs: Millis;
  readonly #entries: { since: Millis; at: Millis; requests: number; polls: number }[];
  #requests = 0;
  #polls = 0;

  constructor(windowMs: Millis, restored: readonly WindowEntry[] = []) {
    this.#windowMs = windowMs;
    this.#entries = restored.map((entry) => ({ ...entry, since: entry.at }));
    for (const { requests, polls } of restored) {
      this.#requests += requests;
      this.#polls += polls;
    }
  }

  /** Replaces this server's count by that of all servers together. */
  adopt(entries: readonly WindowEntry[]): void {
    this.#entries.length = 0;
    this.#requests = this.#polls = 0;
    for (const entry of entries) {
      this.#entries.push({ ...entry, since: entry.at });
      this.#requests += entry.requests;
      this.#polls += entry.polls;
    }
  }

  /** `as`: how many requests it counts as. */
  add(now: Millis, poll: boolean, as = 1): void {
    this.#forget(now);
    let entry = this.#entries.at(-1);
    if (entry === undefined || now - entry.since >= this.#windowMs / ENTRIES_PER_WINDOW) {
      entry = { since: now, at: now, requests: 0, polls: 0 };
      this.#entries.push(entry);
    }
    entry.at = Math.max(entry.at, now);
    entry.requests += as;
    this.#requests += as;
    if (poll) {
      entry.polls += as;
      this.#polls += as;
    }
  }

  /** Requests (or polls among them) of the last window. */
  used(now: Millis, of: 'requests' | 'polls' = 'requests'): number {
    this.#forget(now);
    return of === 'requests' ? this.#requests : this.#polls;
  }

  /**
   * The instant at which the `position`-th further request (1: the next one) may leave, so that no window ever holds
   * more than `limit` of them; `now` or earlier where a slot is free.
   */
  slotAt(position: number, limit: number, { now, of }: { now: Millis; of: 'requests' | 'polls' }): Millis {
    // Positions beyond the limit follow requests that have yet to leave: each full lap is one window later.
    const laps = Math.floor((position - 1) / limit);
    let toExpire = this.used(now, of) + (position - laps * limit) - limit;
    let at = now;
    for (const entry of this.#entries) {
      if (toExpire <= 0) break;
      toExpire -= entry[of];
      if (entry[of] > 0) at = entry.at + this.#windowMs;
    }
    return at + laps * this.#windowMs;
  }

  entries(now: Millis): readonly WindowEntry[] {
    this.#forget(now);
    return this.#entries.map(({ at, requests, polls }) => ({ at, requests, polls }));
  }

  #forget(now: Millis): void {
    let gone = 0;
    for (const entry of this.#entries) {
      if (entry.at + this.#windowMs > now) break;
      this.#requests -= entry.requests;
      this.#polls -= entry.polls;
      gone += 1;
    }
    if (gone > 0) this.#entries.splice(0, gone);
  }
}

/** Market loading's own slots per window: a tenth of the budget, but enough for the venue that needs most. */
const MIN_MARKETS_RESERVE = 4;
const MAX_MARKETS_RESERVE = 10;

/** Requests for market lists that may leave in a window beside a budget of `requests`. */
export const reserveOf = (requests: number): number =>
  Math.min(Math.max(Math.ceil(requests / 10), MIN_MARKETS_RESERVE), MAX_MARKETS_RESERVE);

type BudgetState = Pick<GateState, 'budget' | 'used' | 'reserveUsed'>;

export class VenueBudget {
  readonly #budget: { readonly requests: number; readonly windowMs: Millis };
  readonly #reserveLimit: number;
  readonly #window: RollingWindow;
  readonly #reserve: RollingWindow;
  #limit: number;
  /**
   * How many requests each one counts as: 1, or the number of servers while they cannot count together. Each may then
   * use its part of what is left, as though all others sent as many.
   */
  cost = 1;

  /** `lateMs`: so much later than it was counted may a request leave; it counts for so much longer than the window. */
  constructor(
    budget: { readonly requests: number; readonly windowMs: Millis },
    {
      restored,
      lateMs = 0,
    }: { readonly restored?: BudgetState | undefined; readonly lateMs?: Millis | undefined } = {},
  ) {
    this.#budget = budget;
    this.#limit = budget.requests;
    this.#reserveLimit = reserveOf(budget.requests);
    this.#window = new RollingWindow(budget.windowMs + lateMs, restored?.used);
    this.#reserve = new RollingWindow(budget.windowMs + lateMs, restored?.reserveUsed);
  }

  /** What requests of this lane may use together where that is not the whole budget; null: it is. */
  pollLimit(lane: Lane): number | null {
    return lane.share === 1 ? null : this.#limitOf(lane);
  }

  /** What all servers together have sent, and the lowest limit among them. */
  adopt({ used, reserveUsed, limit }: Omit<BudgetState, 'budget'> & { readonly limit: number }): void {
    this.#window.adopt(used);
    this.#reserve.adopt(reserveUsed);
    this.#limit = Math.max(1, Math.min(limit, this.#budget.requests));
  }

  take(now: Millis, countsAsPoll: boolean): void {
    this.#window.add(now, countsAsPoll, this.cost);
  }

  /** Another server's request has left. */
  takenElsewhere(
    now: Millis,
    { poll, reserve }: { readonly poll: boolean; readonly reserve: boolean },
  ): void {
    if (reserve) this.#reserve.add(now, false);
    else this.#window.add(now, poll);
  }

  /** Whether the reserve has a slot free besides those of so many requests that are to leave out of it. */
  hasReserve(now: Millis, claimed: number): boolean {
    return this.#reserve.used(now) + (claimed + 1) * this.cost <= this.#reserveLimit;
  }

  takeReserve(now: Millis): void {
    this.#reserve.add(now, false, this.cost);
  }

  /** When a request with so many before it may leave; `now` or earlier where a slot is free. */
  slotAt(lane: Lane, now: Millis, { all, sameLane }: Omit<Ahead, 'paceMs'>): Millis {
    const any = this.#window.slotAt((all + 1) * this.cost, this.#limit, { now, of: 'requests' });
    if (lane.share === 1) return any;
    const position = (sameLane + 1) * this.cost;
    return Math.max(any, this.#window.slotAt(position, this.#limitOf(lane), { now, of: 'polls' }));
  }

  /** Requests of a lane that can leave within so much time, if there are no others. */
  most(lane: Lane, withinMs: Millis): number {
    const windows = 1 + Math.max(0, Math.floor(withinMs / this.#budget.windowMs));
    return Math.max(1, Math.floor((this.#limitOf(lane) * windows) / this.cost));
  }

  state(now: Millis): BudgetState {
    const { windowMs } = this.#budget;
    const limit = this.#limit;
    return {
      budget: { limit, remaining: Math.max(0, limit - this.#window.used(now)), windowMs },
      used: this.#window.entries(now),
      reserveUsed: this.#reserve.entries(now),
    };
  }

  #limitOf({ share }: Lane): number {
    return Math.max(1, Math.floor(this.#limit * share));
  }
}

/**
 * The pace of one venue: CCXT's leaky bucket. A request passes while the bucket is not in debt, and then takes its
 * weight; one weight flows back every `unitMs`. A pause saves up `capacity` weights at most.
 */
export class VenuePace {
  /** When the bucket is out of debt. */
  #freeAt: Millis;

  constructor(now: Millis) {
    this.#freeAt = now;
  }

  /** When a request may leave before which others take `aheadMs`; `now` or earlier where it may at once. */
  freeAt(now: Millis, pace: Pace | undefined, aheadMs: Millis): Millis {
    return pace === undefined ? now : this.#from(now, pace) + aheadMs;
  }

  /** When all servers together are out of debt. */
  adopt(freeAt: Millis): void {
    this.#freeAt = freeAt;
  }

  take(now: Millis, pace: Pace | undefined): void {
    if (pace !== undefined) this.#freeAt = this.#from(now, pace) + paceMsOf(pace);
  }

  #from(now: Millis, { unitMs, capacity }: Pace): Millis {
    return Math.max(this.#freeAt, now - capacity * unitMs);
  }
}

/** How long a request takes of its venue's pace. */
export const paceMsOf = (pace: Pace | undefined): Millis =>
  pace === undefined ? 0 : pace.weight * pace.unitMs;
