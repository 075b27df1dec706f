/** Runs the jobs of one exchange, one page after the other, until none is open. */
import { AppError, type ErrorCode } from '../../errors.js';
import type { ExchangeId, Millis } from '../../schemas/common.js';
import type { Log } from '../../log/log.js';
import type { SeriesName } from '../settle.js';
import { StoreError } from '../store-error.js';
import type { StoreHandle } from '../store-status.js';
import type { CandleStore, Job } from '../store.js';
import { exchangeLease } from '../writer.js';
import type { BackfillBudget, Wait } from './backfill-budget.js';
import { nameOf } from './job-plan.js';
import type { JobSteps } from './job-step.js';
import { createSetbacks } from './setbacks.js';

/** Longest wait before waiting jobs are looked at again: clocks change, and limits may end early. */
const MAX_PAUSE_MS: Millis = 2_000;
const STORE_PAUSE_MS: Millis = 5_000;
const FULL_PAUSE_MS: Millis = 60_000;
const SPACE_PAUSE_MS: Millis = 5_000;
const LEASE_MS: Millis = 60_000;
/** Shorter waits for the budget are not reported as `waiting`. */
const NEWS_FROM_MS: Millis = 1_000;

/** Errors that the job's own range or symbol causes: the job fails without a retry. */
const LASTING_FAULTS: ReadonlySet<ErrorCode> = new Set([
  'symbol_not_found',
  'interval_not_supported',
  'not_supported_by_exchange',
  'invalid_request',
  'exchange_not_enabled',
]);
/** Errors of one request that do not concern other series of the exchange. */
const SINGLE_FAULTS: ReadonlySet<ErrorCode> = new Set(['upstream_error', 'internal_error']);

/** The store itself fails, so the job's state cannot be saved. */
const STORE = 'store';
const STORE_FULL = 'store_full';
const ORDER = ['api', 'setting', 'read'] as const;

export interface ExchangeLineDeps {
  readonly handle: StoreHandle;
  readonly steps: JobSteps;
  readonly budget: Pick<BackfillBudget, 'waitOf' | 'isCircuitOpen'>;
  /** null: a series may be written; else why not. */
  readonly noSpace: (name: SeriesName) => string | null;
  /** Jobs that this process is to work on. */
  readonly isMine: (job: Job) => boolean;
  readonly owner: string;
  /** Resolves early where a job was added or the line is to end. */
  readonly pause: (ms: Millis) => Promise<void>;
  readonly ended: () => boolean;
  /** A page could not be had or stored. */
  readonly onFailedPage: () => void;
  readonly log: Log;
  readonly now: () => Millis;
  readonly monotonic: () => Millis;
}

/** Resolves when the exchange has no open job, the store can't be written, or another server works for the exchange. */
export const workForExchange = async (exchange: ExchangeId, deps: ExchangeLineDeps): Promise<void> => {
  const { handle, steps, budget, noSpace, isMine, owner, pause, ended, onFailedPage, log, now, monotonic } =
    deps;
  const setbacks = createSetbacks(monotonic);
  const rested = (ms: Millis): Promise<void> => pause(Math.min(Math.max(ms, 1), MAX_PAUSE_MS));

  const openJobs = async (store: CandleStore): Promise<Job[]> => {
    const open = (await store.openJobs()).filter((job) => job.exchange === exchange && isMine(job));
    return ORDER.flatMap((origin) => open.filter((job) => job.origin === origin));
  };

  const failed = async (store: CandleStore, job: Job, thrown: unknown): Promise<void> => {
    if (ended()) return;
    if (thrown instanceof StoreError) {
      onFailedPage();
      const isFull = thrown.fault === 'full';
      setbacks.failed(exchange, STORE, isFull ? FULL_PAUSE_MS : STORE_PAUSE_MS);
      // A few bytes may still fit where a page does not.
      if (isFull)
        await store.updateJob(job.id, { state: 'waiting', waitingFor: STORE_FULL }, now()).catch(() => null);
      return;
    }
    const { code, message, confined, retryAfterMs } = AppError.from(thrown);
    if (code === 'upstream_budget_exhausted') {
      setbacks.failed(exchange, 'budget', retryAfterMs);
      return;
    }
    onFailedPage();
    log.debug({ ...nameOf(job), code }, 'a page of a backfill failed');
    if (LASTING_FAULTS.has(code)) {
      const end = {
        state: 'failed',
        error: `${code}: ${message}`,
        etaSeconds: null,
        waitingFor: null,
      } as const;
      await store.updateJob(job.id, end, now());
      return;
    }
    const reason =
      budget.waitOf(exchange)?.reason ?? (budget.isCircuitOpen(exchange) ? 'circuit_open' : code);
    setbacks.failed(confined || SINGLE_FAULTS.has(code) ? job.id : exchange, reason, retryAfterMs);
    await store.updateJob(job.id, { state: 'waiting', waitingFor: reason, error: code }, now());
  };

  /** Rejects only where the failure can't be stored. */
  const attempt = async (store: CandleStore, job: Job, act: () => Promise<void>): Promise<void> => {
    try {
      await act();
    } catch (thrown) {
      await failed(store, job, thrown);
    }
  };

  /** Sets `waiting_for` of each job; jobs that miss nothing end at once. */
  const hold = async (store: CandleStore, jobs: readonly Job[], { reason }: Wait): Promise<void> => {
    for (const job of jobs) {
      if (ended()) return;
      if (job.state === 'waiting' && job.waitingFor === reason) continue;
      await attempt(store, job, async () => {
        if (!(await steps.endIfComplete(store, job)))
          await store.updateJob(job.id, { state: 'waiting', waitingFor: reason }, now());
      });
    }
  };

  const workOn = async (store: CandleStore, job: Job): Promise<void> => {
    if (noSpace(job) !== null) {
      setbacks.failed(job.id, STORE_FULL, SPACE_PAUSE_MS);
      return hold(store, [job], { ms: SPACE_PAUSE_MS, reason: STORE_FULL });
    }
    await attempt(store, job, async () => {
      await steps.step(store, job);
      setbacks.ended(job.id);
      setbacks.ended(exchange);
    });
  };

  while (!ended()) {
    const store = handle.store();
    if (store === null || !handle.status().writable) return;
    const jobs = await openJobs(store);
    if (jobs.length === 0) return;
    if (handle.shared && !(await store.lease(exchangeLease(exchange), owner, LEASE_MS))) return;
    const wait = budget.waitOf(exchange) ?? setbacks.of(exchange);
    if (wait !== null) {
      if (wait.reason !== STORE && (wait.reason !== 'budget' || wait.ms > NEWS_FROM_MS))
        await hold(store, jobs, wait);
      await rested(wait.ms);
      continue;
    }
    const waits = jobs.map((job) => setbacks.of(job.id)?.ms ?? 0);
    const next = jobs[waits.indexOf(0)];
    if (next === undefined) await rested(Math.min(...waits));
    else await workOn(store, next);
  }
};
