/** One venue's budget as slots in time: what is spent, what is left, when the next one comes free. */
import type { Millis } from '../../schemas/common.js';
import { RollingWindow } from './rolling-window.js';
import type { GateState } from './upstream-gate.js';
import type { Ahead } from './waiting-line.js';

/** Market loading's own slots per window: a tenth of the budget, but enough for the venue that needs most. */
const MIN_MARKETS_RESERVE = 4;
const MAX_MARKETS_RESERVE = 10;

type SlotState = Pick<GateState, 'budget' | 'used' | 'reserveUsed'>;

export class VenueSlots {
  readonly #budget: { readonly requests: number; readonly windowMs: Millis };
  readonly #pollLimit: number;
  readonly #reserveLimit: number;
  readonly #window: RollingWindow;
  readonly #reserve: RollingWindow;

  constructor(budget: { readonly requests: number; readonly windowMs: Millis }, restored?: SlotState) {
    this.#budget = budget;
    this.#pollLimit = Math.max(1, Math.floor(budget.requests / 2));
    this.#reserveLimit = Math.min(
      Math.max(Math.ceil(budget.requests / 10), MIN_MARKETS_RESERVE),
      MAX_MARKETS_RESERVE,
    );
    this.#window = new RollingWindow(budget.windowMs, restored?.used);
    this.#reserve = new RollingWindow(budget.windowMs, restored?.reserveUsed);
  }

  take(now: Millis, poll: boolean): void {
    this.#window.add(now, poll);
  }

  hasReserve(now: Millis): boolean {
    return this.#reserve.used(now) < this.#reserveLimit;
  }

  takeReserve(now: Millis): void {
    this.#reserve.add(now, false);
  }

  /** When a request with so many before it may leave; `now` or earlier where there is room. */
  slotAt(poll: boolean, now: Millis, ahead: Ahead): Millis {
    const any = this.#window.slotAt(ahead.all + 1, this.#budget.requests, { now, of: 'requests' });
    if (!poll) return any;
    return Math.max(any, this.#window.slotAt(ahead.polls + 1, this.#pollLimit, { now, of: 'polls' }));
  }

  /** Requests of a class that can leave within so much time, if nobody else asks. */
  most(poll: boolean, withinMs: Millis): number {
    const { requests, windowMs } = this.#budget;
    const windows = 1 + Math.max(0, Math.floor(withinMs / windowMs));
    return (poll ? this.#pollLimit : requests) * windows;
  }

  state(now: Millis): SlotState {
    const { requests: limit, windowMs } = this.#budget;
    return {
      budget: { limit, remaining: Math.max(0, limit - this.#window.used(now)), windowMs },
      used: this.#window.entries(now),
      reserveUsed: this.#reserve.entries(now),
    };
  }
}
