/** Estimates the requests and time of a backfill from stored coverage. Makes no upstream call. */
import type { ExchangeClient } from '../../exchanges/exchange-client.js';
import type { Millis } from '../../schemas/common.js';
import type { Span } from '../coverage.js';
import { progressOf } from '../planner.js';
import { locateSeries, type AskedSpan } from '../series-range.js';
import type { SeriesName } from '../settle.js';
import type { CandleStore } from '../store.js';
import { createBackfillBudget } from './backfill-budget.js';
import { requireInterval, traitsOf } from './job-plan.js';

export interface Estimate extends Span {
  /** If pages are full, without the requests that search the listing date. */
  readonly requests: number;
  /** Within the share of the budget, rounded up. */
  readonly minutes: number;
  /** Candles of the range that are stored. */
  readonly candles: number;
  /** Of the range, 0 to 100. */
  readonly percent: number;
}

export interface EstimateDeps {
  readonly exchanges: Pick<ExchangeClient, 'describe' | 'health'>;
  readonly store: CandleStore;
  readonly settleMs: Millis;
  /** Of the exchange's budget, above 0 to 1. */
  readonly budgetShare: number;
  readonly now: () => Millis;
  readonly monotonic: () => Millis;
}

/** Rejects with `interval_not_supported`, with `invalid_request` where the range ends before it begins, and as the store. */
export const estimateBackfill = async (
  deps: EstimateDeps,
  name: SeriesName,
  asked: AskedSpan,
): Promise<Estimate> => {
  const { exchanges, store, settleMs, now } = deps;
  await requireInterval(exchanges, name);
  const settledBy = now() - settleMs;
  const { interval, span, coverage } = await locateSeries(store, name, { asked, settledBy });
  const traits = await traitsOf(exchanges, name);
  const { requests, candles, percent } = progressOf({ interval, span, coverage, traits, now: now() });
  const share = createBackfillBudget(deps).share(name.exchange);
  const minutes = Math.ceil(((requests / share.requests) * share.windowMs) / 60_000);
  return { ...span, requests, minutes, candles, percent };
};
