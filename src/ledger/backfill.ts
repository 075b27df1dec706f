/**
 * Works off the jobs in the store: one page at a time an exchange, within a share of its budget. Everything that has to
 * outlive this process is in the store, so that a job goes on after any death where it was.
 */
import { AppError } from '../errors.js';
import type { CandleTraits, ExchangeClient } from '../exchanges/exchange-client.js';
import type { ExchangeId, Millis } from '../schemas/common.js';
import { sleep } from '../lib/deadline.js';
import { parseInterval, periodStart, type Interval } from '../lib/intervals.js';
import type { Log } from '../log/log.js';
import { clip, put, type Coverage, type Span } from './coverage.js';
import { pagesOf } from './evidence.js';
import { findListing, type AskPage } from './listing.js';
import { alignedSpan, nextPage, progressOf, type PlanInput } from './planner.js';
import { anchored, settlePage, type PageEvidence, type SeriesName } from './settle.js';
import { StoreError } from './store-error.js';
import type { StoreHandle } from './store-status.js';
import type { CandleStore, Job, JobUpdate, SeriesInfo } from './store.js';
import type { Writer } from './writer.js';

/** How often the store is looked at for jobs that others have queued. */
const LOOK_EVERY_MS: Millis = 2_000;
/** After a fault without a time of its own. */
const PAUSE_MS: Millis = 5_000;
const MAX_PAUSE_MS: Millis = 60_000;
const PAGE_TIMEOUT_MS: Millis = 30_000;
const LEASE_MS: Millis = 60_000;
/** Pages in a row that change nothing: the venue will not say more. */
const MAX_IDLE_PAGES = 3;
const ALL = Number.MAX_SAFE_INTEGER;

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

const UNTRUE_FAULTS = new Set([
  'symbol_not_found',
  'interval_not_supported',
  'not_supported_by_exchange',
  'invalid_request',
]);

interface Wait {
  readonly ms: Millis;
  readonly reason: string;
}

/** A job with what it needs to know of its series. */
interface Work {
  readonly job: Job;
  readonly name: SeriesName;
  readonly traits: CandleTraits;
  readonly intervals: readonly string[];
}

export const createBackfill = (deps: BackfillDeps): Backfill => {
  const { handle, exchanges, writer, settleMs, budgetShare, enabled, noRoom, owner, log, now, monotonic } =
    deps;
  const ending = new AbortController();
  const lines = new Map<ExchangeId, Promise<void>>();
  /** When the latest requests left, by exchange; those of the last window. */
  const sent = new Map<ExchangeId, Millis[]>();
  const idle = new Map<string, number>();
  /** The venue's own spelling of what jobs name, by series. */
  const spelled = new Map<string, string>();
  const counts = { pages: 0, failedPages: 0 };
  let timer: NodeJS.Timeout | undefined;
  let looking = false;
  let again = false;

  const healthOf = (exchange: ExchangeId) => exchanges.health().find((one) => one.exchange === exchange);

  /** How long the exchange has to be left alone; null: it may be asked. */
  const restOf = (exchange: ExchangeId): Wait | null => {
    const health = healthOf(exchange);
    if (health === undefined) return null;
    const coolDown = (health.coolDownUntil ?? 0) - now();
    if (coolDown > 0) return { ms: coolDown, reason: 'cool_down' };
    if (health.circuit === 'open') return { ms: PAUSE_MS, reason: 'circuit_open' };
    const { limit, windowMs } = health.budget;
    const share = Math.max(1, Math.floor(limit * budgetShare));
    const recent = (sent.get(exchange) ?? []).filter((at) => monotonic() - at < windowMs);
    sent.set(exchange, recent);
    const oldest = recent[recent.length - share];
    return oldest === undefined ? null : { ms: oldest + windowMs - monotonic(), reason: 'budget' };
  };

  const pause = (ms: Millis): Promise<void> =>
    sleep(Math.min(Math.max(ms, 1), MAX_PAUSE_MS), ending.signal).catch(() => undefined);

  const askPage: AskPage = async (name, { since, limit }) => {
    const { exchange, symbol, interval } = name;
    sent.set(exchange, [...(sent.get(exchange) ?? []), monotonic()]);
    const answer = await exchanges.fetch(
      { kind: 'ohlcv', exchange, symbol, interval, since, limit, evidence: true, onePage: true },
      { deadline: monotonic() + PAGE_TIMEOUT_MS, priority: 'backfill', attempts: 1, signal: ending.signal },
    );
    spelled.set(`${exchange} ${symbol}`, answer.symbol);
    const [page] =
      answer.evidence === undefined ? [] : pagesOf({ ...name, symbol: answer.symbol }, answer.evidence);
    if (page === undefined) throw new AppError('internal_error', 'A page without its evidence.');
    return page;
  };

  const update = async (store: CandleStore, job: Job, change: JobUpdate): Promise<Job | null> =>
    store.updateJob(job.id, change, now());

  const planOf = async (
    store: CandleStore,
    { job, name, traits }: Work,
  ): Promise<PlanInput & { series: SeriesInfo | null }> => {
    const parsed = parseInterval(name.interval);
    if (parsed === undefined)
      throw new AppError('interval_not_supported', `${name.interval} is no interval.`);
    const series = await store.series(name);
    const interval: Interval = anchored(parsed, series?.anchor ?? 0);
    const end = periodStart(interval, now() - settleMs);
    const asked: Span = { from: job.from, to: Math.min(job.to ?? end, end) };
    const span = alignedSpan(interval, { from: asked.from, to: Math.max(asked.from, asked.to) });
    const within = { from: span.from, to: Math.min(span.to, end) };
    const coverage = series === null ? [] : await store.coverage(series.id, within, ALL);
    return { interval, span: within, coverage: clip(coverage, within), traits, now: now(), series };
  };

  const changeOf = (job: Job, plan: PlanInput): JobUpdate => {
    const { percent, candles, requests, reached } = progressOf(plan);
    const health = healthOf(job.exchange);
    const perMinute = health === undefined ? 1 : Math.max(1, Math.floor(health.budget.limit * budgetShare));
    const windowMs = health?.budget.windowMs ?? 60_000;
    return {
      percent: Math.max(job.percent, percent),
      candles: Math.max(job.candles, candles),
      reached,
      etaSeconds: Math.ceil(((requests / perMinute) * windowMs) / 1000),
    };
  };

  const finish = async (store: CandleStore, job: Job, plan: PlanInput): Promise<void> => {
    const change = changeOf(job, plan);
    await update(store, job, {
      ...change,
      state: 'done',
      percent: 100,
      etaSeconds: null,
      waitingFor: null,
      error: null,
    });
    idle.delete(job.id);
    for (const { from, to, state, recheckAt } of plan.coverage)
      if (state === 'suspect' && recheckAt !== null)
        await store.addDue({ ...nameOf(job), at: recheckAt, from, to });
    log.info({ ...nameOf(job), id: job.id, candles: change.candles }, 'a backfill is done');
  };

  /** Whether the market's history begins within what is asked for is found out once. */
  const learnListing = async (
    store: CandleStore,
    work: Work,
    plan: PlanInput & { series: SeriesInfo | null },
  ): Promise<boolean> => {
    const { name, traits, intervals } = work;
    const { series, span, coverage } = plan;
    if (traits.kind === 'latest' || (series !== null && series.firstListed !== null)) return false;
    if (listed.has(keyOf(name))) return false;
    // Windows are only looked into where one of them has come back without a candle at its beginning.
    const earliest = coverage.find(({ state }) => state === 'known')?.from;
    const doubt = coverage.find(({ state }) => state === 'suspect');
    if (
      traits.kind === 'window' &&
      (doubt === undefined || (earliest !== undefined && doubt.from > earliest))
    )
      return false;
    listed.add(keyOf(name));
    const first = await findListing(name, { traits, intervals, before: doubt?.to ?? span.to }, askPage);
    if (first === null) return false;
    const symbol = spelled.get(`${name.exchange} ${name.symbol}`) ?? name.symbol;
    await store.noteListing(
      { ...name, symbol },
      {
        from: Math.min(span.from, first),
        first: periodStart(plan.interval, first),
        at: now(),
      },
    );
    return true;
  };
  const listed = new Set<string>();

  const storePage = async (page: PageEvidence, { job }: Work, plan: PlanInput): Promise<void> => {
    const learnt: readonly Coverage[] = settlePage(page, settleMs)?.coverage ?? [];
    let coverage: readonly Coverage[] = plan.coverage;
    for (const range of learnt) coverage = put(coverage, [range]);
    const after = { ...plan, coverage: clip(coverage, plan.span), now: now() };
    const before = progressOf(plan);
    const change = changeOf(job, after);
    const moved = progressOf(after).percent > before.percent || (change.candles ?? 0) > before.candles;
    idle.set(job.id, moved ? 0 : (idle.get(job.id) ?? 0) + 1);
    await writer.addForJob(page, {
      id: job.id,
      update: { ...change, pages: job.pages + 1, state: 'running', waitingFor: null, error: null },
    });
    counts.pages += 1;
  };

  const nameOf = ({ exchange, symbol, interval }: Job): SeriesName => ({ exchange, symbol, interval });
  const keyOf = ({ exchange, symbol, interval }: SeriesName): string => `${exchange} ${symbol} ${interval}`;

  const workOf = async (store: CandleStore, job: Job): Promise<Work> => {
    const own = nameOf(job);
    const symbol =
      spelled.get(`${own.exchange} ${own.symbol}`) ??
      (await store.spelling(own.exchange, own.symbol)) ??
      own.symbol;
    const description = await exchanges.describe(job.exchange);
    const { candles, intervals } = description;
    const traits = job.symbol.includes(':') ? candles?.contract : candles?.spot;
    return {
      job,
      name: { ...own, symbol },
      intervals,
      traits: traits ?? { page: 100, kind: 'jump', omitsEmpty: false },
    };
  };

  /** One page, or the end of the job. Rejects with AppErrors and StoreErrors. */
  const step = async (store: CandleStore, job: Job): Promise<void> => {
    let work = await workOf(store, job);
    let plan = await planOf(store, work);
    if (nextPage(plan) === null) return finish(store, job, plan);
    if (await learnListing(store, work, plan)) {
      work = await workOf(store, job);
      plan = await planOf(store, work);
      if (nextPage(plan) === null) return finish(store, job, plan);
    }
    const ask = nextPage(plan);
    if (ask === null) return;
    if ((idle.get(job.id) ?? 0) >= MAX_IDLE_PAGES) {
      await update(store, job, {
        state: 'failed',
        error: 'The exchange gives nothing more for this range.',
        etaSeconds: null,
      });
      return;
    }
    const page = await askPage(work.name, ask);
    await storePage(page, work, plan);
    // A symbol that the venue spells otherwise is kept under the venue's spelling.
    work = await workOf(store, job);
    const next = nextPage(await planOf(store, work));
    if (next === null) {
      const latest = await store.job(job.id);
      if (latest !== null) await finish(store, latest, await planOf(store, work));
    }
  };

  const waitFor = async (store: CandleStore, job: Job, { ms, reason }: Wait): Promise<void> => {
    // A wait that is over in a moment is no news.
    if (reason !== 'budget' || ms > 1000) await update(store, job, { state: 'waiting', waitingFor: reason });
    await pause(ms);
  };

  const failed = async (store: CandleStore, job: Job, thrown: unknown): Promise<void> => {
    if (ending.signal.aborted) return;
    counts.failedPages += 1;
    if (thrown instanceof StoreError) {
      await pause(PAUSE_MS);
      return;
    }
    const error = AppError.from(thrown);
    log.debug({ ...nameOf(job), code: error.code }, 'a page of a backfill failed');
    if (UNTRUE_FAULTS.has(error.code) || error.code === 'exchange_not_enabled') {
      await update(store, job, {
        state: 'failed',
        error: `${error.code}: ${error.message}`,
        etaSeconds: null,
        waitingFor: null,
      });
      return;
    }
    const rest = restOf(job.exchange);
    const reason = rest?.reason ?? error.code;
    await update(store, job, { state: 'waiting', waitingFor: reason, error: error.code });
    await pause(rest?.ms ?? error.retryAfterMs ?? PAUSE_MS);
  };

  const ORDER = ['api', 'setting', 'read'] as const;
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
      const full = noRoom();
      const rest = full === null ? restOf(exchange) : { ms: PAUSE_MS, reason: 'room' };
      if (rest !== null) {
        await waitFor(store, job, rest);
        continue;
      }
      if (handle.shared && !(await store.lease(`exchange ${exchange}`, owner, LEASE_MS))) return;
      try {
        await step(store, job);
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
    counts: () => ({ ...counts }),
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
