/** One venue's budget, queue, cool-down and brake. Used through upstream-gate.ts. */
import { AppError } from '../../../errors.js';
import type { ExchangeId, Millis } from '../../../schemas/common.js';
import { STRIKE_MEMORY_MS, coolDownMs, parseRetryAfter } from './cool-down.js';
import { RollingWindow } from './rolling-window.js';
import { brakeFor } from './used-weight.js';
import type { AdmitRequest, GateState, UpstreamGateOptions, UpstreamOutcome } from './upstream-gate.js';

/** Requests that may wait for a slot of one venue; more are refused at once. */
export const MAX_WAITING = 1000;
/** Market loading's own slots per window: a tenth of the budget, but enough for the venue that needs most. */
const MIN_MARKETS_RESERVE = 4;
const MAX_MARKETS_RESERVE = 10;

interface Waiter {
  readonly deadline: Millis;
  readonly poll: boolean;
  settle(error: AppError | null): void;
}

interface ExchangeGateOptions {
  readonly exchange: ExchangeId;
  readonly budget: UpstreamGateOptions['budget'];
  readonly now: () => Millis;
  readonly onChange: (state: GateState) => void;
  readonly restored: GateState | undefined;
}

export class ExchangeGate {
  readonly #exchange: ExchangeId;
  readonly #now: () => Millis;
  readonly #onChange: (state: GateState) => void;
  readonly #budget: UpstreamGateOptions['budget'];
  readonly #pollLimit: number;
  readonly #reserveLimit: number;
  readonly #window: RollingWindow;
  readonly #reserve: RollingWindow;
  readonly #callers: Waiter[] = [];
  readonly #polls: Waiter[] = [];
  #coolDownUntil: Millis;
  #coolDownStatus: number | null;
  #strikes: number;
  #brakeUntil: { callers: Millis; polls: Millis };
  #timer: NodeJS.Timeout | undefined;

  constructor({ exchange, budget, now, onChange, restored }: ExchangeGateOptions) {
    this.#exchange = exchange;
    this.#now = now;
    this.#onChange = onChange;
    this.#budget = budget;
    this.#pollLimit = Math.max(1, Math.floor(budget.requests / 2));
    this.#reserveLimit = Math.min(
      Math.max(Math.ceil(budget.requests / 10), MIN_MARKETS_RESERVE),
      MAX_MARKETS_RESERVE,
    );
    this.#window = new RollingWindow(budget.windowMs, restored?.used);
    this.#reserve = new RollingWindow(budget.windowMs, restored?.reserveUsed);
    this.#coolDownUntil = restored?.struckUntil ?? 0;
    this.#coolDownStatus = restored?.coolDownStatus ?? null;
    this.#strikes = restored?.strikes ?? 0;
    this.#brakeUntil = { callers: 0, polls: 0, ...restored?.brakeUntil };
  }

  async admit(request: AdmitRequest): Promise<void> {
    const { kind, priority, deadline, signal } = request;
    if (signal?.aborted === true) throw this.#abandoned(signal);
    // A slot may be free whose timer is late; those who wait for it go first.
    this.#release();
    const refusal = this.refusal(request);
    if (refusal !== null) throw refusal;
    const now = this.#now();
    if (this.#hasReserve(kind, now)) {
      this.#reserve.add(now, false);
      return;
    }
    const poll = priority === 'poll';
    if (this.#slotFor(poll, now) <= now) {
      this.#window.add(now, poll);
      return;
    }
    await this.#wait(poll, deadline, signal);
  }

  refusal({ kind, priority, deadline }: Omit<AdmitRequest, 'exchange' | 'signal'>): AppError | null {
    const now = this.#now();
    if (now < this.#coolDownUntil) return this.#rateLimited(this.#coolDownUntil - now);
    if (this.#hasReserve(kind, now)) return null;
    const poll = priority === 'poll';
    const at = this.#slotFor(poll, now);
    const full = this.#callers.length + this.#polls.length >= MAX_WAITING;
    if (at <= now || (at <= deadline && !full)) return null;
    const braked = now < this.#brakeUntil[poll ? 'polls' : 'callers'];
    return braked ? this.#rateLimited(at - now) : this.#exhausted(at - now);
  }

  #hasReserve(kind: AdmitRequest['kind'], now: Millis): boolean {
    return (
      kind === 'markets' && now >= this.#brakeUntil.callers && this.#reserve.used(now) < this.#reserveLimit
    );
  }

  report({ status, headers, bodyThrottled }: UpstreamOutcome): void {
    const now = this.#now();
    const brake = brakeFor(this.#exchange, headers, now);
    if (brake !== null) {
      this.#brakeUntil.polls = Math.max(this.#brakeUntil.polls, brake.polls);
      this.#brakeUntil.callers = Math.max(this.#brakeUntil.callers, brake.callers ?? 0);
    }
    const refused = status === 418 || status === 429 || bodyThrottled;
    if (refused) this.#coolDown(status, headers);
    if (brake !== null || refused) this.#onChange(this.state());
  }

  state(): GateState {
    const now = this.#now();
    const cooling = now < this.#coolDownUntil;
    return {
      exchange: this.#exchange,
      coolDownUntil: cooling ? this.#coolDownUntil : null,
      coolDownStatus: cooling ? this.#coolDownStatus : null,
      strikes: this.#strikes,
      struckUntil: this.#coolDownUntil,
      brakeUntil: { ...this.#brakeUntil },
      budget: {
        limit: this.#budget.requests,
        remaining: Math.max(0, this.#budget.requests - this.#window.used(now)),
        windowMs: this.#budget.windowMs,
      },
      waiting: this.#callers.length + this.#polls.length,
      used: this.#window.entries(now),
      reserveUsed: this.#reserve.entries(now),
    };
  }

  /** Refusals that come in while the venue already cools down were on their way: they count as the same one. */
  #coolDown(status: number | null, headers: Readonly<Record<string, string>>): void {
    const now = this.#now();
    const running = now < this.#coolDownUntil;
    if (!running) {
      const fresh = now - this.#coolDownUntil < STRIKE_MEMORY_MS;
      this.#strikes = fresh ? this.#strikes + 1 : 1;
    }
    const length = coolDownMs({
      retryAfterMs: parseRetryAfter(headers, now),
      status,
      strikes: this.#strikes - 1,
    });
    if (now + length > this.#coolDownUntil) {
      this.#coolDownUntil = now + length;
      this.#coolDownStatus = status;
    }
    for (const waiter of [...this.#callers, ...this.#polls])
      waiter.settle(this.#rateLimited(this.#coolDownUntil - now));
    this.#schedule();
  }

  /** When the next newcomer of its class could leave, behind all who wait already. Callers go before polls. */
  #slotFor(poll: boolean, now: Millis, ahead = this.#waitingBefore(poll)): Millis {
    const any = this.#window.slotAt(ahead.all + 1, this.#budget.requests, { now, of: 'requests' });
    if (!poll) return Math.max(any, this.#brakeUntil.callers);
    const own = this.#window.slotAt(ahead.polls + 1, this.#pollLimit, { now, of: 'polls' });
    return Math.max(any, own, this.#brakeUntil.polls);
  }

  #waitingBefore(poll: boolean): { all: number; polls: number } {
    return { all: this.#callers.length + (poll ? this.#polls.length : 0), polls: this.#polls.length };
  }

  #wait(poll: boolean, deadline: Millis, signal: AbortSignal | undefined): Promise<void> {
    const queue = poll ? this.#polls : this.#callers;
    return new Promise((resolve, reject) => {
      const onAbort = (): void => {
        if (signal !== undefined) waiter.settle(this.#abandoned(signal));
        this.#release();
      };
      const waiter: Waiter = {
        deadline,
        poll,
        settle: (error) => {
          const place = queue.indexOf(waiter);
          if (place === -1) return;
          queue.splice(place, 1);
          signal?.removeEventListener('abort', onAbort);
          if (error === null) resolve();
          else reject(error);
        },
      };
      queue.push(waiter);
      signal?.addEventListener('abort', onAbort, { once: true });
      this.#schedule();
    });
  }

  /** Lets go whoever has a slot, refuses whoever has run out of time, and sleeps until the next such moment. */
  #release(): void {
    const now = this.#now();
    for (const waiter of [...this.#callers, ...this.#polls])
      if (waiter.deadline < now) waiter.settle(this.#exhausted(this.#slotFor(waiter.poll, now) - now));
    for (const queue of [this.#callers, this.#polls]) {
      for (let first = queue[0]; first !== undefined; first = queue[0]) {
        const ahead = { all: first.poll ? this.#callers.length : 0, polls: 0 };
        if (this.#slotFor(first.poll, now, ahead) > now) break;
        this.#window.add(now, first.poll);
        first.settle(null);
      }
    }
    this.#schedule();
  }

  #schedule(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const waiting = [...this.#callers, ...this.#polls];
    if (waiting.length === 0) return;
    const now = this.#now();
    let wakeAt = Math.min(...waiting.map(({ deadline }) => deadline)) + 1;
    if (this.#callers.length > 0) wakeAt = Math.min(wakeAt, this.#slotFor(false, now, { all: 0, polls: 0 }));
    if (this.#polls.length > 0)
      wakeAt = Math.min(wakeAt, this.#slotFor(true, now, { all: this.#callers.length, polls: 0 }));
    this.#timer = setTimeout(() => this.#release(), Math.max(1, wakeAt - now));
    this.#timer.unref();
  }

  #rateLimited(retryAfterMs: Millis): AppError {
    return new AppError(
      'upstream_rate_limited',
      `${this.#exchange} limits requests; none is sent until it allows them again.`,
      {
        retryAfterMs: Math.max(1, Math.ceil(retryAfterMs)),
        upstream: { exchange: this.#exchange, status: this.#coolDownStatus ?? undefined },
      },
    );
  }

  #exhausted(retryAfterMs: Millis): AppError {
    return new AppError(
      'upstream_budget_exhausted',
      `This server's own request budget for ${this.#exchange} is used up.`,
      {
        retryAfterMs: Math.max(1, Math.ceil(retryAfterMs)),
        upstream: { exchange: this.#exchange },
      },
    );
  }

  #abandoned(signal: AbortSignal): AppError {
    if (signal.reason instanceof AppError) return signal.reason;
    return new AppError('upstream_timeout', `The call to ${this.#exchange} was given up while it waited.`, {
      upstream: { exchange: this.#exchange },
      cause: signal.reason,
    });
  }
}
