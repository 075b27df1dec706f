/** Metrics of the exchanges and of the worker threads. */
import type { CircuitState, ExchangeHealth } from '../exchanges/exchange-client.js';
import type { WorkerStats } from '../exchanges/worker/venue-worker.js';
import type { Registry, Sample } from './families.js';

const CIRCUIT_STATES: readonly CircuitState[] = ['closed', 'half_open', 'open'];

export const addExchanges = (registry: Registry, health: () => readonly ExchangeHealth[]): void => {
  const each = (sample: (venue: ExchangeHealth) => number) => (): Sample[] =>
    health().map((venue) => [sample(venue), { exchange: venue.exchange }]);
  registry.addGauge({
    name: 'upstream_budget_remaining',
    help: 'Requests that may still leave for an exchange within the window.',
    labels: ['exchange'],
    samples: each(({ budget }) => budget.remaining),
  });
  registry.addGauge({
    name: 'upstream_budget_limit',
    help: 'Requests that may leave for an exchange in a window (RATE_LIMIT_REQUESTS).',
    labels: ['exchange'],
    samples: each(({ budget }) => budget.limit),
  });
  registry.addGauge({
    name: 'upstream_cooldown_until_timestamp_seconds',
    help: 'Until when not one request leaves for an exchange, in seconds since the epoch; 0 when it is not cooling down.',
    labels: ['exchange'],
    samples: each(({ coolDownUntil }) => (coolDownUntil ?? 0) / 1000),
  });
  registry.addGauge({
    name: 'upstream_circuit_state',
    help: '1 for the state the circuit of an exchange is in: closed, half_open or open.',
    labels: ['exchange', 'state'],
    samples: () =>
      health().flatMap(({ exchange, circuit }) =>
        CIRCUIT_STATES.map((state): Sample => [circuit === state ? 1 : 0, { exchange, state }]),
      ),
  });
  registry.addGauge({
    name: 'upstream_markets_loaded_timestamp_seconds',
    help: "When an exchange's market list was loaded, in seconds since the epoch; absent before the first time.",
    labels: ['exchange'],
    samples: () =>
      health().flatMap(({ exchange, marketsLoadedAt }): Sample[] =>
        marketsLoadedAt === null ? [] : [[marketsLoadedAt / 1000, { exchange }]],
      ),
  });
};

export const addWorkers = (registry: Registry, stats: () => readonly WorkerStats[]): void => {
  const each = (sample: (worker: WorkerStats) => number) => (): Sample[] =>
    stats().map((worker) => [sample(worker), { worker: String(worker.index) }]);
  /** Of those that have reported. */
  const reported = (sample: (report: NonNullable<WorkerStats['report']>) => number) => (): Sample[] =>
    stats().flatMap(({ index, report }): Sample[] =>
      report === null ? [] : [[sample(report), { worker: String(index) }]],
    );
  const labels = ['worker'];
  registry.addGauge({
    name: 'worker_up',
    help: '1 while a worker thread is running, 0 while it starts or restarts.',
    labels,
    samples: each(({ state }) => (state === 'running' ? 1 : 0)),
  });
  registry.addCounter({
    name: 'worker_restarts_total',
    help: 'Worker threads that were replaced.',
    labels,
    samples: each(({ restarts }) => restarts),
  });
  registry.addGauge({
    name: 'worker_calls_in_flight',
    help: 'Calls that a worker has not answered yet.',
    labels,
    samples: each(({ inFlight }) => inFlight),
  });
  registry.addGauge({
    name: 'worker_watches',
    help: 'Live feeds that a worker has open.',
    labels,
    samples: each(({ watches }) => watches),
  });
  registry.addGauge({
    name: 'worker_memory_bytes',
    help: 'Heap and external memory that a worker holds, as its latest full collection of garbage found it.',
    labels,
    samples: reported(({ memoryBytes }) => memoryBytes),
  });
  registry.addGauge({
    name: 'worker_event_loop_delay_p99_seconds',
    help: "99th percentile of the delay of a worker's event loop between its latest two reports.",
    labels,
    samples: reported(({ eventLoopDelayP99Ms }) => eventLoopDelayP99Ms / 1000),
  });
  registry.addCounter({
    name: 'worker_unhandled_rejections_total',
    help: 'Rejections that nobody handled in a worker; begins anew with each thread.',
    labels,
    samples: reported(({ unhandledRejections }) => unhandledRejections),
  });
};
