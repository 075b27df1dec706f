/**
 * Counts the calls that reach the venues. It wraps the ExchangeClient inside retry and circuit, so that each attempt
 * counts by itself and a refusal that sent no request does not.
 */
import { AppError, type ErrorCode } from '../errors.js';
import type { ExchangeId } from '../schemas/common.js';
import type { MarketKind } from '../schemas/market.js';
import type { ExchangeClient } from '../exchanges/exchange-client.js';
import { PREFIX, type Family, type Labels, type Registry, type Sample } from './families.js';
import { Histogram } from './histogram.js';

export interface UpstreamMeter {
  measure(client: ExchangeClient): ExchangeClient;
  /** For the retrying client's `observe`. */
  retried(retry: { readonly exchange: ExchangeId; readonly code: string }): void;
  register(registry: Registry): void;
}

interface Call {
  readonly exchange: ExchangeId;
  readonly kind: MarketKind | 'tickers' | 'markets';
}

const increment = (counts: Map<string, number>, key: string): void => {
  counts.set(key, (counts.get(key) ?? 0) + 1);
};

/** The values of a key, which spaces separate, by the names of their labels. */
const labelsOf = (names: readonly string[], key: string): Labels => {
  const values = key.split(' ');
  return Object.fromEntries(names.map((name, place) => [name, values[place] ?? '']));
};

const counterOf = (
  counts: ReadonlyMap<string, number>,
  family: Required<Pick<Family, 'name' | 'help' | 'labels'>>,
): Family => ({
  ...family,
  samples: () => [...counts].map(([key, count]): Sample => [count, labelsOf(family.labels, key)]),
});

/** `now`: a monotonic clock in milliseconds. */
export const createUpstreamMeter = ({ now = () => performance.now() } = {}): UpstreamMeter => {
  // Bounded by the enabled exchanges, the kinds and our codes; keys are the labels' values, none of which has a space.
  const calls = new Map<string, number>();
  const retries = new Map<string, number>();
  const durations = new Histogram({
    name: `${PREFIX}upstream_call_duration_seconds`,
    help: 'Duration of an attempt with all its requests and waits for the budget.',
    buckets: [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20],
    labelsOf: (key) => labelsOf(['exchange', 'kind'], key),
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
      durations.observe(`${exchange} ${kind}`, (now() - startedAt) / 1000);
      increment(calls, `${exchange} ${kind} ${outcome}`);
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
      increment(retries, `${exchange} ${code}`);
    },
    register(registry) {
      registry.addCounter(
        counterOf(calls, {
          name: 'upstream_calls_total',
          help: 'Attempts to ask an exchange, by what was asked and the outcome: ok or the code of the error.',
          labels: ['exchange', 'kind', 'outcome'],
        }),
      );
      registry.addHistogram(durations);
      registry.addCounter(
        counterOf(retries, {
          name: 'upstream_retries_total',
          help: 'Further attempts after a failed one, by the code of the failure.',
          labels: ['exchange', 'code'],
        }),
      );
    },
  };
};
