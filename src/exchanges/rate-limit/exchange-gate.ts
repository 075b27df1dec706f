/** One venue's gate: who may leave, who waits, who is refused. Used through upstream-gate.ts. */
import type { AppError } from '../../errors.js';
import type { ExchangeId, Millis } from '../../schemas/common.js';
import { budgetExhausted, givenUpWaiting, rateLimited } from './gate-refusals.js';
import type {
  AdmitRequest,
  Booking,
  BookRequest,
  GateState,
  UpstreamGateOptions,
  UpstreamOutcome,
} from './upstream-gate.js';
import { VenueRestraint } from './venue-restraint.js';
import { VenueSlots } from './venue-slots.js';
import { WaitingLine, type Ahead, type Newcomer, type Place, type Settle } from './waiting-line.js';

/** Requests of one venue that may wait for a slot or have one booked; more are refused at once. */
const MAX_WAITING = 1000;

interface ExchangeGateOptions {
  readonly exchange: ExchangeId;
  readonly budget: UpstreamGateOptions['budget'];
  readonly now: () => Millis;
  readonly wall: () => Millis;
  readonly onChange: (state: GateState) => void;
  readonly restored: GateState | undefined;
}

export class ExchangeGate {
  readonly #exchange: ExchangeId;
  readonly #now: () => Millis;
  readonly #wall: () => Millis;
  readonly #onChange: (state: GateState) => void;
  readonly #slots: VenueSlots;
  readonly #restraint: VenueRestraint;
  readonly #line = new WaitingLine();
  readonly #booked = new WeakMap<Booking, Place>();
  #timer: NodeJS.Timeout | undefined;

  constructor({ exchange, budget, now, wall, onChange, restored }: ExchangeGateOptions) {
    this.#exchange = exchange;
    this.#now = now;
    this.#wall = wall;
    this.#onChange = onChange;
    this.#slots = new VenueSlots(budget, restored);
    this.#restraint = new VenueRestraint(exchange, restored);
  }

  async admit(request: AdmitRequest): Promise<void> {
    const { kind, priority, deadline, signal, client = '' } = request;
    if (signal?.aborted === true) throw givenUpWaiting(this.#exchange, signal);
    // A slot may be free whose timer is late; those who wait for it go first.
    this.#release();
    const refusal = this.refusal(request);
    if (refusal !== null) throw refusal;
    const now = this.#now();
    if (this.#hasReserve(kind, now)) {
      this.#slots.takeReserve(now);
      return;
    }
    if (priority === 'backfill') {
      // `refusal` has found room for it, and nobody who waits.
      this.#slots.take(now, false);
      return;
    }
    const booked = this.#placeOf(request.booking);
    const poll = booked?.poll ?? priority === 'poll';
    if (this.#slotFor(poll, now, this.#line.before({ poll, client }, booked)) <= now) {
      this.#slots.take(now, poll);
      if (booked !== undefined) {
        this.#line.left(booked);
        this.#line.served(booked);
      }
      return;
    }
    const place = booked ?? { poll, client, deadline, owed: 1, waiters: [] };
    if (booked === undefined) {
      this.#makeRoom(place);
      this.#line.join(place);
    }
    await this.#wait(place, signal);
  }

  refusal({
    kind,
    priority,
    deadline,
    booking,
    client = '',
  }: Omit<AdmitRequest, 'exchange' | 'signal'>): AppError | null {
    const now = this.#now();
    if (now < this.#restraint.coolDownUntil) return this.#rateLimited(this.#restraint.coolDownUntil - now);
    if (this.#hasReserve(kind, now)) return null;
    if (priority === 'backfill') {
      const free = Math.max(
        this.#slotFor(false, now, this.#line.before({ poll: false, client })),
        this.#slotFor(true, now, this.#line.before({ poll: true, client })),
      );
      return free <= now && this.#line.owed === 0 ? null : this.#noSlotBefore(Math.max(free, now + 1), true);
    }
    const booked = this.#placeOf(booking);
    const poll = booked?.poll ?? priority === 'poll';
    const at = this.#slotFor(poll, now, this.#line.before({ poll, client }, booked));
    const full = booked === undefined && this.#isFull({ poll, client });
    return at <= now || (at <= deadline && !full) ? null : this.#noSlotBefore(at, poll);
  }

  book({ priority, deadline, requests, client = '' }: Omit<BookRequest, 'exchange'>): Booking {
    this.#release();
    const now = this.#now();
    if (now < this.#restraint.coolDownUntil) throw this.#rateLimited(this.#restraint.coolDownUntil - now);
    const poll = priority === 'poll';
    const { all, polls } = this.#line.before({ poll, client });
    const lastSlot = this.#slotFor(poll, now, { all: all + requests - 1, polls: polls + requests - 1 });
    const full = this.#line.owed + requests > MAX_WAITING;
    if (lastSlot > now && (lastSlot > deadline || full)) throw this.#noSlotBefore(lastSlot, poll);
    const place: Place = { poll, client, deadline, owed: requests, waiters: [] };
    this.#line.join(place);
    const booking: Booking = {
      release: () => {
        this.#line.close(place);
        this.#release();
      },
    };
    this.#booked.set(booking, place);
    return booking;
  }

  most({ priority, deadline }: Omit<BookRequest, 'exchange' | 'requests'>): number {
    return this.#slots.most(priority === 'poll', deadline - this.#now());
  }

  report(outcome: UpstreamOutcome): void {
    const now = this.#now();
    const { coolDown, brake } = this.#restraint.hear(outcome, { now, wall: this.#wall() });
    if (coolDown) {
      const refusal = this.#rateLimited(this.#restraint.coolDownUntil - now);
      for (const place of this.#line.places) this.#line.refuse(place, refusal);
      this.#schedule();
    }
    if (brake || coolDown) this.#onChange(this.state());
  }

  state(): GateState {
    const now = this.#now();
    return {
      exchange: this.#exchange,
      waiting: this.#line.waiting,
      ...this.#restraint.state(now),
      ...this.#slots.state(now),
    };
  }

  #hasReserve(kind: AdmitRequest['kind'], now: Millis): boolean {
    return kind === 'markets' && now >= this.#restraint.brakeUntil(false) && this.#slots.hasReserve(now);
  }

  /** Where a request of a booking stands; undefined where it has none, or has used it up: it is a newcomer then. */
  #placeOf(booking: Booking | undefined): Place | undefined {
    const place = booking === undefined ? undefined : this.#booked.get(booking);
    return place !== undefined && place.owed > place.waiters.length ? place : undefined;
  }

  /** Full for a newcomer: nobody has more places than its client would. */
  #isFull(newcomer: Newcomer): boolean {
    return this.#line.owed >= MAX_WAITING && this.#line.displacedBy(newcomer) === undefined;
  }

  #makeRoom(newcomer: Newcomer): void {
    if (this.#line.owed < MAX_WAITING) return;
    const displaced = this.#line.displacedBy(newcomer);
    if (displaced === undefined) return;
    const now = this.#now();
    const at = this.#slotFor(displaced.poll, now, this.#line.before(displaced));
    this.#line.refuse(displaced, budgetExhausted(this.#exchange, at - now));
  }

  #slotFor(poll: boolean, now: Millis, ahead: Ahead): Millis {
    return Math.max(this.#slots.slotAt(poll, now, ahead), this.#restraint.brakeUntil(poll));
  }

  #wait(place: Place, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const onAbort = (): void => {
        if (signal !== undefined) settle(givenUpWaiting(this.#exchange, signal));
        this.#release();
      };
      const settle: Settle = (error) => {
        place.waiters.splice(place.waiters.indexOf(settle), 1);
        if (error === null) this.#line.left(place);
        this.#line.served(place);
        signal?.removeEventListener('abort', onAbort);
        if (error === null) resolve();
        else reject(error);
      };
      place.waiters.push(settle);
      signal?.addEventListener('abort', onAbort, { once: true });
      this.#schedule();
    });
  }

  /** Lets go whoever has a slot, refuses whoever has run out of time, and sleeps until the next such moment. */
  #release(): void {
    const now = this.#now();
    for (const place of this.#line.places) {
      if (place.deadline >= now) continue;
      const at = this.#slotFor(place.poll, now, this.#line.before(place));
      this.#line.refuse(place, budgetExhausted(this.#exchange, at - now));
    }
    for (const poll of [false, true]) {
      for (let next = this.#line.next(poll); next !== undefined; next = this.#line.next(poll)) {
        if (this.#slotFor(poll, now, next.ahead) > now) break;
        this.#slots.take(now, poll);
        next.settle(null);
      }
    }
    this.#schedule();
  }

  #schedule(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const now = this.#now();
    const wakeAt = this.#line.places.flatMap(({ deadline, waiters }) =>
      waiters.length > 0 ? [deadline + 1] : [],
    );
    if (wakeAt.length === 0) return;
    for (const poll of [false, true]) {
      const next = this.#line.next(poll);
      if (next !== undefined) wakeAt.push(this.#slotFor(poll, now, next.ahead));
    }
    this.#timer = setTimeout(() => this.#release(), Math.max(1, Math.min(...wakeAt) - now));
    this.#timer.unref();
  }

  #noSlotBefore(at: Millis, poll: boolean): AppError {
    const now = this.#now();
    const braked = now < this.#restraint.brakeUntil(poll);
    return braked ? this.#rateLimited(at - now) : budgetExhausted(this.#exchange, at - now);
  }

  #rateLimited(retryAfterMs: Millis): AppError {
    const { coolDownStatus: status, coolDownReason: reason } = this.#restraint;
    return rateLimited(this.#exchange, { retryAfterMs, status, reason });
  }
}
