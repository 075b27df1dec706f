/** One venue's circuit: closed while it answers, open after a run of failures, half open for one probe. Reads no clock; all instants are of a clock that nobody sets. */
import type { AppError, ErrorCode } from '../../errors.js';
import type { Millis } from '../../schemas/common.js';
import type { CircuitState } from '../exchange-client.js';

/** Failures in a row, over all calls to the venue, that open the circuit. */
export const OPEN_AFTER_FAILURES = 10;
/** How long it stays open at first; doubled by each failed probe up to the bound. */
export const FIRST_OPEN_MS = 2_000;
export const MAX_OPEN_MS = 30_000;
/** A probe that nobody reports on any more must not keep the circuit shut for ever. */
const PROBE_LEASE_MS = 30_000;

/** Faults of the venue. Rate limits have their cool-down; bad requests are the caller's. */
const FAILURES: ReadonlySet<ErrorCode> = new Set([
  'upstream_unavailable',
  'upstream_timeout',
  'upstream_maintenance',
  'upstream_bad_response',
  'upstream_geo_blocked',
]);

/**
 * Only what names the venue as its origin counts: a worker that died says nothing about the venue. Nor does an answer
 * that makes no sense for one symbol: ten requests for a halted market would close the whole venue to everybody.
 */
export const isVenueFailure = (error: AppError): boolean =>
  FAILURES.has(error.code) && error.upstream !== undefined && !error.confined;

/** Returned by `enter`: how the call ended. Exactly one of them is to be called, once. */
export interface Passage {
  succeeded(now: Millis): void;
  failed(now: Millis, error: AppError): void;
  /** It ended without a word about the venue's condition. */
  undecided(now: Millis): void;
}

export class Circuit {
  #state: CircuitState = 'closed';
  #since: Millis;
  #failures = 0;
  #openMs = FIRST_OPEN_MS;
  #openUntil: Millis = 0;
  #probeUntil: Millis = 0;
  #lastFailure: AppError | null = null;

  constructor(now: Millis) {
    this.#since = now;
  }

  get state(): CircuitState {
    return this.#state;
  }
  /** When `state` last changed. */
  get since(): Millis {
    return this.#since;
  }
  get lastFailure(): AppError | null {
    return this.#lastFailure;
  }

  /** A passage for one call, or the wait (≥ 1 ms) after which there may be one. */
  enter(now: Millis): Passage | Millis {
    if (this.#state === 'open' && now >= this.#openUntil) this.#to('half_open', now);
    if (this.#state === 'open') return this.#openUntil - now;
    if (this.#state === 'half_open') {
      if (now < this.#probeUntil) return Math.min(this.#probeUntil - now, FIRST_OPEN_MS);
      this.#probeUntil = now + PROBE_LEASE_MS;
    }
    return {
      succeeded: (at) => this.#succeeded(at),
      failed: (at, error) => this.#failed(at, error),
      undecided: () => (this.#probeUntil = 0),
    };
  }

  #succeeded(now: Millis): void {
    this.#failures = 0;
    this.#openMs = FIRST_OPEN_MS;
    this.#lastFailure = null;
    this.#to('closed', now);
  }

  #failed(now: Millis, error: AppError): void {
    this.#lastFailure = error;
    this.#failures += 1;
    // Calls that left before it opened may still fail: they are part of the same run.
    if (this.#state === 'open') return;
    if (this.#state === 'half_open') this.#openMs = Math.min(this.#openMs * 2, MAX_OPEN_MS);
    else if (this.#failures < OPEN_AFTER_FAILURES) return;
    this.#openUntil = now + this.#openMs;
    this.#to('open', now);
  }

  #to(state: CircuitState, now: Millis): void {
    this.#probeUntil = 0;
    if (this.#state === state) return;
    this.#state = state;
    this.#since = now;
  }
}
