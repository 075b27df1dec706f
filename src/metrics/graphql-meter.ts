/** Counts GraphQL operations, what they cost and which limits refused some. No names that clients choose. */
import { PREFIX, type Registry, type Sample } from './families.js';
import { Histogram } from './histogram.js';

export interface GraphqlMeter {
  /** `type`: query, subscription, or unknown where it was refused unread; `outcome`: ok, partial, or an error's code. */
  operation(type: string, outcome: string, units: number): void;
  /** `limit`: a name of ours. */
  refusal(limit: string): void;
  /** What is remembered now; none before the first call. */
  watch(stats: () => { readonly documents: number; readonly persisted: number }): void;
  register(registry: Registry): void;
}

/** Upper bounds of the units of an operation. */
const BUCKETS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000];
/** Key of the one series. */
const ALL = '';

export const createGraphqlMeter = (): GraphqlMeter => {
  // Bounded by our types, codes and limits.
  const operations = new Map<string, Map<string, number>>();
  const refusals = new Map<string, number>();
  const costs = new Histogram({
    name: `${PREFIX}graphql_operation_cost_units`,
    help: 'Units that executed GraphQL operations cost; a request of REST is 1.',
    buckets: BUCKETS,
    labelsOf: () => ({}),
    initialKeys: [ALL],
  });
  let remembered = (): { readonly documents: number; readonly persisted: number } => ({
    documents: 0,
    persisted: 0,
  });

  return {
    operation(type, outcome, cost) {
      const outcomes = operations.get(type) ?? new Map<string, number>();
      operations.set(type, outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1));
      if (outcome === 'ok' || outcome === 'partial') costs.observe(ALL, cost);
    },
    refusal(limit) {
      refusals.set(limit, (refusals.get(limit) ?? 0) + 1);
    },
    watch(stats) {
      remembered = stats;
    },
    register(registry) {
      registry.addCounter({
        name: 'graphql_operations_total',
        help: 'GraphQL operations by type and outcome: ok, partial where some fields failed, or the error code.',
        labels: ['type', 'outcome'],
        samples: function* (): Generator<Sample> {
          for (const [type, outcomes] of operations)
            for (const [outcome, count] of outcomes) yield [count, { type, outcome }];
        },
      });
      registry.addCounter({
        name: 'graphql_refusals_total',
        help: 'GraphQL operations refused by a limit, by its name.',
        labels: ['limit'],
        samples: function* (): Generator<Sample> {
          for (const [limit, count] of refusals) yield [count, { limit }];
        },
      });
      registry.addHistogram(costs);
      registry.addGauge({
        name: 'graphql_documents',
        help: 'GraphQL documents remembered: parsed ones, and persisted queries that clients registered.',
        labels: ['kind'],
        samples: function* (): Generator<Sample> {
          const { documents, persisted } = remembered();
          yield [documents, { kind: 'parsed' }];
          yield [persisted, { kind: 'persisted' }];
        },
      });
    },
  };
};
