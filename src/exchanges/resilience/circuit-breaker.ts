/** A venue that keeps failing is left alone for a while: callers get their answer at once, the venue gets one probe. */
import { AppError } from '../../errors.js';
import type { ExchangeId, Millis } from '../../schemas/common.js';
import type { Log } from '../../log/log.js';
import type { CallOptions, ExchangeClient, MarketsState } from '../exchange-client.js';
import { Circuit, isVenueFailure } from './circuit.js';

export interface CircuitBreakerOptions {
  readonly now: () => Millis;
  /** The clock of durations; default: `now`. */
  readonly monotonic?: (() => Millis) | undefined;
  readonly log: Log;
}

/** Marks refusals of an open circuit, so that nobody waits for the probe by retrying. */
const REFUSED = Symbol('circuit open');
export const isCircuitRefusal = (error: AppError): boolean => error.cause === REFUSED;

const IN_MEMORY: ReadonlySet<MarketsState> = new Set(['loaded', 'refresh_failed']);

/**
 * Wraps fetch and markets. A refusal repeats the code and upstream of the failure behind it, with the time until the
 * next probe. Market lists that are in memory pass: they ask nobody.
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
    const passage = circuit.enter(monotonic());
    if (typeof passage === 'number') throw refusal(exchange, circuit.lastFailure, passage);
    const before = circuit.state;
    try {
      const answer = await call();
      passage.succeeded(monotonic());
      if (before !== 'closed') log.info({ exchange }, 'circuit closed: the exchange answers again');
      return answer;
    } catch (thrown) {
      const error = AppError.from(thrown);
      // A caller who left in the middle is no fault of the venue.
      if (isVenueFailure(error) && signal?.aborted !== true) {
        const was = circuit.state;
        passage.failed(monotonic(), error);
        if (was !== 'open' && circuit.state === 'open')
          log.warn(
            { exchange, code: error.code, cause: error.diagnosis },
            'circuit opened: the exchange keeps failing',
          );
      } else passage.undecided(monotonic());
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
