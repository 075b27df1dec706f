/** An ExchangeClient whose calls are tried again where that can help and there is time. */
import { AppError } from '../../errors.js';
import { decideRetry, retry, type Backoff } from '../../lib/retry.js';
import type { ExchangeId, Millis } from '../../schemas/common.js';
import type { CallOptions, ExchangeClient } from '../exchange-client.js';
import { isCircuitRefusal } from './circuit-breaker.js';

export interface RetryOptions {
  readonly settings: Backoff;
  readonly now: () => Millis;
  readonly random?: (() => number) | undefined;
  /** Told of each further attempt before its wait. */
  readonly observe?:
    ((retry: { exchange: ExchangeId; code: string; attempt: number; waitMs: Millis }) => void) | undefined;
}

/**
 * Retries fetch and markets; `options.attempts` lowers (never raises) the number of tries. Refusals of an open circuit
 * and of a server that shuts down are final here, though a caller may well come back.
 */
export const withRetry = (
  client: ExchangeClient,
  { settings, now, random = Math.random, observe = () => undefined }: RetryOptions,
): ExchangeClient => {
  const run = async <T>(
    exchange: ExchangeId,
    options: CallOptions,
    attempt: () => Promise<T>,
  ): Promise<T> => {
    const maxRetries = Math.min(settings.maxRetries, (options.attempts ?? Infinity) - 1);
    const decide = (thrown: unknown, attempts: number): Millis | null => {
      const error = AppError.from(thrown);
      const final = isCircuitRefusal(error) || error.code === 'shutting_down';
      const wait = decideRetry({
        error: { retryable: error.retryable && !final, retryAfterMs: error.retryAfterMs },
        attempt: attempts,
        settings: { ...settings, maxRetries },
        deadline: options.deadline,
        now: now(),
        random: random(),
      });
      if (wait !== null) observe({ exchange, code: error.code, attempt: attempts + 1, waitMs: wait });
      return wait;
    };
    try {
      return await retry(attempt, decide, options.signal);
    } catch (thrown) {
      throw AppError.from(thrown);
    }
  };
  return {
    describe: (exchange) => client.describe(exchange),
    fetch: (request, options) => run(request.exchange, options, () => client.fetch(request, options)),
    markets: (exchange, options) => run(exchange, options, () => client.markets(exchange, options)),
    watch: (topic, sink) => client.watch(topic, sink),
    health: () => client.health(),
    close: () => client.close(),
  };
};
