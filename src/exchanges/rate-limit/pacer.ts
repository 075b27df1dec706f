/**
 * CCXT's own pacing with bounded waits. The same leaky bucket as CCXT's throttle (a request passes while the bucket is
 * not in debt, then takes its weight; one weight flows back every `rateLimit`), but a wait that would outlast its call
 * is refused at once, an aborted call leaves the queue, callers go before polling feeds, and nothing polls a clock.
 */
import { AppError } from '../../errors.js';
import type { ExchangeId, Millis } from '../../schemas/common.js';
import type { UpstreamGate } from './upstream-gate.js';
import { Turns } from './turns.js';
import { currentUpstreamCall, type UpstreamCall } from '../ccxt/call-context.js';

/** CCXT's own queue has no bound at all. */
export const MAX_PACED = 1000;
/** What the bucket holds at most: one average request may leave at once after a pause. */
const CAPACITY = 1;

/** What CCXT asks on its own account, for its feeds. */
const OWN_CALL: UpstreamCall = { kind: 'data', priority: 'poll', deadline: Infinity };

interface Waiter {
  readonly client: string;
  readonly start: number;
  readonly cost: number;
  readonly poll: boolean;
  readonly deadline: Millis;
  readonly call: UpstreamCall | undefined;
  settle(error: AppError | null): void;
}

export interface PacerOptions {
  readonly exchange: ExchangeId;
  /** CCXT's `rateLimit`: time that one weight takes to flow back. */
  readonly rateLimitMs: Millis;
  /** Who passes here comes to the gate: whoever it would refuse is told so without waiting for his turn. */
  readonly gate: Pick<UpstreamGate, 'refusal'>;
  /** The clock of deadlines. */
  readonly now: () => Millis;
  /** The clock of the bucket, which must not jump; performance.now by default. */
  readonly monotonic?: (() => Millis) | undefined;
}

export class Pacer {
  readonly #options: PacerOptions;
  readonly #monotonic: () => Millis;
  /** Callers before polls, either in turns by client. */
  #queue: Waiter[] = [];
  readonly #turns = { callers: new Turns(), polls: new Turns() };
  #level = 0;
  #filledAt: Millis;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: PacerOptions) {
    this.#options = options;
    this.#monotonic = options.monotonic ?? (() => performance.now());
    this.#filledAt = this.#monotonic();
  }

  /** CCXT's `throttle`: resolves when a request of this weight may leave. Rejects with an AppError. */
  readonly wait = async (cost = 1): Promise<void> => {
    const call = currentUpstreamCall();
    const signal = call?.signal;
    if (signal?.aborted === true) throw this.#abandoned(signal);
    const refusal = this.#refusedByGate(call);
    if (refusal !== null) throw refusal;
    this.#fill();
    if (this.#queue.length === 0 && this.#level >= 0) {
      this.#level -= cost;
      return;
    }
    const poll = call?.priority !== 'caller';
    const client = call?.client ?? '';
    const place = this.#placeFor(poll, client);
    const waitMs = this.#waitBehind(place);
    const deadline = call?.deadline ?? Infinity;
    const tooLate = this.#options.now() + waitMs >= deadline;
    if (tooLate || (this.#queue.length >= MAX_PACED && !this.#displace(client))) throw this.#refused(waitMs);
    const start = this.#turnsOf(poll).join(client, cost);
    await this.#enqueue({ client, start, cost, poll, deadline, call }, { place, signal });
  };

  #refusedByGate(call: UpstreamCall | undefined): AppError | null {
    const { exchange, gate } = this.#options;
    return gate.refusal({ exchange, ...(call ?? OWN_CALL) });
  }

  #fill(): void {
    const now = this.#monotonic();
    const elapsed = Math.max(0, now - this.#filledAt);
    this.#filledAt = now;
    this.#level = Math.min(CAPACITY, this.#level + elapsed / this.#options.rateLimitMs);
  }

  #turnsOf(poll: boolean): Turns {
    return poll ? this.#turns.polls : this.#turns.callers;
  }

  #placeFor(poll: boolean, client: string): number {
    const start = this.#turnsOf(poll).startOf(client);
    const index = this.#queue.findIndex((other) =>
      other.poll === poll ? other.start > start : other.poll && !poll,
    );
    return index === -1 ? this.#queue.length : index;
  }

  /** Makes room in a full queue: the last of the client that has most gives way, if that has more than `client` would. */
  #displace(client: string): boolean {
    const waiting = new Map<string, number>();
    for (const waiter of this.#queue) waiting.set(waiter.client, (waiting.get(waiter.client) ?? 0) + 1);
    const [most, count] = [...waiting].reduce((a, b) => (b[1] > a[1] ? b : a), ['', 0]);
    const displaced = this.#queue.findLast((waiter) => waiter.client === most);
    if (displaced === undefined || count <= (waiting.get(client) ?? 0) + 1) return false;
    this.#remove(displaced);
    displaced.settle(this.#refused(0));
    return true;
  }

  #remove(waiter: Waiter): void {
    const index = this.#queue.indexOf(waiter);
    if (index === -1) return;
    this.#queue.splice(index, 1);
    this.#turnsOf(waiter.poll).leave(waiter.client);
  }

  #waitBehind(place: number): Millis {
    let debt = -this.#level;
    for (let index = 0; index < place; index += 1) debt += this.#queue[index]?.cost ?? 0;
    return Math.max(0, debt) * this.#options.rateLimitMs;
  }

  #enqueue(
    entry: Omit<Waiter, 'settle'>,
    { place, signal }: { readonly place: number; readonly signal: AbortSignal | undefined },
  ): Promise<void> {
    return new Promise((resolve, reject) => {
      const onAbort = (): void => {
        this.#remove(waiter);
        if (signal !== undefined) reject(this.#abandoned(signal));
      };
      const waiter: Waiter = {
        ...entry,
        settle: (error) => {
          signal?.removeEventListener('abort', onAbort);
          if (error === null) resolve();
          else reject(error);
        },
      };
      this.#queue.splice(place, 0, waiter);
      signal?.addEventListener('abort', onAbort, { once: true });
      this.#schedule();
    });
  }

  #release(): void {
    this.#timer = undefined;
    this.#fill();
    while (this.#level >= 0) {
      const [first] = this.#queue;
      if (first === undefined) return;
      this.#remove(first);
      // Callers that came later may have kept a poll waiting past its time.
      const late = first.deadline <= this.#options.now();
      const refusal = late ? this.#refused(0) : this.#refusedByGate(first.call);
      if (refusal !== null) {
        first.settle(refusal);
        continue;
      }
      this.#level -= first.cost;
      this.#turnsOf(first.poll).served(first.start);
      first.settle(null);
    }
    this.#schedule();
  }

  #schedule(): void {
    if (this.#timer !== undefined || this.#queue.length === 0) return;
    const delay = Math.max(1, Math.ceil(-this.#level * this.#options.rateLimitMs));
    this.#timer = setTimeout(() => this.#release(), delay);
    this.#timer.unref();
  }

  /** Refuses all who wait; the instance is given up. */
  close(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const waiting = this.#queue;
    this.#queue = [];
    for (const waiter of waiting) waiter.settle(this.#refused(0));
  }

  #refused(waitMs: Millis): AppError {
    const { exchange } = this.#options;
    return new AppError(
      'upstream_budget_exhausted',
      `Too many requests to ${exchange} wait for their turn.`,
      {
        retryAfterMs: Math.max(1, Math.ceil(waitMs)),
        upstream: { exchange },
      },
    );
  }

  #abandoned(signal: AbortSignal): AppError {
    if (signal.reason instanceof AppError) return signal.reason;
    const { exchange } = this.#options;
    return new AppError('upstream_timeout', `The call to ${exchange} was given up while it waited.`, {
      upstream: { exchange },
      cause: signal.reason,
    });
  }
}
