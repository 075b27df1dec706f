/**
 * The candle ledger: reads, writes, coverage and backfills. The rest of the server uses this interface only.
 */
import { randomUUID } from 'node:crypto';
import { AppError } from '../errors.js';
import type { CandleEvidence, ExchangeClient } from '../exchanges/exchange-client.js';
import type { Candle } from '../schemas/market.js';
import type { ExchangeId, Millis } from '../schemas/common.js';
import { periodStart } from '../lib/intervals.js';
import type { Log } from '../log/log.js';
import { createBackfill, type BackfillCounts } from './backfill/backfill.js';
import { createBackfillBudget } from './backfill/backfill-budget.js';
import { endOfComplete, requireInterval } from './backfill/job-plan.js';
import { coverageRanges, type CoverageAnswer } from './coverage-report.js';
import { feedPagesOf, pagesOf } from './evidence.js';
import { planExport, type ExportPlan } from './export/export-plan.js';
import type { Revision } from './merge.js';
import { createReadJobs } from './read-jobs.js';
import { createReader, SHARED_READ_MS, type LedgerReader } from './reader.js';
import { createStorageSpace } from './storage-space.js';
import { keyOf, locateSeries, spellingKey, type AskedSpan, type SeriesRange } from './series-range.js';
import type { SeriesName } from './settle.js';
import { createMeasures, type WantedState } from './measures.js';
import { createStoreHealth } from './store-health.js';
import type { StoreHandle, StoreStatus } from './store-status.js';
import { createStoreTimes, type StoreCall, type StoreCallCounts } from './store-times.js';
import { OPEN_STATES, type CandleStore, type Job, type JobCount, type StoreTotals } from './store.js';
import { createUpkeep, type WantedSeries } from './upkeep.js';
import { createVerification } from './verification.js';
import { createWriter, type WriterCounts } from './writer.js';

interface LedgerSettings {
  readonly settleMs: Millis;
  readonly maxBytes: number;
  readonly minFreeBytes: number;
  /** 0: everything is kept. */
  readonly retentionMs: Millis;
  readonly budgetShare: number;
  /** Series that are kept complete; exchanges by CCXT id. */
  readonly wanted: readonly WantedSeries[];
}

export interface LedgerDeps {
  readonly handle: StoreHandle;
  readonly exchanges: Pick<ExchangeClient, 'fetch' | 'describe' | 'health'>;
  readonly settings: LedgerSettings;
  readonly enabled: readonly ExchangeId[];
  /** How long a shared store may take while the exchange can be asked instead. */
  readonly sharedReadMs?: Millis | undefined;
  /** Another process works on jobs, verifies and looks after the store; default false. */
  readonly isTended?: boolean | undefined;
  readonly log: Log;
  readonly now: () => Millis;
  readonly monotonic: () => Millis;
}

export interface LedgerStats {
  readonly status: StoreStatus;
  /** STORE_MAX_GB. */
  readonly maxBytes: number;
  readonly totals: StoreTotals | null;
  readonly freeBytes: number | null;
  readonly writes: WriterCounts;
  readonly calls: Readonly<Record<StoreCall, StoreCallCounts>>;
  readonly jobs: readonly JobCount[];
  readonly wanted: readonly WantedState[];
  readonly backfill: BackfillCounts;
}

export interface Ledger extends LedgerReader {
  /** What a venue answered to a caller or a poll; never rejects, resolves when it is stored. */
  record(name: SeriesName, evidence: CandleEvidence): Promise<void>;
  /** Candles of a live feed. */
  recordFeed(name: SeriesName, candles: readonly Candle[], receivedAt: Millis): void;
  coverage(name: SeriesName, asked: AskedSpan): Promise<CoverageAnswer>;
  /** Of the whole series where the range is left out; the newest first. */
  revisions(name: SeriesName, asked: AskedSpan, limit: number): Promise<readonly Revision[]>;
  exporting(name: SeriesName, asked: AskedSpan): Promise<ExportPlan>;
  /** Already done where nothing is missing. Without `to` up to the latest settled candle: an open job from the same start that was asked for so is extended. */
  addJob(name: SeriesName, span: { readonly from: Millis; readonly to: Millis | undefined }): Promise<Job>;
  job(id: string): Promise<Job | null>;
  jobs(limit: number): Promise<readonly Job[]>;
  cancelJob(id: string): Promise<Job | null>;
  status(): StoreStatus;
  stats(): LedgerStats;
  /** Another process has added jobs. */
  jobsAdded(): void;
  start(): void;
  /** Works on one job alone, and does nothing else by itself. */
  startJob(id: string): void;
  close(): Promise<void>;
}

const unavailable = (detail: string): AppError =>
  new AppError('upstream_unavailable', `The candle store can not be used at the moment. ${detail}`);

export const createLedger = (deps: LedgerDeps): Ledger => {
  const { handle, exchanges, settings, enabled, log, now, monotonic } = deps;
  const { settleMs, wanted } = settings;
  const { sharedReadMs = SHARED_READ_MS, isTended = false } = deps;
  const owner = randomUUID();
  const live = new Set<string>();
  const kept = new Set(wanted.map(spellingKey));
  const space = createStorageSpace({
    maxBytes: settings.maxBytes,
    minFreeBytes: settings.minFreeBytes,
    file: handle.file,
    monotonic,
  });
  const health = createStoreHealth({ handle, space, log, now });
  const times = createStoreTimes(monotonic);
  const measures = createMeasures({ handle, space, wanted, settleMs, now, monotonic });
  const isWanted = (name: SeriesName): boolean => kept.has(spellingKey(name)) || live.has(keyOf(name));
  const record: Ledger['record'] = async (name, evidence) => {
    await Promise.all(pagesOf(name, evidence).map((page) => writer.add(page)));
  };
  const budget = createBackfillBudget({ exchanges, budgetShare: settings.budgetShare, now, monotonic });
  const verification = createVerification({
    ...{ handle, exchanges, budget, record, isWanted, enabled, owner, log, now, monotonic },
  });
  const writer = createWriter({
    ...{ handle, space, settleMs, isWanted, times, owner, log, now },
    onWritten: (name) => verification.written(name),
  });
  const onJobs = (): void => {
    if (!isTended) backfill.wake();
  };
  const queueJob = createReadJobs({ handle, enabled, onAdded: onJobs, log, now });
  const reader = createReader({ handle, writer, settleMs, times, sharedReadMs, queueJob, now });
  const backfill = createBackfill({
    ...{ handle, exchanges, writer, settleMs, enabled, owner, log, now, monotonic },
    budget,
    noSpace: (name) =>
      space.reason() ?? (space.isLow() && !isWanted(name) ? 'The store is nearly full.' : null),
  });
  const upkeep = createUpkeep({
    ...{ handle, wanted, enabled, settleMs, onJobs, log, now },
    async measure() {
      try {
        await measures.measure();
      } finally {
        health.tell();
      }
    },
    retentionMs: settings.retentionMs,
  });

  /** Rejects with `upstream_unavailable` where the store can't be used. */
  const guarded = async <T>(work: (store: CandleStore) => Promise<T>): Promise<T> => {
    const store = handle.store();
    if (store === null) throw unavailable(handle.status().detail);
    try {
      return await work(store);
    } catch (thrown) {
      if (thrown instanceof AppError) throw thrown;
      log.warn({ err: thrown }, 'the candle store failed');
      throw unavailable('It does not answer.');
    }
  };

  const locate = (store: CandleStore, name: SeriesName, asked: AskedSpan): Promise<SeriesRange> =>
    locateSeries(store, name, { asked, settledBy: now() - settleMs });

  /** Everything counted so far included. */
  const withRange = <T>(
    name: SeriesName,
    asked: AskedSpan,
    work: (store: CandleStore, range: SeriesRange) => T | Promise<T>,
  ): Promise<T> =>
    guarded(async (store) => {
      await writer.idle();
      return work(store, await locate(store, name, asked));
    });

  return {
    ...reader,
    record,
    recordFeed(name, candles, receivedAt) {
      live.add(keyOf(name));
      for (const page of feedPagesOf(name, candles, receivedAt)) void writer.add(page);
    },
    coverage: (name, asked) =>
      withRange(name, asked, async (store, { name: own, series, span, coverage }) => {
        const jobs = (await store.openJobs()).filter((job) => keyOf(job) === keyOf(own));
        const nothing = series === null && asked.from === undefined;
        return {
          symbol: own.symbol,
          series,
          ranges: nothing ? [] : coverageRanges(span, coverage, jobs),
        };
      }),
    revisions: (name, asked, limit) =>
      withRange(name, asked, (store, { series, span }) => {
        if (series === null) return [];
        const whole = asked.from === undefined && asked.to === undefined;
        return store.revisions(series.id, whole ? null : span, limit);
      }),
    exporting: (name, asked) => withRange(name, asked, planExport),
    addJob: (name, asked) =>
      guarded(async (store) => {
        await requireInterval(exchanges, name);
        const { name: own, span, interval, coverage } = await locate(store, name, asked);
        const latestWithin = asked.to === undefined ? settleMs + interval.ms : undefined;
        const job = await store.addJob({ ...own, ...span, origin: 'api', latestWithin }, now());
        const settled = { from: span.from, to: Math.min(span.to, periodStart(interval, now() - settleMs)) };
        const end = endOfComplete({ interval, span: settled, coverage, now: now() });
        if (end !== null) return (await store.updateJob(job.id, { ...end, ifTo: job.to }, now())) ?? job;
        onJobs();
        return job;
      }),
    job: (id) => guarded((store) => store.job(id)),
    jobs: (limit) => guarded((store) => store.jobs(limit)),
    cancelJob: (id) =>
      guarded(async (store) => {
        const job = await store.job(id);
        if (job === null || !OPEN_STATES.includes(job.state)) return job;
        return (
          (await store.updateJob(id, { state: 'cancelled', waitingFor: null, etaSeconds: null }, now())) ??
          job
        );
      }),
    status: () => health.status(),
    stats() {
      return {
        status: health.status(),
        maxBytes: settings.maxBytes,
        totals: space.totals(),
        freeBytes: space.freeBytes(),
        writes: writer.counts(),
        calls: times.counts(),
        jobs: measures.jobs(),
        wanted: measures.wanted(),
        backfill: backfill.counts(),
      };
    },
    jobsAdded: onJobs,
    start() {
      if (isTended) return;
      backfill.start();
      verification.start();
      upkeep.start();
    },
    startJob(id) {
      backfill.start(id);
    },
    async close() {
      upkeep.close();
      verification.close();
      await backfill.close();
      await writer.idle();
      await handle.close();
    },
  };
};
