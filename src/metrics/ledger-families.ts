/** Metrics of the candle ledger: the store, writes, and backfill jobs. */
import type { LedgerStats } from '../ledger/ledger.js';
import { STORE_CALLS, STORE_FAILURES } from '../ledger/store-times.js';
import { JOB_STATES, type JobCount } from '../ledger/store.js';
import type { Registry, Sample } from './families.js';

/** Every state of an exchange that has jobs, so that the first failed one is seen as an increase. */
const jobSamples = (jobs: readonly JobCount[]): Sample[] => {
  const exchanges = new Set(jobs.map(({ exchange }) => exchange));
  const count = (exchange: string, state: string): number =>
    jobs
      .filter((job) => job.exchange === exchange && job.state === state)
      .reduce((sum, job) => sum + job.jobs, 0);
  return [...exchanges].flatMap((exchange) =>
    JOB_STATES.map((state): Sample => [count(exchange, state), { exchange, state }]),
  );
};

const waitingSamples = (jobs: readonly JobCount[]): Sample[] => {
  const reasons = new Map<string, number>();
  for (const { state, waitingFor, jobs: count } of jobs)
    if (state === 'waiting' && waitingFor !== null)
      reasons.set(waitingFor, (reasons.get(waitingFor) ?? 0) + count);
  return [...reasons].map(([reason, count]): Sample => [count, { reason }]);
};

/** Without a store the families exist without samples. */
export const addLedger = (registry: Registry, stats: () => LedgerStats | null): void => {
  const each = (samples: (figures: LedgerStats) => Sample[]) => (): Sample[] => {
    const figures = stats();
    return figures === null ? [] : samples(figures);
  };
  const ofTotals = (value: (totals: NonNullable<LedgerStats['totals']>) => number) =>
    each(({ totals }) => (totals === null ? [] : [[value(totals)]]));

  registry.addGauge({
    name: 'ledger_store_up',
    help: '1 while the candle store does what it should, 0 while it is degraded; absent without a store.',
    samples: each(({ status }) => [[status.state === 'ok' ? 1 : 0]]),
  });
  registry.addGauge({
    name: 'ledger_store_writable',
    help: '1 while this process may write to the candle store, 0 while another one does or nobody can.',
    samples: each(({ status }) => [[status.writable ? 1 : 0]]),
  });
  registry.addGauge({
    name: 'ledger_series',
    help: 'Series of candles in the store.',
    samples: ofTotals(({ series }) => series),
  });
  registry.addGauge({
    name: 'ledger_candles',
    help: 'Candles in the store.',
    samples: ofTotals(({ candles }) => candles),
  });
  registry.addGauge({
    name: 'ledger_bytes',
    help: 'Size of the store without its write-ahead log.',
    samples: ofTotals(({ bytes }) => bytes),
  });
  registry.addGauge({
    name: 'ledger_wal_bytes',
    help: "Size of the store's write-ahead log.",
    samples: ofTotals(({ walBytes }) => walBytes),
  });
  registry.addGauge({
    name: 'ledger_max_bytes',
    help: 'Size from which on nothing more is stored (STORE_MAX_GB).',
    samples: each(({ maxBytes }) => [[maxBytes]]),
  });
  registry.addGauge({
    name: 'ledger_disk_free_bytes',
    help: "What is free on the disk of the store's file.",
    samples: each(({ freeBytes }) => (freeBytes === null ? [] : [[freeBytes]])),
  });
  registry.addCounter({
    name: 'ledger_candles_written_total',
    help: 'Candles that were handed to the store, by their source: rest, websocket.',
    labels: ['source'],
    samples: each(({ writes }) => [
      [writes.rest, { source: 'rest' }],
      [writes.websocket, { source: 'websocket' }],
    ]),
  });
  registry.addGauge({
    name: 'ledger_queued_pages',
    help: 'Pages that wait to be written.',
    samples: each(({ writes }) => [[writes.queued]]),
  });
  registry.addCounter({
    name: 'ledger_dropped_pages_total',
    help: 'Pages that were not written because too many waited; what they told is asked for again.',
    samples: each(({ writes }) => [[writes.dropped]]),
  });
  registry.addCounter({
    name: 'ledger_corrections_total',
    help: 'Candles that an exchange has changed (revised), changed back (disputed), and stretches without candles that it has yet to confirm (suspect).',
    labels: ['exchange', 'kind'],
    samples: each(({ writes }) =>
      [...writes.corrections].flatMap(([exchange, { revised, disputed, suspect }]): Sample[] => [
        [revised, { exchange, kind: 'revised' }],
        [disputed, { exchange, kind: 'disputed' }],
        [suspect, { exchange, kind: 'suspect' }],
      ]),
    ),
  });
  registry.addCounter({
    name: 'ledger_store_calls_total',
    help: 'Calls of the store: read for an answer, write of a page.',
    labels: ['call'],
    samples: each(({ calls }) => STORE_CALLS.map((call): Sample => [calls[call].calls, { call }])),
  });
  registry.addCounter({
    name: 'ledger_store_call_seconds_total',
    help: 'Time that calls of the store took.',
    labels: ['call'],
    samples: each(({ calls }) => STORE_CALLS.map((call): Sample => [calls[call].ms / 1000, { call }])),
  });
  registry.addCounter({
    name: 'ledger_store_failures_total',
    help: 'Calls of the store that failed: full, corrupt, busy (another server has the lease), read_only, sandbox, unavailable (or too slow), other.',
    labels: ['call', 'fault'],
    samples: each(({ calls }) =>
      STORE_CALLS.flatMap((call) =>
        STORE_FAILURES.map((fault): Sample => [calls[call].failures[fault], { call, fault }]),
      ),
    ),
  });
  registry.addGauge({
    name: 'ledger_jobs',
    help: 'Backfills in the store by exchange and state: queued, running, waiting, done, failed, cancelled.',
    labels: ['exchange', 'state'],
    samples: each(({ jobs }) => jobSamples(jobs)),
  });
  registry.addGauge({
    name: 'ledger_waiting_jobs',
    help: 'Backfills that wait, by what for: budget, cool_down, store_full, or the code of an error.',
    labels: ['reason'],
    samples: each(({ jobs }) => waitingSamples(jobs)),
  });
  registry.addCounter({
    name: 'ledger_backfill_pages_total',
    help: 'Pages that backfills asked for, by outcome: ok, failed.',
    labels: ['outcome'],
    samples: each(({ backfill }) => [
      [backfill.pages, { outcome: 'ok' }],
      [backfill.failedPages, { outcome: 'failed' }],
    ]),
  });
  registry.addGauge({
    name: 'ledger_wanted_unknown_periods',
    help: 'Periods that nothing is known of, of the series in BACKFILL.',
    labels: ['exchange'],
    samples: each(({ wanted }) =>
      wanted.map((state): Sample => [state.unknownPeriods, { exchange: state.exchange }]),
    ),
  });
  registry.addGauge({
    name: 'ledger_wanted_behind_seconds',
    help: 'How far the series in BACKFILL end before the newest settled candle, the worst of an exchange.',
    labels: ['exchange'],
    samples: each(({ wanted }) =>
      wanted.map((state): Sample => [state.behindMs / 1000, { exchange: state.exchange }]),
    ),
  });
};
