/** The current state of a job's range: known parts, next request, progress. */
import { AppError } from '../../errors.js';
import type { CandleTraits, ExchangeClient } from '../../exchanges/exchange-client.js';
import type { Millis } from '../../schemas/common.js';
import { parseInterval, periodStart } from '../../lib/intervals.js';
import { clip, subtract, type Coverage } from '../coverage.js';
import { alignedSpan, progressOf, type DoneStretch, type PlanInput } from '../planner.js';
import { anchored, type SeriesName } from '../settle.js';
import type { CandleStore, Job, JobUpdate, SeriesInfo } from '../store.js';
import type { BackfillBudget } from './backfill-budget.js';
import type { PageRequests } from './page-requests.js';

const ALL = Number.MAX_SAFE_INTEGER;
const USUAL_TRAITS: CandleTraits = { page: 100, kind: 'jump', omitsEmpty: false };

/** A job with the facts about its series. */
export interface Work {
  readonly job: Job;
  /** As the exchange spells it, where that is known. */
  readonly name: SeriesName;
  readonly traits: CandleTraits;
  /** The exchange's own intervals. */
  readonly intervals: readonly string[];
}

export interface JobPlan extends PlanInput {
  /** null while nothing is stored. */
  readonly series: SeriesInfo | null;
  /** null: the coverage of the whole span was read. */
  readonly done: DoneStretch | null;
}

export const nameOf = ({ exchange, symbol, interval }: SeriesName): SeriesName => ({
  exchange,
  symbol,
  interval,
});

/** Throws `interval_not_supported` where the exchange has no such candles. */
export const requireInterval = async (
  exchanges: Pick<ExchangeClient, 'describe'>,
  { exchange, interval }: SeriesName,
): Promise<void> => {
  const { intervals } = await exchanges.describe(exchange);
  if (intervals.includes(interval)) return;
  const reason = `${exchange} offers ${intervals.join(', ')}`;
  throw new AppError('interval_not_supported', `${reason}.`, { errors: [{ parameter: 'interval', reason }] });
};

/** How the exchange pages candles of this kind of market. */
export const traitsOf = async (
  exchanges: Pick<ExchangeClient, 'describe'>,
  { exchange, symbol }: Pick<SeriesName, 'exchange' | 'symbol'>,
): Promise<CandleTraits> => {
  const { candles } = await exchanges.describe(exchange);
  return (symbol.includes(':') ? candles?.contract : candles?.spot) ?? USUAL_TRAITS;
};

/** What ends a job of which nothing is missing; null where something is. `span` ends with the latest settled candle. */
export const endOfComplete = (range: Omit<PlanInput, 'traits'>): JobUpdate | null => {
  const { left, candles } = progressOf({ ...range, traits: USUAL_TRAITS });
  if (left > 0) return null;
  return { state: 'done', percent: 100, candles, etaSeconds: null, waitingFor: null, error: null };
};

export interface JobPlans {
  work(store: CandleStore, job: Job): Promise<Work>;
  /**
   * `done`: what an earlier plan has shown to need no request; its coverage is not read again. A job goes through its range
   * from the newest page on, so that each step reads what lies before that only: a thin market has thousands of ranges.
   */
  plan(store: CandleStore, work: Work, done?: DoneStretch | null): Promise<JobPlan>;
  /** How far the job is; percent and candles never fall. */
  progress(job: Job, plan: PlanInput): JobUpdate & { readonly candles: number };
}

export interface JobPlansDeps {
  readonly exchanges: Pick<ExchangeClient, 'describe'>;
  readonly requests: Pick<PageRequests, 'spellingOf'>;
  readonly budget: Pick<BackfillBudget, 'share'>;
  readonly settleMs: Millis;
  readonly now: () => Millis;
}

export const createJobPlans = ({ exchanges, requests, budget, settleMs, now }: JobPlansDeps): JobPlans => ({
  async work(store, job) {
    const own = nameOf(job);
    const symbol =
      requests.spellingOf(own.exchange, own.symbol) ??
      (await store.spelling(own.exchange, own.symbol)) ??
      own.symbol;
    const { intervals } = await exchanges.describe(job.exchange);
    return { job, name: { ...own, symbol }, intervals, traits: await traitsOf(exchanges, job) };
  },
  async plan(store, { job, name, traits }, done = null) {
    const parsed = parseInterval(name.interval);
    if (parsed === undefined)
      throw new AppError('interval_not_supported', `${name.interval} is no interval.`);
    const series = await store.series(name);
    const interval = anchored(parsed, series?.anchor ?? 0);
    const end = periodStart(interval, now() - settleMs);
    const to = Math.min(job.to ?? end, end);
    const span = alignedSpan(interval, { from: job.from, to: Math.max(job.from, to) });
    const within = { from: span.from, to: Math.min(span.to, end) };
    const rest = done === null ? [within] : subtract(within, [done]);
    const coverage: Coverage[] = [];
    if (series !== null)
      for (const part of rest) coverage.push(...clip(await store.coverage(series.id, part, ALL), part));
    return { interval, span: within, coverage, traits, now: now(), series, done };
  },
  progress(job, plan) {
    const { percent, candles, requests, reached } = progressOf(plan);
    const { requests: share, windowMs } = budget.share(job.exchange);
    return {
      percent: Math.max(job.percent, percent),
      candles: Math.max(job.candles, candles),
      reached,
      etaSeconds: Math.ceil(((requests / share) * windowMs) / 1000),
    };
  },
});
