/**
 * One venue's gate: a single queue in front of its cool-down, this server's budget and CCXT's pace. The decision is a
 * function of these and of the lane (budget.ts); who waits is in request-queue.ts.
 */
import type { AppError } from '../../errors.js';
import type { ExchangeId, Millis } from '../../schemas/common.js';
import { LANES, VenueBudget, VenuePace, type Ahead, type Lane } from './budget.js';
import { VenueLimits, type At } from './cool-down.js';
import type { Pace } from './pace.js';
import type { SharedBudget } from './shared-budget.js';
import { SharedCount } from './shared-count.js';
import {
  budgetExhausted,
  givenUpWaiting,
  rateLimited,
  type AdmitRequest,
  type BeyondBudget,
  type Booking,
  type BookRequest,
  type GateState,
  type UpstreamGate,
  type UpstreamGateOptions,
  type UpstreamOutcome,
} from './upstream-gate.js';
import { MAX_WAITING, RequestQueue, type Candidate, type Place, type Waiter } from './request-queue.js';

interface ExchangeGateOptions {
  readonly exchange: ExchangeId;
  readonly budget: UpstreamGateOptions['budget'];
  readonly now: () => Millis;
  readonly wall: () => Millis;
  readonly onChange: (state: GateState) => void;
  readonly restored: GateState | undefined;
  readonly shared: SharedBudget | undefined;
}

/** A request that asks to leave. */
interface Asking extends Candidate {
  readonly pace: Pace | undefined;
}

const NONE_AHEAD: Ahead = { all: 0, sameLane: 0, paceMs: 0 };

/** A request that waits, and when it leaves if it is the next one. */
interface Departure {
  readonly place: Place;
  readonly waiter: Waiter;
  readonly at: Millis;
}

class ExchangeGate {
  readonly #exchange: ExchangeId;
  readonly #now: () => Millis;
  readonly #wall: () => Millis;
  readonly #onChange: (state: GateState) => void;
  readonly #budget: VenueBudget;
  readonly #pace: VenuePace;
  readonly #limits: VenueLimits;
  readonly #queue = new RequestQueue();
  readonly #booked = new WeakMap<Booking, Place>();
  /** Where several servers count together. */
  readonly #shared: SharedCount | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor({ exchange, budget, now, wall, onChange, restored, shared }: ExchangeGateOptions) {
    this.#exchange = exchange;
    this.#now = now;
    this.#wall = wall;
    this.#onChange = onChange;
    this.#budget = new VenueBudget(budget, { restored, lateMs: shared?.lateMs });
    this.#pace = new VenuePace(now());
    this.#limits = new VenueLimits(exchange, restored);
    if (shared === undefined) return;
    this.#shared = new SharedCount({
      ...{ exchange, shared, budget: this.#budget, pace: this.#pace, limits: this.#limits },
      at: () => this.#at(),
      restrained: (coolDown) => {
        if (coolDown) this.#refuseAll();
        this.#onChange(this.state());
      },
      changed: () => this.#release(),
    });
  }

  async admit({ kind, priority, deadline, signal, client = '', booking, pace }: AdmitRequest): Promise<void> {
    if (signal?.aborted === true) throw givenUpWaiting(this.#exchange, signal);
    // A slot may be free whose timer is late; those who wait for it go first.
    this.#release();
    const now = this.#now();
    const booked = this.#placeOf(booking);
    const lane = booked?.lane ?? LANES[priority];
    const asking = { lane, client, reserved: this.#hasReserve(kind, now), pace };
    const refusal = this.#refusal(asking, deadline, booked);
    if (refusal !== null) throw refusal;
    const asks = this.#shared?.isShared === true;
    if (!asks && this.#leavesAt(asking, now, this.#queue.before(asking, booked)) <= now) {
      this.#leaveUnasked(asking, now);
      if (booked !== undefined) {
        this.#queue.left(booked);
        this.#queue.done(booked);
      }
      return;
    }
    const place = booked ?? {
      lane,
      client,
      reserved: asking.reserved,
      deadline,
      outstanding: 1,
      waiters: [],
    };
    if (booked === undefined) {
      this.#displace(place);
      // A request that costs more of the venue's pace puts its client further back.
      this.#queue.join(place, pace === undefined || pace.weight === 0 ? 1 : pace.weight);
    }
    const wait = this.#queue.wait(place, pace, signal, (aborted, settle) => {
      settle(givenUpWaiting(this.#exchange, aborted));
      this.#release();
    });
    if (asks) this.#release();
    else this.#schedule();
    await wait;
  }

  async book({
    priority,
    deadline,
    requests,
    client = '',
  }: Omit<BookRequest, 'exchange'>): Promise<Booking | BeyondBudget> {
    this.#release();
    const now = this.#now();
    const lane = LANES[priority];
    const most = this.#budget.most(lane, deadline - now);
    if (requests > most) return { most };
    if (now < this.#limits.coolDownUntil) throw this.#rateLimited(this.#limits.coolDownUntil - now);
    const candidate = { lane, client, reserved: false };
    const { all, sameLane } = this.#queue.before(candidate);
    const last = { all: all + requests - 1, sameLane: sameLane + requests - 1, paceMs: 0 };
    const lastSlot = this.#slotAt(candidate, now, last);
    const isQueueFull = this.#queue.outstanding + requests > MAX_WAITING;
    if (lastSlot > now && (lastSlot > deadline || isQueueFull)) throw this.#noSlotBefore(lastSlot, lane);
    const place: Place = { ...candidate, deadline, outstanding: requests, waiters: [] };
    this.#queue.join(place, requests);
    const full = (await this.#shared?.book(place)) ?? null;
    if (full !== null) {
      this.#queue.close(place);
      const left = this.#limits.coolDownUntil - this.#now();
      throw left > 0 ? this.#rateLimited(left) : budgetExhausted(this.#exchange, Math.max(1, full.retryInMs));
    }
    const booking: Booking = {
      release: () => {
        this.#shared?.unbook(place);
        this.#queue.close(place);
        this.#release();
      },
    };
    this.#booked.set(booking, place);
    return booking;
  }

  report(outcome: UpstreamOutcome): void {
    const at = this.#at();
    const { coolDown, nearLimit } = this.#limits.observe(outcome, at);
    if (!nearLimit && !coolDown) return;
    // The other servers first: until they know, they go on asking the venue.
    this.#shared?.report(this.#limits.told(at.now));
    if (coolDown) this.#refuseAll();
    this.#onChange(this.state());
  }

  state(): GateState {
    const now = this.#now();
    return {
      exchange: this.#exchange,
      waiting: this.#queue.waiting,
      ...this.#limits.state(now),
      ...this.#budget.state(now),
    };
  }

  close(): void {
    const refusal = budgetExhausted(this.#exchange, 0);
    for (const place of this.#queue.places) this.#queue.refuse(place, refusal);
    this.#schedule();
  }

  #at(): At {
    return { now: this.#now(), wall: this.#wall() };
  }

  /** The venue cools down: nobody waits. */
  #refuseAll(): void {
    const refusal = this.#rateLimited(this.#limits.coolDownUntil - this.#now());
    for (const place of this.#queue.places) this.#queue.refuse(place, refusal);
    this.#schedule();
  }

  /** Lets the next request go if the shared count has a slot for it. */
  async #ask(shared: SharedCount, { place, waiter }: Departure): Promise<void> {
    const granted = await shared.take(place, waiter);
    const waits = place.waiters.includes(waiter);
    // Whoever has given up meanwhile has used its slot all the same: nothing tells whether another may have it.
    if (granted === true && waits) waiter.settle(null);
    if (granted === null && waits) {
      const now = this.#now();
      const asking = { ...place, pace: waiter.pace };
      if (this.#leavesAt(asking, now, NONE_AHEAD) <= now) {
        this.#leaveUnasked(asking, now);
        waiter.settle(null);
      }
    }
    this.#release();
  }

  /** Why a request may not even wait; null where it may leave or wait. */
  #refusal(asking: Asking, deadline: Millis, booked: Place | undefined): AppError | null {
    const now = this.#now();
    const { lane } = asking;
    if (now < this.#limits.coolDownUntil) return this.#rateLimited(this.#limits.coolDownUntil - now);
    const ahead = this.#queue.before(asking, booked);
    const at = this.#leavesAt(asking, now, ahead);
    if (at <= now) return null;
    const slot = this.#slotAt(asking, now, ahead);
    const inTime = at <= deadline && (lane.waitsForSlot || slot <= now);
    if (inTime && (booked !== undefined || this.#queue.takes(asking))) return null;
    return this.#noSlotBefore(at, lane, slot <= now);
  }

  #hasReserve(kind: AdmitRequest['kind'], now: Millis): boolean {
    if (kind !== 'markets' || now < this.#limits.nearLimitUntil(LANES.caller)) return false;
    return this.#budget.hasReserve(now, this.#queue.reserved);
  }

  /** Where a request of a booking stands; undefined where it has none, or has used it up: it is a candidate then. */
  #placeOf(booking: Booking | undefined): Place | undefined {
    const place = booking === undefined ? undefined : this.#booked.get(booking);
    return place !== undefined && place.outstanding > place.waiters.length ? place : undefined;
  }

  #displace(candidate: Candidate): void {
    const displaced = this.#queue.displacedBy(candidate);
    if (displaced === undefined) return;
    const now = this.#now();
    const at = this.#slotAt(displaced, now, this.#queue.before(displaced));
    this.#queue.refuse(displaced, budgetExhausted(this.#exchange, at - now));
  }

  /** By the budget, and the wait near the venue's limit: when a request with so many before it may leave. */
  #slotAt({ lane, reserved }: Omit<Candidate, 'client'>, now: Millis, ahead: Ahead): Millis {
    const slot = reserved ? now : this.#budget.slotAt(lane, now, ahead);
    return Math.max(
      slot,
      this.#limits.nearLimitUntil(reserved ? LANES.caller : lane),
      this.#shared?.fullUntil ?? 0,
    );
  }

  /** By the venue's pace too. A request out of the reserve does not wait behind those that wait for a slot. */
  #leavesAt({ pace, ...candidate }: Omit<Asking, 'client'>, now: Millis, ahead: Ahead): Millis {
    const paceMs = candidate.reserved ? 0 : ahead.paceMs;
    return Math.max(this.#slotAt(candidate, now, ahead), this.#pace.freeAt(now, pace, paceMs));
  }

  /** By this server's own count. */
  #leaveUnasked({ lane, reserved, pace }: Omit<Asking, 'client'>, now: Millis): void {
    this.#pace.take(now, pace);
    if (reserved) this.#budget.takeReserve(now);
    else this.#budget.take(now, lane.countsAsPoll);
    this.#shared?.departed(lane, reserved);
  }

  /** Lets what may leave go, refuses what has run out of time, and sets the timer for the next such moment. */
  #release(): void {
    const now = this.#now();
    for (const { place, ahead } of this.#queue.positions(
      ({ deadline, lane }) => deadline < now || !lane.waitsForSlot,
    )) {
      const slot = this.#slotAt(place, now, ahead);
      if (place.deadline < now) this.#queue.refuse(place, budgetExhausted(this.#exchange, slot - now));
      else if (slot > now) this.#queue.refuse(place, this.#noSlotBefore(slot, place.lane));
    }
    for (let next = this.#next(now); next !== undefined && next.at <= now; next = this.#next(now)) {
      if (this.#shared?.isAsking === true) break;
      if (this.#shared?.isShared === true) {
        void this.#ask(this.#shared, next);
        break;
      }
      this.#leaveUnasked({ ...next.place, pace: next.waiter.pace }, now);
      next.waiter.settle(null);
    }
    this.#schedule();
  }

  /**
   * The request that leaves next. Only the first of each lane can be it, or the first that leaves out of the reserve:
   * those behind it wait for no less.
   */
  #next(now: Millis): Departure | undefined {
    let next: Departure | undefined;
    const seen = new Set<Lane | 'reserve'>();
    const isFirst = ({ waiters, reserved, lane }: Place): boolean => {
      const sort = reserved ? 'reserve' : lane;
      if (waiters.length === 0 || seen.has(sort)) return false;
      seen.add(sort);
      return true;
    };
    for (const { place, ahead } of this.#queue.positions(isFirst)) {
      const [waiter] = place.waiters;
      if (waiter === undefined) continue;
      const at = Math.max(this.#slotAt(place, now, ahead), this.#pace.freeAt(now, waiter.pace, 0));
      if (next === undefined || at < next.at) next = { place, waiter, at };
      if (at <= now) return next;
    }
    return next;
  }

  #schedule(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const now = this.#now();
    const next = this.#next(now);
    if (next === undefined) return;
    // The answer wakes those that wait for it.
    let wakeAt = this.#shared?.isAsking === true ? Infinity : next.at;
    for (const { deadline, waiters } of this.#queue.places)
      if (waiters.length > 0) wakeAt = Math.min(wakeAt, deadline + 1);
    if (wakeAt === Infinity) return;
    this.#timer = setTimeout(() => this.#release(), Math.max(1, Math.ceil(wakeAt - now)));
    this.#timer.unref();
  }

  #noSlotBefore(at: Millis, lane: Lane, paced = false): AppError {
    const now = this.#now();
    const isNearLimit = now < this.#limits.nearLimitUntil(lane);
    return isNearLimit ? this.#rateLimited(at - now) : budgetExhausted(this.#exchange, at - now, paced);
  }

  #rateLimited(retryAfterMs: Millis): AppError {
    const { coolDownStatus: status, coolDownReason: reason } = this.#limits;
    return rateLimited(this.#exchange, { retryAfterMs, status, reason });
  }
}

/** The gates of all exchanges behind one interface, each made when its exchange is first asked for. */
export const createUpstreamGate = ({
  budget,
  now,
  wall = now,
  onChange = () => undefined,
  restored = [],
  shared,
}: UpstreamGateOptions): UpstreamGate => {
  // Bounded by the enabled exchanges: no other is ever asked for.
  const gates = new Map<ExchangeId, ExchangeGate>();
  const gateOf = (exchange: ExchangeId): ExchangeGate => {
    let gate = gates.get(exchange);
    if (gate === undefined) {
      const state = restored.find((candidate) => candidate.exchange === exchange);
      gate = new ExchangeGate({ exchange, budget, now, wall, onChange, restored: state, shared });
      gates.set(exchange, gate);
    }
    return gate;
  };
  return {
    admit: (request) => gateOf(request.exchange).admit(request),
    book: (request) => gateOf(request.exchange).book(request),
    report: (exchange, outcome) => gateOf(exchange).report(outcome),
    state: (exchange) => gateOf(exchange).state(),
    close: () => {
      for (const gate of gates.values()) gate.close();
    },
  };
};
