/**
 * Works off the jobs in the store: one page at a time an exchange, within a share of its budget. Everything that has to
 * outlive this process is in the store, so that a job goes on after any death where it was.
 */
import { AppError } from '../../errors.js';
import type { ExchangeClient } from '../../exchanges/exchange-client.js';
import type { ExchangeId, Millis } from '../../schemas/common.js';
import { sleep } from '../../lib/deadline.js';
import type { Log } from '../../log/log.js';
import { StoreError } from '../store-error.js';
import type { StoreHandle } from '../store-status.js';
import type { CandleStore, Job } from '../store.js';
import type { Writer } from '../writer.js';
import { createExchangeRest, PAUSE_MS, type Wait } from './exchange-rest.js';
import { createJobListing } from './job-listing.js';
import { createJobPlans, nameOf } from './job-plan.js';
import { createJobSteps } from './job-step.js';
import { createPageRequests } from './page-requests.js';

/** How often the store is looked at for jobs that others have queued. */
const LOOK_EVERY_MS: Millis = 2_000;
const MAX_PAUSE_MS: Millis = 60_000;
const LEASE_MS: Millis = 60_000;

export interface BackfillDeps {
  readonly handle: StoreHandle;
  readonly exchanges: Pick<ExchangeClient, 'fetch' | 'describe' | 'health'>;
  readonly writer: Writer;
  readonly settleMs: Millis;
  /** Of each exchange's budget, above 0 to 1. */
  readonly budgetShare: number;
  /** Enabled exchanges by CCXT id. */
  readonly enabled: readonly ExchangeId[];
  /** null: there is room; else why nothing is written. */
  readonly noRoom: () => string | null;
  readonly owner: string;
  readonly log: Log;
  readonly now: () => Millis;
  readonly monotonic: () => Millis;
}

export interface BackfillCounts {
  readonly pages: number;
  readonly failedPages: number;
}

export interface Backfill {
  start(): void;
  /** Something may be to be done. */
  wake(): void;
  counts(): BackfillCounts;
  close(): Promise<void>;
}

/** Faults of what was asked for: asking again does not help. */
const LASTING_FAULTS = new Set([
  'symbol_not_found',
  'interval_not_supported',
  'not_supported_by_exchange',
  'invalid_request',
  'exchange_not_enabled',
]);
const ORDER = ['api', 'setting', 'read'] as const;

export const createBackfill = (deps: BackfillDeps): Backfill => {
  const { handle, enabled, noRoom, owner, log, now } = deps;
  const ending = new AbortController();
  const lines = new Map<ExchangeId, Promise<void>>();
  const rest = createExchangeRest(deps);
  const requests = createPageRequests({ ...deps, rest, signal: ending.signal });
  const plans = createJobPlans({ ...deps, requests, rest });
  const steps = createJobSteps({ ...deps, requests, plans, listing: createJobListing(requests, now) });
  let failedPages = 0;
  let timer: NodeJS.Timeout | undefined;
  let looking = false;
  let again = false;

  const pause = (ms: Millis): Promise<void> =>
    sleep(Math.min(Math.max(ms, 1), MAX_PAUSE_MS), ending.signal).catch(() => undefined);

  const waitFor = async (store: CandleStore, job: Job, { ms, reason }: Wait): Promise<void> => {
    // A wait that is over in a moment is no news.
    if (reason !== 'budget' || ms > 1000)
      await store.updateJob(job.id, { state: 'waiting', waitingFor: reason }, now());
    await pause(ms);
  };

  const failed = async (store: CandleStore, job: Job, thrown: unknown): Promise<void> => {
    if (ending.signal.aborted) return;
    failedPages += 1;
    if (thrown instanceof StoreError) {
      await pause(PAUSE_MS);
      return;
    }
    const error = AppError.from(thrown);
    log.debug({ ...nameOf(job), code: error.code }, 'a page of a backfill failed');
    if (LASTING_FAULTS.has(error.code)) {
      const text = `${error.code}: ${error.message}`;
      const end = { state: 'failed', error: text, etaSeconds: null, waitingFor: null } as const;
      await store.updateJob(job.id, end, now());
      return;
    }
    const wait = rest.of(job.exchange);
    const reason = wait?.reason ?? error.code;
    await store.updateJob(job.id, { state: 'waiting', waitingFor: reason, error: error.code }, now());
    await pause(wait?.ms ?? error.retryAfterMs ?? PAUSE_MS);
  };

  const nextJob = async (store: CandleStore, exchange: ExchangeId): Promise<Job | undefined> => {
    const open = (await store.openJobs()).filter((job) => job.exchange === exchange);
    return ORDER.map((origin) => open.find((job) => job.origin === origin)).find((job) => job !== undefined);
  };

  /** Works for one exchange until there is nothing more to do for it. */
  const work = async (exchange: ExchangeId): Promise<void> => {
    while (!ending.signal.aborted) {
      const store = handle.store();
      if (store === null || !handle.status().writable) return;
      const job = await nextJob(store, exchange);
      if (job === undefined) return;
      const wait = noRoom() === null ? rest.of(exchange) : { ms: PAUSE_MS, reason: 'room' };
      if (wait !== null) {
        await waitFor(store, job, wait);
        continue;
      }
      if (handle.shared && !(await store.lease(`exchange ${exchange}`, owner, LEASE_MS))) return;
      try {
        await steps.step(store, job);
      } catch (thrown) {
        await failed(store, job, thrown);
      }
    }
  };

  const startLine = (exchange: ExchangeId): void => {
    if (lines.has(exchange)) return;
    const line = work(exchange)
      .catch((thrown: unknown) => log.warn({ exchange, err: thrown }, 'a backfill has to wait'))
      .finally(() => lines.delete(exchange));
    lines.set(exchange, line);
  };

  const look = async (): Promise<void> => {
    const store = handle.store();
    if (store === null || !handle.status().writable) return;
    const open = await store.openJobs();
    for (const exchange of new Set(open.map((job) => job.exchange)))
      if (enabled.includes(exchange)) startLine(exchange);
  };

  const wake = (): void => {
    if (looking) {
      again = true;
      return;
    }
    looking = true;
    look()
      .catch((thrown: unknown) => log.debug({ err: thrown }, 'the jobs could not be read'))
      .finally(() => {
        looking = false;
        if (again && !ending.signal.aborted) {
          again = false;
          wake();
        }
      });
  };

  return {
    start() {
      if (timer !== undefined) return;
      timer = setInterval(wake, LOOK_EVERY_MS);
      timer.unref();
      wake();
    },
    wake,
    counts: () => ({ pages: steps.pages(), failedPages }),
    async close() {
      clearInterval(timer);
      ending.abort(new AppError('shutting_down', 'The server shuts down.'));
      await Promise.all(lines.values());
      const store = handle.store();
      if (handle.shared && store !== null)
        for (const exchange of enabled)
          await store.endLease(`exchange ${exchange}`, owner).catch(() => undefined);
    },
  };
};
