/**
 * One venue's part of the count that several servers share, beside the venue's gate: asks it whether a request may
 * leave, and adopts into the gate's own budget, pace and cool-down what the other servers have sent and been answered.
 */
import type { ExchangeId, Millis } from '../../schemas/common.js';
import type { Lane, VenueBudget, VenuePace } from './budget.js';
import type { At, VenueLimits } from './cool-down.js';
import type { QueueEntry, Waiter } from './request-queue.js';
import type { SharedAnswer, SharedBudget, SharedEntry, SharedRestraint } from './shared-budget.js';
import type { WindowEntry } from './upstream-gate.js';

export interface SharedCountOptions {
  readonly exchange: ExchangeId;
  readonly shared: SharedBudget;
  readonly budget: VenueBudget;
  readonly pace: VenuePace;
  readonly limits: VenueLimits;
  readonly at: () => At;
  /** Another server was refused, or is near the venue's limit. `coolDown`: one began or became longer. */
  readonly restrained: (coolDown: boolean) => void;
  /** From now on servers share one count, or each keeps to its share. */
  readonly changed: () => void;
}

let bookings = 0;

const entriesAt = (entries: readonly SharedEntry[], now: Millis): WindowEntry[] =>
  entries.map(({ ageMs, ...counts }) => ({ at: now - ageMs, ...counts }));

const agesAt = (entries: readonly WindowEntry[], now: Millis): SharedEntry[] =>
  entries.map(({ at, ...counts }) => ({ ageMs: now - at, ...counts }));

export class SharedCount {
  readonly #options: SharedCountOptions;
  readonly #shared: SharedBudget;
  /** Ids of the bookings that the shared count holds. */
  readonly #booked = new WeakMap<QueueEntry, string>();
  #fullUntil: Millis = 0;
  #isPending = false;

  constructor(options: SharedCountOptions) {
    const { exchange, shared, budget, limits, at, restrained, changed } = options;
    this.#options = options;
    this.#shared = shared;
    shared.listen(exchange, {
      departed: (request) => budget.takenElsewhere(at().now, request),
      restrained: (restraint) => restrained(limits.adopt(restraint, at())),
      changed: () => {
        budget.cost = shared.isShared ? 1 : shared.servers;
        changed();
      },
      snapshot: () => {
        const { now } = at();
        const { used, reserveUsed } = budget.state(now);
        return {
          used: agesAt(used, now),
          reserveUsed: agesAt(reserveUsed, now),
          restraint: limits.restraint(now),
        };
      },
    });
  }

  /** false: the shared count does not answer. */
  get isShared(): boolean {
    return this.#shared.isShared;
  }

  /** An answer is awaited. Only one request is asked for at a time: which one is next depends on the answer. */
  get isPending(): boolean {
    return this.#isPending;
  }

  /** Until when the shared count has no slot for reasons that the window does not show. */
  get fullUntil(): Millis {
    return this.isShared ? this.#fullUntil : 0;
  }

  /** Asks for one request to leave now, which then counts. null: there was no answer. */
  async take(entry: QueueEntry, { pace }: Waiter): Promise<boolean | null> {
    this.#isPending = true;
    const { lane, reserved: reserve } = entry;
    const booking = this.#booked.get(entry);
    const answer = await this.#shared.take({ ...this.#claimOf(lane), reserve, pace, booking });
    this.#isPending = false;
    if (answer === null) return null;
    this.#adopt(answer);
    if (!answer.granted) this.#fullUntil = this.#options.at().now + answer.retryInMs;
    return answer.granted;
  }

  /** Keeps slots for all requests of the entry. null: they are kept, or there was no answer; else when to ask again. */
  async book(entry: QueueEntry): Promise<{ readonly retryInMs: Millis } | null> {
    if (!this.isShared) return null;
    const { lane, deadline, outstanding: requests } = entry;
    const id = String((bookings += 1));
    const claim = { ...this.#claimOf(lane), id, requests, withinMs: deadline - this.#options.at().now };
    const answer = await this.#shared.book(claim);
    if (answer === null) return null;
    this.#adopt(answer);
    if (!answer.granted) return { retryInMs: answer.retryInMs };
    this.#booked.set(entry, id);
    return null;
  }

  unbook(entry: QueueEntry): void {
    const id = this.#booked.get(entry);
    if (id !== undefined) this.#shared.unbook(this.#options.exchange, id);
  }

  /** A request has left without the shared count having been asked. */
  departed(lane: Lane, reserve: boolean): void {
    this.#shared.departed(this.#options.exchange, { poll: lane.countsAsPoll, reserve });
  }

  report(restraint: SharedRestraint): void {
    this.#shared.report(this.#options.exchange, restraint);
  }

  #claimOf(lane: Lane): {
    readonly exchange: ExchangeId;
    readonly poll: boolean;
    readonly pollLimit: number | null;
  } {
    const { exchange, budget } = this.#options;
    return { exchange, poll: lane.countsAsPoll, pollLimit: budget.pollLimit(lane) };
  }

  #adopt({ use, restraint }: SharedAnswer): void {
    const { budget, pace, limits, at, restrained } = this.#options;
    const { now } = at();
    const { used, reserveUsed, limit, paceFreeInMs } = use;
    budget.adopt({ used: entriesAt(used, now), reserveUsed: entriesAt(reserveUsed, now), limit });
    pace.adopt(now + paceFreeInMs);
    if (restraint !== null && limits.adopt(restraint, at())) restrained(true);
  }
}
