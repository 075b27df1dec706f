/**
 * The candle ledger: what it knows, what it learns, what it is to fetch. The rest of the server sees this interface only.
 */
import { randomUUID } from 'node:crypto';
import { AppError } from '../errors.js';
import type { CandleEvidence, ExchangeClient } from '../exchanges/exchange-client.js';
import type { Candle, Gap } from '../schemas/market.js';
import type { ExchangeId, Millis } from '../schemas/common.js';
import { parseInterval, periodStart } from '../lib/intervals.js';
import type { Log } from '../log/log.js';
import { gapsOf } from './answer.js';
import { createBackfill, type BackfillCounts } from './backfill/backfill.js';
import { clip, subtract, type Coverage, type Span } from './coverage.js';
import { feedPagesOf, pagesOf } from './evidence.js';
import type { Revision } from './merge.js';
import { alignedSpan } from './planner.js';
import { createReader, type LedgerReader } from './reader.js';
import { watchRoom } from './room.js';
import { anchored, type SeriesName, type StoredCandle } from './settle.js';
import type { StoreHandle, StoreStatus } from './store-status.js';
import { OPEN_STATES, type CandleStore, type Job, type SeriesInfo, type StoreTotals } from './store.js';
import { createVerification } from './verification.js';
import { createWriter, type WriterCounts } from './writer.js';

/** Jobs that reads have queued and that are still open. */
const MAX_READ_JOBS = 100;
const KEPT_JOBS = 1_000;
/** Series in BACKFILL are looked at so often. */
const TOP_UP_EVERY_MS: Millis = 3_600_000;
const ALL = Number.MAX_SAFE_INTEGER;
const RETENTION_EVERY_MS: Millis = 3_600_000;

interface WantedSeries extends SeriesName {
  readonly from: Millis;
}

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
  readonly log: Log;
  readonly now: () => Millis;
  readonly monotonic: () => Millis;
}

interface CoverageRange extends Span {
  readonly state: Coverage['state'] | 'unknown' | 'pending';
  readonly reason: string | null;
  readonly source: string | null;
  readonly checkedAt: Millis | null;
}

export interface CoverageAnswer {
  readonly symbol: string;
  readonly series: SeriesInfo | null;
  readonly ranges: readonly CoverageRange[];
}

interface LedgerStats {
  readonly status: StoreStatus;
  readonly totals: StoreTotals | null;
  readonly freeBytes: number | null;
  readonly writes: WriterCounts;
  readonly backfill: BackfillCounts;
}

/** What callers may leave out of a range. */
interface AskedSpan {
  readonly from: Millis | undefined;
  readonly to: Millis | undefined;
}

export interface ExportPlan {
  readonly name: SeriesName;
  readonly series: SeriesInfo | null;
  readonly span: Span;
  readonly gaps: readonly Gap[];
  /** Candles in pages, oldest first. */
  pages(): AsyncIterable<readonly StoredCandle[]>;
}

export interface Ledger extends LedgerReader {
  /** What a venue answered to a caller or a poll; never rejects, resolves when it is stored. */
  record(name: SeriesName, evidence: CandleEvidence): Promise<void>;
  /** Candles of a live feed. */
  recordFeed(name: SeriesName, candles: readonly Candle[], receivedAt: Millis): void;
  coverage(name: SeriesName, asked: AskedSpan): Promise<CoverageAnswer>;
  revisions(name: SeriesName, asked: AskedSpan, limit: number): Promise<readonly Revision[]>;
  exporting(name: SeriesName, asked: AskedSpan): Promise<ExportPlan>;
  addJob(name: SeriesName, span: { readonly from: Millis; readonly to: Millis | undefined }): Promise<Job>;
  job(id: string): Promise<Job | null>;
  jobs(limit: number): Promise<readonly Job[]>;
  cancelJob(id: string): Promise<Job | null>;
  status(): StoreStatus;
  stats(): LedgerStats;
  start(): void;
  close(): Promise<void>;
}

const pageSize = 5_000;

const unavailable = (detail: string): AppError =>
  new AppError('upstream_unavailable', `The candle store can not be used at the moment. ${detail}`);

export const createLedger = (deps: LedgerDeps): Ledger => {
  const { handle, exchanges, settings, enabled, log, now, monotonic } = deps;
  const { settleMs, wanted } = settings;
  const owner = randomUUID();
  const live = new Set<string>();
  const keyOf = ({ exchange, symbol, interval }: SeriesName): string => `${exchange} ${symbol} ${interval}`;
  const kept = new Set(wanted.map(keyOf));
  const room = watchRoom({
    maxBytes: settings.maxBytes,
    minFreeBytes: settings.minFreeBytes,
    file: handle.file,
    monotonic,
  });
  const isWanted = (name: SeriesName): boolean => kept.has(keyOf(name)) || live.has(keyOf(name));
  const record: Ledger['record'] = async (name, evidence) => {
    await Promise.all(pagesOf(name, evidence).map((page) => writer.add(page)));
  };
  const verification = createVerification({
    handle,
    exchanges,
    record,
    isWanted,
    log,
    now,
    monotonic,
    enabled,
  });
  const writer = createWriter({
    handle,
    room,
    settleMs,
    isWanted,
    onWritten: (name) => verification.written(name),
    log,
  });
  const queueJob = (name: SeriesName, span: Span): void => {
    const store = handle.store();
    if (store === null || !handle.status().writable || !enabled.includes(name.exchange)) return;
    const add = async (): Promise<void> => {
      const open = (await store.openJobs()).filter(({ origin }) => origin === 'read');
      if (open.length >= MAX_READ_JOBS) return;
      await store.addJob({ ...name, ...span, origin: 'read' }, now());
      backfill.wake();
    };
    add().catch((error: unknown) => log.debug({ err: error }, 'a job could not be queued'));
  };
  const reader = createReader({ handle, writer, settleMs, queueJob, now });
  const backfill = createBackfill({
    ...{
      handle,
      exchanges,
      writer,
      settleMs,
      budgetShare: settings.budgetShare,
      enabled,
      owner,
      log,
      now,
      monotonic,
    },
    noRoom: () => room.reason(),
  });
  let timers: NodeJS.Timeout[] = [];

  const storeOf = (): CandleStore => {
    const store = handle.store();
    if (store === null) throw unavailable(handle.status().detail);
    return store;
  };

  const guarded = async <T>(work: (store: CandleStore) => Promise<T>): Promise<T> => {
    const store = storeOf();
    try {
      return await work(store);
    } catch (thrown) {
      if (thrown instanceof AppError) throw thrown;
      log.warn({ err: thrown }, 'the candle store failed');
      throw unavailable('It does not answer.');
    }
  };

  /** The series under its own spelling, and the range laid on its periods. */
  const locate = async (store: CandleStore, name: SeriesName, { from, to }: AskedSpan) => {
    const parsed = parseInterval(name.interval);
    if (parsed === undefined)
      throw new AppError('interval_not_supported', `${name.interval} is no interval.`);
    const symbol = (await store.spelling(name.exchange, name.symbol)) ?? name.symbol;
    const own = { exchange: name.exchange, symbol, interval: name.interval };
    const series = await store.series(own);
    const interval = anchored(parsed, series?.anchor ?? 0);
    const end = periodStart(interval, now() - settleMs);
    const bounds = series === null ? [] : await store.coverage(series.id, null, ALL);
    const start = from ?? bounds[0]?.from ?? end;
    const stop = to ?? Math.max(end, start);
    if (from !== undefined && to !== undefined && from >= to)
      throw new AppError('invalid_request', 'from: must lie before to.', {
        errors: [{ parameter: 'from', reason: 'must lie before to' }],
      });
    const span = alignedSpan(interval, { from: start, to: stop });
    return { own, series, interval, span, coverage: clip(bounds, span) };
  };

  const topUp = async (): Promise<void> => {
    const store = handle.store();
    if (store === null || !handle.status().writable) return;
    for (const { from, ...name } of wanted) {
      if (!enabled.includes(name.exchange)) continue;
      const { span, coverage } = await locate(store, name, { from, to: undefined });
      const open = subtract(
        span,
        coverage.filter(({ recheckAt }) => recheckAt === null || recheckAt > now()),
      );
      if (open.length > 0) await store.addJob({ ...name, from, to: null, origin: 'setting' }, now());
    }
    await store.trimJobs(KEPT_JOBS);
    backfill.wake();
  };

  const forget = async (): Promise<void> => {
    const store = handle.store();
    if (settings.retentionMs === 0 || store === null || !handle.status().writable) return;
    for (const { id } of await store.allSeries()) await store.deleteBefore(id, now() - settings.retentionMs);
  };

  const quietly = (work: () => Promise<void>): void => {
    work().catch((error: unknown) => log.debug({ err: error }, 'the ledger could not do its rounds'));
  };

  return {
    ...reader,
    record,
    recordFeed(name, candles, receivedAt) {
      live.add(keyOf(name));
      for (const page of feedPagesOf(name, candles, receivedAt)) void writer.add(page);
    },
    coverage: (name, asked) =>
      guarded(async (store) => {
        await writer.idle();
        const { own, series, span, coverage } = await locate(store, name, asked);
        const jobs = (await store.openJobs()).filter((job) => keyOf(job) === keyOf(own));
        const pending = (at: Span): boolean =>
          jobs.some((job) => job.from < at.to && (job.to ?? Infinity) > at.from);
        const stored = coverage.map((range): CoverageRange => ({
          ...{
            from: range.from,
            to: range.to,
            state: range.state,
            reason: range.reason,
            source: range.source,
          },
          checkedAt: range.checkedMin,
        }));
        const unknown = subtract(span, coverage)
          .flatMap((part) => splitByJobs(part, jobs))
          .map((part): CoverageRange => ({
            ...part,
            ...{ state: pending(part) ? 'pending' : 'unknown', reason: null, source: null, checkedAt: null },
          }));
        const ranges = series === null && asked.from === undefined ? [] : [...stored, ...unknown];
        return { symbol: own.symbol, series, ranges: joined(ranges.sort((a, b) => a.from - b.from)) };
      }),
    revisions: (name, asked, limit) =>
      guarded(async (store) => {
        await writer.idle();
        const { series, span } = await locate(store, name, asked);
        if (series === null) return [];
        const all = asked.from === undefined && asked.to === undefined;
        return store.revisions(series.id, all ? null : span, limit);
      }),
    exporting: (name, asked) =>
      guarded(async (store) => {
        await writer.idle();
        const { own, series, span, coverage } = await locate(store, name, asked);
        const pages = async function* (): AsyncGenerator<readonly StoredCandle[]> {
          let from = span.from;
          while (series !== null) {
            const rows = await store.rows(series.id, { from, to: span.to }, pageSize);
            if (rows.length > 0) yield rows;
            const last = rows.at(-1);
            if (last === undefined || rows.length < pageSize) return;
            from = last.timestamp + 1;
          }
        };
        return { name: own, series, span, gaps: gapsOf(span, coverage, 'not_loaded_yet'), pages };
      }),
    addJob: (name, { from, to }) =>
      guarded(async (store) => {
        const { own, interval } = await locate(store, name, { from, to });
        const span = alignedSpan(interval, { from, to: to ?? now() - settleMs });
        const end = to === undefined ? periodStart(interval, now() - settleMs) : span.to;
        const job = await store.addJob(
          { ...own, from: span.from, to: Math.max(end, span.from), origin: 'api' },
          now(),
        );
        backfill.wake();
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
    status() {
      const status = handle.status();
      const full = room.reason();
      if (full === null || status.state !== 'ok') return status;
      return { ...status, state: 'degraded', detail: full };
    },
    stats() {
      return {
        status: this.status(),
        totals: room.totals(),
        freeBytes: room.freeBytes(),
        writes: writer.counts(),
        backfill: backfill.counts(),
      };
    },
    start() {
      if (timers.length > 0) return;
      backfill.start();
      verification.start();
      const look = (): void => {
        const store = handle.store();
        if (store !== null)
          quietly(async () => {
            await room.state(store);
          });
      };
      timers = [
        setInterval(() => quietly(topUp), TOP_UP_EVERY_MS),
        setInterval(() => quietly(forget), RETENTION_EVERY_MS),
        setInterval(look, 10_000),
      ];
      for (const timer of timers) timer.unref();
      quietly(topUp);
      quietly(forget);
      look();
    },
    async close() {
      for (const timer of timers) clearInterval(timer);
      verification.close();
      await backfill.close();
      await writer.idle();
      await handle.close();
    },
  };
};

/** A stretch cut where jobs begin and end, so that each part lies wholly in one or outside of all. */
const splitByJobs = (part: Span, jobs: readonly Job[]): Span[] => {
  const cuts = jobs
    .flatMap(({ from, to }) => [from, to ?? Infinity])
    .filter((at) => at > part.from && at < part.to)
    .sort((a, b) => a - b);
  const edges = [part.from, ...cuts, part.to];
  return edges.slice(1).map((to, index) => ({ from: edges[index] ?? to, to }));
};

/** Neighbours that say the same are told as one. */
const joined = (ranges: readonly CoverageRange[]): CoverageRange[] => {
  const found: CoverageRange[] = [];
  for (const range of ranges) {
    const last = found.at(-1);
    const same =
      last?.to === range.from &&
      last.state === range.state &&
      last.reason === range.reason &&
      last.source === range.source;
    if (!same) found.push(range);
    else
      found[found.length - 1] = {
        ...last,
        to: range.to,
        checkedAt:
          last.checkedAt === null || range.checkedAt === null
            ? null
            : Math.min(last.checkedAt, range.checkedAt),
      };
  }
  return found.filter(({ from, to }) => from < to);
};
