/**
 * Counts the calls that reach the venues. It wraps the ExchangeClient inside retry and circuit, so that each attempt
 * counts by itself and a refusal that sent no request does not.
 */
import { Counter, Histogram, type Registry } from 'prom-client';
import { AppError, type ErrorCode } from '../errors.js';
import type { ExchangeId } from '../schemas/common.js';
import type { MarketKind } from '../schemas/market.js';
import type { ExchangeClient } from '../exchanges/exchange-client.js';
import { PREFIX } from './families.js';

export interface UpstreamMeter {
  measure(client: ExchangeClient): ExchangeClient;
  /** For the retrying client's `observe`. */
  retried(retry: { readonly exchange: ExchangeId; readonly code: string }): void;
  register(registry: Registry): void;
}

interface Call {
  readonly exchange: ExchangeId;
  readonly kind: MarketKind | 'markets';
}

/** `now`: a monotonic clock in milliseconds. */
export const createUpstreamMeter = ({ now = () => performance.now() } = {}): UpstreamMeter => {
  const calls = new Counter({
    name: `${PREFIX}upstream_calls_total`,
    help: 'Attempts to ask an exchange, by what was asked and the outcome: ok or the code of the error.',
    labelNames: ['exchange', 'kind', 'outcome'],
    registers: [],
  });
  const durations = new Histogram({
    name: `${PREFIX}upstream_call_duration_seconds`,
    help: 'Duration of an attempt with all its requests and waits for the budget.',
    labelNames: ['exchange', 'kind'],
    buckets: [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20],
    registers: [],
  });
  const retries = new Counter({
    name: `${PREFIX}upstream_retries_total`,
    help: 'Further attempts after a failed one, by the code of the failure.',
    labelNames: ['exchange', 'code'],
    registers: [],
  });

  const measured = async <T>({ exchange, kind }: Call, work: () => Promise<T>): Promise<T> => {
    const startedAt = now();
    let outcome: 'ok' | ErrorCode = 'ok';
    try {
      return await work();
    } catch (thrown) {
      outcome = AppError.from(thrown).code;
      throw thrown;
    } finally {
      durations.observe({ exchange, kind }, (now() - startedAt) / 1000);
      calls.inc({ exchange, kind, outcome });
    }
  };

  return {
    measure: (client) => ({
      describe: (exchange) => client.describe(exchange),
      markets: (exchange, options) =>
        measured({ exchange, kind: 'markets' }, () => client.markets(exchange, options)),
      fetch: (request, options) =>
        measured({ exchange: request.exchange, kind: request.kind }, () => client.fetch(request, options)),
      watch: (topic, sink) => client.watch(topic, sink),
      health: () => client.health(),
      close: () => client.close(),
    }),
    retried({ exchange, code }) {
      retries.inc({ exchange, code });
    },
    register(registry) {
      for (const metric of [calls, durations, retries]) registry.registerMetric(metric);
    },
  };
};
