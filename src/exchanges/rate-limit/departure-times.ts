/**
 * When a request may leave for one venue, and why not before: a function of the budget and CCXT's pace (budget.ts), of
 * the venue's own limits (cool-down.ts), of the count that several servers share, and of the request's lane.
 */
import type { AppError } from '../../errors.js';
import type { ExchangeId, Millis } from '../../schemas/common.js';
import { LANES, type Ahead, type Lane, type VenueBudget, type VenuePace } from './budget.js';
import type { VenueLimits } from './cool-down.js';
import type { Candidate, QueueEntry, RequestQueue, Waiter } from './request-queue.js';
import type { Pace } from './shared-budget.js';
import type { SharedCount } from './shared-count.js';
import { budgetExhausted, rateLimited } from './upstream-gate.js';

/** A request before the gate. Without a pace it is bounded by the budget alone. */
export interface GateRequest extends Candidate {
  readonly pace: Pace | undefined;
}

/** A request that waits, and when it leaves if it is the next one. */
export interface Departure {
  readonly entry: QueueEntry;
  readonly waiter: Waiter;
  readonly at: Millis;
}

export interface DepartureTerms {
  readonly exchange: ExchangeId;
  readonly budget: VenueBudget;
  readonly pace: VenuePace;
  readonly limits: VenueLimits;
  /** undefined: this server counts alone. */
  readonly shared: SharedCount | undefined;
}

/** All instants are of the gate's clock. */
export class DepartureTimes {
  readonly #terms: DepartureTerms;

  constructor(terms: DepartureTerms) {
    this.#terms = terms;
  }

  /**
   * When a request with so many before it has a slot, by the budget, by the wait near the venue's limit and by the shared
   * count; `now` or earlier: at once.
   */
  slotAt({ lane, reserved }: Omit<Candidate, 'client'>, now: Millis, ahead: Ahead): Millis {
    const { budget, limits, shared } = this.#terms;
    const slot = reserved ? now : budget.slotAt(lane, now, ahead);
    return Math.max(slot, limits.nearLimitUntil(reserved ? LANES.caller : lane), shared?.fullUntil ?? 0);
  }

  /** By the venue's pace too. A request out of the reserve does not wait behind those that wait for a slot. */
  leavesAt({ pace, ...candidate }: Omit<GateRequest, 'client'>, now: Millis, ahead: Ahead): Millis {
    const paceMs = candidate.reserved ? 0 : ahead.paceMs;
    const freeAt = this.#terms.pace.freeAt(now, this.#allowed(pace), paceMs);
    return Math.max(this.slotAt(candidate, now, ahead), freeAt);
  }

  /** What several servers save up together, none of them may take alone. */
  #allowed(pace: Pace | undefined): Pace | undefined {
    const { shared } = this.#terms;
    return pace === undefined || shared === undefined || shared.isShared ? pace : { ...pace, capacity: 1 };
  }

  /**
   * The request that leaves next. Only the first of each lane can be it, or the first that leaves out of the reserve:
   * those behind it wait for no less.
   */
  next(queue: RequestQueue, now: Millis): Departure | undefined {
    let next: Departure | undefined;
    const seen = new Set<Lane | 'reserve'>();
    const isFirst = ({ waiters, reserved, lane }: QueueEntry): boolean => {
      const kind = reserved ? 'reserve' : lane;
      if (waiters.length === 0 || seen.has(kind)) return false;
      seen.add(kind);
      return true;
    };
    for (const { entry, ahead } of queue.positions(isFirst)) {
      const [waiter] = entry.waiters;
      if (waiter === undefined) continue;
      const at = this.leavesAt({ ...entry, pace: waiter.pace }, now, { ...ahead, paceMs: 0 });
      if (next === undefined || at < next.at) next = { entry, waiter, at };
      if (at <= now) return next;
    }
    return next;
  }

  /** Whether one more request for a market list may leave out of the reserve, beside those of the queue. */
  hasReserve(queue: RequestQueue, now: Millis): boolean {
    const { budget, limits } = this.#terms;
    return now >= limits.nearLimitUntil(LANES.caller) && budget.hasReserve(now, queue.reserved);
  }

  /** The request leaves now by this server's own count; the shared count has not been asked. */
  count({ lane, reserved, pace }: Omit<GateRequest, 'client'>, now: Millis): void {
    const { budget, pace: venuePace, shared } = this.#terms;
    venuePace.take(now, this.#allowed(pace));
    if (reserved) budget.takeReserve(now);
    else budget.take(now, lane.countsAsPoll);
    shared?.departed(lane, reserved);
  }

  /** Why a request of this lane may not leave before `at`. `paced`: it is the pace, and not the budget. */
  noSlotBefore(at: Millis, lane: Lane, ...[now, paced = false]: readonly [Millis, boolean?]): AppError {
    const { exchange, limits } = this.#terms;
    const isNearLimit = now < limits.nearLimitUntil(lane);
    return isNearLimit ? this.rateLimited(at - now) : budgetExhausted(exchange, at - now, paced);
  }

  rateLimited(retryAfterMs: Millis): AppError {
    const { exchange, limits } = this.#terms;
    const { coolDownStatus: status, coolDownReason: reason } = limits;
    return rateLimited(exchange, { retryAfterMs, status, reason });
  }
}
