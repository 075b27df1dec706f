/** No calls are made to a venue that keeps failing: callers are refused at once, and one probe shows when it answers again. */
import { AppError, type ErrorCode } from '../../errors.js';
import type { Log } from '../../log/log.js';
import type { ExchangeId, Millis } from '../../schemas/common.js';
import type { CallOptions, CircuitState, ExchangeClient, MarketsState } from '../exchange-client.js';

/** Failures in a row, over all calls to the venue, that open the circuit. */
export const OPEN_AFTER_FAILURES = 10;
/** How long it stays open at first; doubled by each failed probe up to the bound. */
export const FIRST_OPEN_MS = 2_000;
export const MAX_OPEN_MS = 30_000;
/** A probe whose outcome is never reported must not keep the circuit half open for ever. */
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
const isVenueFailure = (error: AppError): boolean =>
  FAILURES.has(error.code) && error.upstream !== undefined && !error.confined;

/** Returned by `enter`: how the call ended. Exactly one of them is to be called, once. */
interface Permit {
  succeeded(now: Millis): void;
  failed(now: Millis, error: AppError): void;
  /** Its end says nothing about the venue's condition. */
  undecided(now: Millis): void;
}

/**
 * One venue's circuit: closed while it answers, open after a run of failures, half open for one probe. All instants are of
 * a monotonic clock.
 */
class Circuit {
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

  /** A permit for one call, or the wait (≥ 1 ms) after which there may be one. */
  enter(now: Millis): Permit | Millis {
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

export interface CircuitBreakerOptions {
  readonly now: () => Millis;
  /** The clock of durations; default: `now`. */
  readonly monotonic?: (() => Millis) | undefined;
  readonly log: Log;
}

/** Marks refusals of an open circuit, so that retries do not wait for the probe. */
const REFUSED = Symbol('circuit open');
export const isCircuitRefusal = (error: AppError): boolean => error.cause === REFUSED;

const IN_MEMORY: ReadonlySet<MarketsState> = new Set(['loaded', 'refresh_failed']);

/**
 * Wraps fetch and markets. A refusal repeats the code and upstream of the failure behind it, with the time until the
 * next probe. Market lists that are in memory pass: they need no request.
 */
export const withCircuitBreaker = (
  client: ExchangeClient,
  { now, monotonic = now, log }: CircuitBreakerOptions,
): ExchangeClient => {
  // Bounded by the enabled exchanges.
  const circuits = new Map<ExchangeId, Circuit>();
  const circuitOf = (exchange: ExchangeId): Circuit => {
    let circuit = circuits.get(exchange);
    if (circuit === undefined) {
      circuit = new Circuit(monotonic());
      circuits.set(exchange, circuit);
    }
    return circuit;
  };

  const refusal = (exchange: ExchangeId, last: AppError | null, retryAfterMs: Millis): AppError =>
    new AppError(
      last?.code ?? 'upstream_unavailable',
      `${exchange} has failed repeatedly and is left alone for a moment.`,
      {
        retryAfterMs: Math.ceil(retryAfterMs),
        upstream: last?.upstream ?? { exchange },
        diagnosis: last?.diagnosis,
        cause: REFUSED,
      },
    );

  const guard = async <T>(
    exchange: ExchangeId,
    { signal }: CallOptions,
    call: () => Promise<T>,
  ): Promise<T> => {
    const circuit = circuitOf(exchange);
    const permit = circuit.enter(monotonic());
    if (typeof permit === 'number') throw refusal(exchange, circuit.lastFailure, permit);
    const before = circuit.state;
    try {
      const answer = await call();
      permit.succeeded(monotonic());
      if (before !== 'closed') log.info({ exchange }, 'circuit closed: the exchange answers again');
      return answer;
    } catch (thrown) {
      const error = AppError.from(thrown);
      // A caller who left in the middle is no fault of the venue.
      if (isVenueFailure(error) && signal?.aborted !== true) {
        const was = circuit.state;
        permit.failed(monotonic(), error);
        if (was !== 'open' && circuit.state === 'open')
          log.warn(
            { exchange, code: error.code, cause: error.diagnosis },
            'circuit opened: the exchange keeps failing',
          );
      } else permit.undecided(monotonic());
      throw error;
    }
  };

  const marketsInMemory = (exchange: ExchangeId): boolean =>
    client.health().some((health) => health.exchange === exchange && IN_MEMORY.has(health.markets));

  return {
    describe: (exchange) => client.describe(exchange),
    fetch: (request, options) => guard(request.exchange, options, () => client.fetch(request, options)),
    markets: async (exchange, options) =>
      marketsInMemory(exchange)
        ? client.markets(exchange, options)
        : guard(exchange, options, () => client.markets(exchange, options)),
    watch: (topic, sink) => client.watch(topic, sink),
    health: () =>
      client.health().map((health) => {
        const circuit = circuits.get(health.exchange);
        if (circuit === undefined) return health;
        const since = Math.round(circuit.since - monotonic() + now());
        return { ...health, circuit: circuit.state, since: Math.max(health.since, since) };
      }),
    close: () => client.close(),
  };
};
