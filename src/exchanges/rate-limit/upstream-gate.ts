/**
 * The last thing before the socket: every request to a venue passes here, whatever it is for. Keeps each venue's budget,
 * its cool-down after a refusal and the brake before one. Nothing that waits may stand between `admit` and the socket.
 */
import type { AppError } from '../../errors.js';
import type { ExchangeId, Millis } from '../../schemas/common.js';
import type { WindowEntry } from './rolling-window.js';

export interface AdmitRequest {
  readonly exchange: ExchangeId;
  /** Market lists have a small reserve of their own: without them nothing else can be asked. */
  readonly kind: 'data' | 'markets';
  readonly priority: 'caller' | 'poll' | 'backfill';
  /** Who asks: those who wait take turns by client. All without one are one client. */
  readonly client?: string | undefined;
  readonly deadline: Millis;
  readonly signal?: AbortSignal | undefined;
  /** Of the call that the request belongs to; it then takes one of the booked slots while there are any. */
  readonly booking?: Booking | undefined;
}

export interface BookRequest extends Pick<AdmitRequest, 'exchange' | 'priority' | 'client' | 'deadline'> {
  /** How many requests the call will make; ≥ 1. */
  readonly requests: number;
}

/** Slots kept for the requests of one call. */
export interface Booking {
  /** Gives back those that were not used; to be called when the call has ended, however it did. Idempotent. */
  release(): void;
}

/** What a venue answered. `status` null: it did not. Header names in lower case. */
export interface UpstreamOutcome {
  readonly status: number | null;
  readonly headers: Readonly<Record<string, string>>;
  /** The body says "too many requests", whatever the status. */
  readonly bodyThrottled: boolean;
  /** How long a refusal asks to be left alone, in a header or in its text; null where it says nothing. */
  readonly toldWaitMs?: Millis | null | undefined;
  /** The venue's words, for operators; kept where they start a cool-down. */
  readonly reason?: string | undefined;
}

/** Plain data: crosses a message port, and a later gate starts from it. */
export interface GateState {
  readonly exchange: ExchangeId;
  /** Not one request leaves before this instant; null when the venue is not cooling down. */
  readonly coolDownUntil: Millis | null;
  /** When it began, by the wall clock: a stamp; null when the venue is not cooling down. */
  readonly coolDownSince: Millis | null;
  /** Status that started it, where there was one. */
  readonly coolDownStatus: number | null;
  /** The venue's words that started it, for operators. */
  readonly coolDownReason: string | null;
  /** Refusals in a row, and when the cool-down of the last one ended or will end. */
  readonly strikes: number;
  readonly struckUntil: Millis;
  /** Requests wait until then because the venue's own counter is nearly full; 0 is in the past. */
  readonly brakeUntil: { readonly callers: Millis; readonly polls: Millis };
  readonly budget: { readonly limit: number; readonly remaining: number; readonly windowMs: Millis };
  readonly waiting: number;
  readonly used: readonly WindowEntry[];
  readonly reserveUsed: readonly WindowEntry[];
}

export interface UpstreamGate {
  /**
   * Resolves when the request may leave, which then counts. Rejects with an AppError: `upstream_rate_limited` while the
   * venue cools down, `upstream_budget_exhausted` where the wait for a slot would exceed the deadline, both with
   * `retryAfterMs` and `upstream.exchange`; `signal`'s reason (or `upstream_timeout`) when it aborts.
   */
  admit(request: AdmitRequest): Promise<void>;
  /**
   * What `admit` would refuse the request with at this moment, null where it would let it pass or wait; nothing is
   * taken. For whoever makes requests wait before they come here: there is no use in waiting for a refusal.
   */
  refusal(request: Omit<AdmitRequest, 'signal'>): AppError | null;
  /**
   * Keeps slots for all requests of a call, so that it is not refused in the middle, its first ones spent for nothing.
   * All or nothing: throws as `admit` rejects where the last of them could not leave by the deadline. Spends nothing.
   */
  book(request: BookRequest): Booking;
  /** How many requests the whole budget has room for until the deadline, if nobody else asks. */
  most(request: Omit<BookRequest, 'requests'>): number;
  /** To be told of every answer, and of every request that got none, before anything else is done with it. */
  report(exchange: ExchangeId, outcome: UpstreamOutcome): void;
  state(exchange: ExchangeId): GateState;
}

/** Whoever holds a gate in a worker hands its states out, so that the supervisor can mirror and restore them. */
export interface GateStates {
  gateStates(): readonly GateState[];
}

export interface UpstreamGateOptions {
  /** Per exchange; requests ≥ 1. */
  readonly budget: { readonly requests: number; readonly windowMs: Millis };
  /** The clock of deadlines and of all that the gate counts; must not jump. */
  readonly now: () => Millis;
  /** For what venues tell in times of day; default `now`. */
  readonly wall?: (() => Millis) | undefined;
  /** At once when a cool-down or a brake starts or is extended. */
  readonly onChange?: ((state: GateState) => void) | undefined;
  readonly restored?: readonly GateState[] | undefined;
}
