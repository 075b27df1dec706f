/** Backfills of a running product, started and followed over its API. */
import { pause } from './processes.js';
import { get, type Running } from './product.js';

const MINUTE = 60_000;
/** Candles of a page of the simulated Binance. */
export const PAGE = 1000;
export const PAGE_MS = PAGE * MINUTE;
const DEADLINE_MS = 120_000;

/** No budget in the way, and callers may start backfills. */
export const UNBUDGETED_BACKFILL = {
  RATE_LIMIT_REQUESTS: '1000000',
  BACKFILL_API: 'true',
  BACKFILL_BUDGET_SHARE: '1',
};
/** Nor CCXT's pace. */
export const UNPACED_BACKFILL = {
  ...UNBUDGETED_BACKFILL,
  EXCHANGE_OPTIONS: JSON.stringify({ binance: { rateLimit: 1 } }),
};

export interface Job {
  readonly id: string;
  readonly state: string;
  readonly pages: number;
  readonly candles: number;
  readonly error: string | null;
}

/** `pages` pages of one-minute candles from `from` (ms) on. */
export const startBackfill = async (
  product: Running,
  { symbol = 'BTC/USDT', from, pages }: { symbol?: string; from: number; pages: number },
): Promise<Job> => {
  const body = { exchange: 'binance', symbol, interval: '1m', from, to: from + pages * PAGE_MS };
  const response = await fetch(`${product.url}/v1/backfills`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  if (response.status !== 202) throw new Error(`POST /v1/backfills: ${await response.text()}`);
  return (await response.json()) as Job;
};

const jobOf = async (product: Running, id: string): Promise<Job> =>
  JSON.parse((await get(`${product.url}/v1/backfills/${id}`)).body.toString()) as Job;

/** Throws where the job fails or takes two minutes. */
export const untilJob = async (product: Running, id: string, holds: (job: Job) => boolean): Promise<Job> => {
  const deadline = performance.now() + DEADLINE_MS;
  for (;;) {
    const job = await jobOf(product, id);
    if (holds(job)) return job;
    if (job.state === 'failed' || performance.now() > deadline)
      throw new Error(`a backfill is not as it should be: ${JSON.stringify(job)}`);
    await pause(10);
  }
};

export const cancelBackfill = async (product: Running, id: string): Promise<Job> => {
  const response = await fetch(`${product.url}/v1/backfills/${id}`, { method: 'DELETE' });
  return (await response.json()) as Job;
};
