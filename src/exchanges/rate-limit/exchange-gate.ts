/**
 * One venue's gate: a single queue (request-queue.ts) in front of one decision, when a request may leave
 * (departure-times.ts).
 */
import type { AppError } from '../../errors.js';
import { Distribution } from '../../lib/distribution.js';
import type { ExchangeId, Millis } from '../../schemas/common.js';
import { LANES, VenueBudget, VenuePace, type Ahead } from './budget.js';
import { VenueLimits, type At } from './cool-down.js';
import { DepartureTimes, type Departure, type GateRequest } from './departure-times.js';
import type { SharedBudget } from './shared-budget.js';
import { SharedCount } from './shared-count.js';
import {
  budgetExhausted,
  givenUpWaiting,
  type AdmitRequest,
  type BeyondBudget,
  type Booking,
  type BookRequest,
  type GateState,
  type UpstreamGate,
  type UpstreamGateOptions,
  type UpstreamOutcome,
} from './upstream-gate.js';
import { MAX_WAITING, RequestQueue, type Candidate, type QueueEntry } from './request-queue.js';

interface ExchangeGateOptions {
  readonly exchange: ExchangeId;
  readonly budget: UpstreamGateOptions['budget'];
  readonly now: () => Millis;
  readonly wall: () => Millis;
  readonly onChange: (state: GateState) => void;
  readonly restored: GateState | undefined;
  readonly shared: SharedBudget | undefined;
}

/** Upper bounds of waits for the shared count, in seconds: an answer of Redis, the venue's pace, the next window. */
const WAITS_S = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 2.5, 10, 60];

const NONE_AHEAD: Ahead = { all: 0, sameLane: 0, paceMs: 0 };

class ExchangeGate {
  readonly #exchange: ExchangeId;
  readonly #now: () => Millis;
  readonly #wall: () => Millis;
  readonly #onChange: (state: GateState) => void;
  readonly #budget: VenueBudget;
  readonly #limits: VenueLimits;
  readonly #times: DepartureTimes;
  readonly #queue = new RequestQueue();
  readonly #booked = new WeakMap<Booking, QueueEntry>();
  /** Where several servers share one count. */
  readonly #shared: SharedCount | undefined;
  /** Of requests that left, where several servers share one count. */
  readonly #waits = new Distribution(WAITS_S);
  #timer: NodeJS.Timeout | undefined;

  constructor({ exchange, budget, now, wall, onChange, restored, shared }: ExchangeGateOptions) {
    this.#exchange = exchange;
    this.#now = now;
    this.#wall = wall;
    this.#onChange = onChange;
    this.#budget = new VenueBudget(budget, { restored, lateMs: shared?.lateMs });
    this.#limits = new VenueLimits(exchange, restored);
    const terms = { exchange, budget: this.#budget, limits: this.#limits, pace: new VenuePace(now()) };
    if (shared !== undefined)
      this.#shared = new SharedCount({
        ...{ ...terms, shared, at: () => this.#at() },
        restrained: (coolDown) => {
          if (coolDown) this.#refuseAll();
          this.#onChange(this.state());
        },
        changed: () => this.#release(),
      });
    this.#times = new DepartureTimes({ ...terms, shared: this.#shared });
  }

  async admit({ kind, priority, deadline, signal, client = '', booking, pace }: AdmitRequest): Promise<void> {
    if (signal?.aborted === true) throw givenUpWaiting(this.#exchange, signal);
    // A slot may be free whose timer is late; those who wait for it go first.
    this.#release();
    const now = this.#now();
    const booked = this.#entryOf(booking);
    const lane = booked?.lane ?? LANES[priority];
    const reserved = kind === 'markets' && this.#times.hasReserve(this.#queue, now);
    const request = { lane, client, reserved, pace };
    const refusal = this.#refusal(request, deadline, booked);
    if (refusal !== null) throw refusal;
    const isShared = this.#shared?.isShared === true;
    if (!isShared && this.#times.leavesAt(request, now, this.#queue.before(request, booked)) <= now) {
      this.#times.count(request, now);
      if (booked !== undefined) {
        this.#queue.left(booked);
        this.#queue.done(booked);
      }
      this.#waited(now);
      return;
    }
    const entry = booked ?? { lane, client, reserved, deadline, outstanding: 1, waiters: [] };
    if (booked === undefined) {
      this.#displace(entry);
      // A request that costs more of the venue's pace puts its client further back.
      this.#queue.join(entry, pace === undefined || pace.weight === 0 ? 1 : pace.weight);
    }
    const wait = this.#queue.wait(entry, pace, signal, (aborted, settle) => {
      settle(givenUpWaiting(this.#exchange, aborted));
      this.#release();
    });
    if (isShared) this.#release();
    else this.#schedule();
    await wait;
    this.#waited(now);
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
    if (now < this.#limits.coolDownUntil) throw this.#times.rateLimited(this.#limits.coolDownUntil - now);
    const candidate = { lane, client, reserved: false };
    const { all, sameLane } = this.#queue.before(candidate);
    const last = { all: all + requests - 1, sameLane: sameLane + requests - 1, paceMs: 0 };
    const lastSlot = this.#times.slotAt(candidate, now, last);
    const isQueueFull = this.#queue.outstanding + requests > MAX_WAITING;
    if (lastSlot > now && (lastSlot > deadline || isQueueFull))
      throw this.#times.noSlotBefore(lastSlot, lane, now);
    const entry: QueueEntry = { ...candidate, deadline, outstanding: requests, waiters: [] };
    this.#queue.join(entry, requests);
    const full = (await this.#shared?.book(entry)) ?? null;
    if (full !== null) {
      this.#queue.close(entry);
      const left = this.#limits.coolDownUntil - this.#now();
      throw left > 0
        ? this.#times.rateLimited(left)
        : budgetExhausted(this.#exchange, Math.max(1, full.retryInMs));
    }
    const booking: Booking = {
      release: () => {
        this.#shared?.unbook(entry);
        this.#queue.close(entry);
        this.#release();
      },
    };
    this.#booked.set(booking, entry);
    return booking;
  }

  report(outcome: UpstreamOutcome): void {
    const at = this.#at();
    const { coolDown, nearLimit } = this.#limits.observe(outcome, at);
    if (!nearLimit && !coolDown) return;
    // The other servers first: until they know, they go on sending requests to the venue.
    this.#shared?.report(this.#limits.restraint(at.now));
    if (coolDown) this.#refuseAll();
    this.#onChange(this.state());
  }

  state(): GateState {
    const now = this.#now();
    const { budget, ...used } = this.#budget.state(now);
    const { buckets, counts, sum } = this.#waits;
    const shared = this.#shared && {
      shared: { isShared: this.#shared.isShared, waits: { buckets, counts: [...counts], sum } },
    };
    return {
      exchange: this.#exchange,
      waiting: this.#queue.waiting,
      ...this.#limits.state(now),
      ...used,
      budget: { ...budget, ...shared },
    };
  }

  close(): void {
    const refusal = budgetExhausted(this.#exchange, 0);
    for (const entry of this.#queue.entries) this.#queue.refuse(entry, refusal);
    this.#schedule();
  }

  #waited(since: Millis): void {
    if (this.#shared !== undefined) this.#waits.observe((this.#now() - since) / 1000);
  }

  #at(): At {
    return { now: this.#now(), wall: this.#wall() };
  }

  /** A cool-down has begun: every request that waits is refused. */
  #refuseAll(): void {
    const refusal = this.#times.rateLimited(this.#limits.coolDownUntil - this.#now());
    for (const entry of this.#queue.entries) this.#queue.refuse(entry, refusal);
    this.#schedule();
  }

  /** Lets the next request go if the shared count has a slot for it. */
  async #takeShared(shared: SharedCount, { entry, waiter }: Departure): Promise<void> {
    const granted = await shared.take(entry, waiter);
    const waits = entry.waiters.includes(waiter);
    // A request that was aborted meanwhile has used its slot all the same: the slot cannot safely go to another.
    if (granted === true && waits) waiter.settle(null);
    if (granted === null && waits) {
      const now = this.#now();
      const request = { ...entry, pace: waiter.pace };
      if (this.#times.leavesAt(request, now, NONE_AHEAD) <= now) {
        this.#times.count(request, now);
        waiter.settle(null);
      }
    }
    this.#release();
  }

  /** Why a request may not even wait; null where it may leave or wait. */
  #refusal(request: GateRequest, deadline: Millis, booked: QueueEntry | undefined): AppError | null {
    const now = this.#now();
    const { lane } = request;
    if (now < this.#limits.coolDownUntil) return this.#times.rateLimited(this.#limits.coolDownUntil - now);
    const ahead = this.#queue.before(request, booked);
    const at = this.#times.leavesAt(request, now, ahead);
    if (at <= now) return null;
    const slot = this.#times.slotAt(request, now, ahead);
    const inTime = at <= deadline && (lane.waitsForSlot || slot <= now);
    if (inTime && (booked !== undefined || this.#queue.takes(request))) return null;
    return this.#times.noSlotBefore(at, lane, now, slot <= now);
  }

  /** The queue entry of a booking; undefined without one, or where it is used up: the request is then a candidate. */
  #entryOf(booking: Booking | undefined): QueueEntry | undefined {
    const entry = booking === undefined ? undefined : this.#booked.get(booking);
    return entry !== undefined && entry.outstanding > entry.waiters.length ? entry : undefined;
  }

  #displace(candidate: Candidate): void {
    const displaced = this.#queue.displacedBy(candidate);
    if (displaced === undefined) return;
    const now = this.#now();
    const at = this.#times.slotAt(displaced, now, this.#queue.before(displaced));
    this.#queue.refuse(displaced, budgetExhausted(this.#exchange, at - now));
  }

  /** Lets requests go whose time has come, refuses those past their deadline, and sets the timer for the next such moment. */
  #release(): void {
    const now = this.#now();
    const mayEnd = ({ deadline, lane }: QueueEntry): boolean => deadline < now || !lane.waitsForSlot;
    for (const { entry, ahead } of this.#queue.has(mayEnd) ? this.#queue.positions(mayEnd) : []) {
      const slot = this.#times.slotAt(entry, now, ahead);
      if (entry.deadline < now) this.#queue.refuse(entry, budgetExhausted(this.#exchange, slot - now));
      else if (slot > now) this.#queue.refuse(entry, this.#times.noSlotBefore(slot, entry.lane, now));
    }
    for (;;) {
      const next = this.#times.next(this.#queue, now);
      if (next === undefined || next.at > now) break;
      if (this.#shared?.isPending === true) break;
      if (this.#shared?.isShared === true) {
        void this.#takeShared(this.#shared, next);
        break;
      }
      this.#times.count({ ...next.entry, pace: next.waiter.pace }, now);
      next.waiter.settle(null);
    }
    this.#schedule();
  }

  #schedule(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const now = this.#now();
    const next = this.#times.next(this.#queue, now);
    if (next === undefined) return;
    // A pending answer of the shared count calls #release itself.
    const leavesAt = this.#shared?.isPending === true ? Infinity : next.at;
    const wakeAt = Math.min(leavesAt, this.#queue.earliestDeadline + 1);
    if (wakeAt === Infinity) return;
    this.#timer = setTimeout(() => this.#release(), Math.max(1, Math.ceil(wakeAt - now)));
    this.#timer.unref();
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
