/**
 * The rate limit, as its callers see it: one decision before the socket, for every request to a venue. `admit` and
 * `book` ask, `report` passes on the venue's answer. Nothing that waits may stand between `admit` and the socket.
 */
import { AppError } from '../../errors.js';
import type { ExchangeId, Millis } from '../../schemas/common.js';
import type { BudgetHealth, Priority } from '../exchange-client.js';
import type { Pace, SharedBudget } from './shared-budget.js';

/** Requests that left together. `at` is the last one's instant: they all leave the window with it. */
export interface WindowEntry {
  readonly at: Millis;
  readonly requests: number;
  /** How many of them were polls. */
  readonly polls: number;
}

export interface AdmitRequest {
  readonly exchange: ExchangeId;
  /** Market lists have a small reserve of their own: without them nothing else can be asked. */
  readonly kind: 'data' | 'markets';
  /** What it may use of the budget: LANES in budget.ts. */
  readonly priority: Priority;
  /** Who asks: those who wait take turns by client. All without one are one client. */
  readonly client?: string | undefined;
  readonly deadline: Millis;
  readonly signal?: AbortSignal | undefined;
  /** Of the call that the request belongs to; it then takes one of the booked slots while there are any. */
  readonly booking?: Booking | undefined;
  /** Without it, the request is bounded by the budget alone. */
  readonly pace?: Pace | undefined;
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

/** The whole budget does not allow so many requests before the deadline, even if there are no others. */
export interface BeyondBudget {
  /** How many it allows. */
  readonly most: number;
}

/** What a venue answered. `status` null: it did not. Header names in lower case. */
export interface UpstreamOutcome {
  readonly status: number | null;
  readonly headers: Readonly<Record<string, string>>;
  /** The body says "too many requests", whatever the status. */
  readonly bodyThrottled: boolean;
  /** The wait that a refusal asks for, in a header or in its text; null where it names none. */
  readonly retryAfterMs?: Millis | null | undefined;
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
  /** Refusals in a row, and when the cool-down after the latest ended or will end; 0 is in the past. */
  readonly refusals: number;
  readonly latestCoolDownUntil: Millis;
  /** Requests wait until then because the venue's own counter is nearly full; 0 is in the past. */
  readonly nearLimitUntil: { readonly callers: Millis; readonly polls: Millis };
  readonly budget: BudgetHealth;
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
   * Whether so many slots are free: keeps them for the requests of a call, so that it is not refused in the middle, its
   * first ones spent for nothing. All or nothing: rejects as `admit` does where the last of them could not leave by the
   * deadline, and resolves to `BeyondBudget` where that is so at any time. Spends nothing.
   */
  book(request: BookRequest): Promise<Booking | BeyondBudget>;
  /** To be called for every answer, and for every request that got none, before anything else is done with it. */
  report(exchange: ExchangeId, outcome: UpstreamOutcome): void;
  state(exchange: ExchangeId): GateState;
  /** Refuses all who wait. */
  close(): void;
}

/** A client in a worker sends the states of its gates: the supervisor mirrors them, and restores them in a new worker. */
export interface GateStates {
  gateStates(): readonly GateState[];
}

export interface UpstreamGateOptions {
  /** Per exchange; requests ≥ 1. */
  readonly budget: { readonly requests: number; readonly windowMs: Millis };
  /** The clock of deadlines and of all that the gate counts; must not jump. */
  readonly now: () => Millis;
  /** For what venues give as times of day; default `now`. */
  readonly wall?: (() => Millis) | undefined;
  /** At once when a cool-down, or a wait because the venue's limit is near, starts or is extended. */
  readonly onChange?: ((state: GateState) => void) | undefined;
  readonly restored?: readonly GateState[] | undefined;
  /** With other servers; default: this one counts alone. */
  readonly shared?: SharedBudget | undefined;
}

const wholeMs = (ms: Millis): Millis => Math.max(1, Math.ceil(ms));

/** The venue has answered "too many requests" or is about to. `status`: of that answer; null where there was none yet. */
export const rateLimited = (
  exchange: ExchangeId,
  {
    retryAfterMs,
    status,
    reason,
  }: { readonly retryAfterMs: Millis; readonly status: number | null; readonly reason: string | null },
): AppError =>
  new AppError(
    'upstream_rate_limited',
    `${exchange} limits requests; none is sent until it allows them again.`,
    {
      retryAfterMs: wholeMs(retryAfterMs),
      upstream: { exchange, status: status ?? undefined },
      diagnosis: reason ?? undefined,
    },
  );

/** `paced`: the budget has a slot, but the venue's pace allows no request yet. */
export const budgetExhausted = (exchange: ExchangeId, retryAfterMs: Millis, paced = false): AppError => {
  const message = paced
    ? `Too many requests to ${exchange} wait for their turn.`
    : `This server's own request budget for ${exchange} is used up.`;
  return new AppError('upstream_budget_exhausted', message, {
    retryAfterMs: wholeMs(retryAfterMs),
    upstream: { exchange },
  });
};

/** The call was aborted while its request waited: the abort's own reason where that is one of ours. */
export const givenUpWaiting = (exchange: ExchangeId, signal: AbortSignal): AppError => {
  if (signal.reason instanceof AppError) return signal.reason;
  return new AppError('upstream_timeout', `The call to ${exchange} was given up while it waited.`, {
    upstream: { exchange },
    cause: signal.reason,
  });
};
