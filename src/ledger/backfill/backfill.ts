/**
 * Runs the backfill jobs in the store: one page at a time per exchange, within a share of its budget. All state is in the
 * store, so a job resumes where it was after any death of the process.
 */
import { AppError } from '../../errors.js';
import type { ExchangeClient } from '../../exchanges/exchange-client.js';
import type { ExchangeId, Millis } from '../../schemas/common.js';
import { sleep } from '../../lib/deadline.js';
import type { Log } from '../../log/log.js';
import type { SeriesName } from '../settle.js';
import type { StoreHandle } from '../store-status.js';
import type { Job } from '../store.js';
import { exchangeLease, type Writer } from '../writer.js';
import { workForExchange } from './exchange-line.js';
import type { BackfillBudget } from './backfill-budget.js';
import { createJobListing } from './job-listing.js';
import { createJobPlans } from './job-plan.js';
import { createJobSteps } from './job-step.js';
import { createPageRequests } from './page-requests.js';

/** How often the store is polled for jobs of other processes. */
const POLL_EVERY_MS: Millis = 2_000;

export interface BackfillDeps {
  readonly handle: StoreHandle;
  readonly exchanges: Pick<ExchangeClient, 'fetch' | 'describe' | 'health'>;
  readonly writer: Pick<Writer, 'addForJob'>;
  readonly settleMs: Millis;
  readonly budget: BackfillBudget;
  /** Enabled exchanges by CCXT id. */
  readonly enabled: readonly ExchangeId[];
  /** null: the series may be written; else why not. */
  readonly noSpace: (name: SeriesName) => string | null;
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
  /** `only`: work on this job id alone. */
  start(only?: string): void;
  /** A job may have been added. */
  wake(): void;
  counts(): BackfillCounts;
  close(): Promise<void>;
}

export const createBackfill = (deps: BackfillDeps): Backfill => {
  const { handle, enabled, owner, log, now } = deps;
  const ending = new AbortController();
  const lines = new Map<ExchangeId, Promise<void>>();
  const requests = createPageRequests({ ...deps, signal: ending.signal });
  const plans = createJobPlans({ ...deps, requests });
  const steps = createJobSteps({ ...deps, requests, plans, listing: createJobListing(requests, now) });
  let woken = new AbortController();
  let failedPages = 0;
  let timer: NodeJS.Timeout | undefined;
  let mine: (job: Job) => boolean = () => true;
  let polling = false;
  let again = false;

  const line = {
    ...deps,
    steps,
    pause: (ms: Millis): Promise<void> =>
      sleep(ms, AbortSignal.any([ending.signal, woken.signal])).catch(() => undefined),
    ended: () => ending.signal.aborted,
    onFailedPage: () => (failedPages += 1),
    isMine: (job: Job): boolean => mine(job),
  };

  const startLine = (exchange: ExchangeId): void => {
    if (lines.has(exchange)) return;
    const work = workForExchange(exchange, line)
      .catch((thrown: unknown) => log.warn({ exchange, err: thrown }, 'a backfill has to wait'))
      .finally(() => lines.delete(exchange));
    lines.set(exchange, work);
  };

  const startLines = async (): Promise<void> => {
    const store = handle.store();
    if (store === null || !handle.status().writable) return;
    const open = (await store.openJobs()).filter((job) => mine(job));
    for (const exchange of new Set(open.map((job) => job.exchange)))
      if (enabled.includes(exchange)) startLine(exchange);
  };

  const wake = (): void => {
    if (ending.signal.aborted) return;
    woken.abort();
    woken = new AbortController();
    if (polling) {
      again = true;
      return;
    }
    polling = true;
    startLines()
      .catch((thrown: unknown) => log.debug({ err: thrown }, 'the jobs could not be read'))
      .finally(() => {
        polling = false;
        if (!again) return;
        again = false;
        wake();
      });
  };

  return {
    start(only) {
      if (timer !== undefined) return;
      if (only !== undefined) mine = ({ id }) => id === only;
      timer = setInterval(wake, POLL_EVERY_MS);
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
          await store.endLease(exchangeLease(exchange), owner).catch(() => undefined);
    },
  };
};
