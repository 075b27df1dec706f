/** L4: callers and the main thread while a backfill runs at the exchange's own pace, to the same without. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Pool } from 'undici';
import { abba } from '../lib/abba.js';
import { cancelBackfill, PAGE_MS, startBackfill, untilJob, UNBUDGETED_BACKFILL } from '../lib/backfills.js';
import type { Context, Figure, Row } from '../lib/figure.js';
import { readProbe, withProbe } from '../lib/loop-delay.js';
import { pause } from '../lib/processes.js';
import { get, startProduct, startQuickCandles, startVenues, type Running } from '../lib/product.js';
import { quantile, spread } from '../lib/statistics.js';
import { TICKER } from './http.js';

const FROM = Date.UTC(2018, 0, 1);
/** More than a slice can fetch. */
const PAGES = 500;
/** Between a caller's answer and his next request: the subject is latency, not a saturated core. */
const CALLER_PAUSE_MS = 2;
const SYMBOLS = ['BTC/USDT', 'ETH/USDT'];

/** Milliseconds of each answer of one caller, for `ms`. */
const latencies = async (pool: Pool, ms: number): Promise<number[]> => {
  const seen: number[] = [];
  const end = performance.now() + ms;
  while (performance.now() < end) {
    const begin = performance.now();
    const { statusCode, headers, body } = await pool.request({ path: TICKER, method: 'GET' });
    await body.dump();
    if (statusCode !== 200 || headers['x-cache'] !== 'HIT')
      throw new Error(`expected a HIT, got ${statusCode} ${String(headers['x-cache'])}`);
    seen.push(performance.now() - begin);
    await pause(CALLER_PAUSE_MS);
  }
  return seen;
};

interface Slice {
  readonly p99: number;
  readonly longestPause: number;
}

const underBackfill = async (context: Context, product: Running, file: string): Promise<Row[]> => {
  const pool = new Pool(product.url, { connections: 1 });
  const pauses = { quiet: [] as number[], busy: [] as number[] };
  const ms = context.smoke ? 300 : 3000;
  let slices = 0;
  let pages = 0;
  const slice = async (): Promise<Slice> => {
    await readProbe(product, file);
    const seen = await latencies(pool, ms);
    return { p99: quantile(seen, 0.99), longestPause: (await readProbe(product, file)).max };
  };
  const quiet = async (): Promise<number> => {
    const { p99, longestPause } = await slice();
    pauses.quiet.push(longestPause);
    return p99;
  };
  const busy = async (): Promise<number> => {
    const symbol = SYMBOLS[slices % SYMBOLS.length] ?? '';
    const from = FROM + Math.floor(slices / SYMBOLS.length) * PAGES * PAGE_MS;
    slices += 1;
    const { id } = await startBackfill(product, { symbol, from, pages: PAGES });
    await untilJob(product, id, (job) => job.pages > 0);
    const { p99, longestPause } = await slice();
    pauses.busy.push(longestPause);
    const job = await cancelBackfill(product, id);
    if (job.state !== 'cancelled') throw new Error(`the backfill had ended: ${JSON.stringify(job)}`);
    pages += job.pages;
    return p99;
  };
  try {
    await get(`${product.url}${TICKER}`);
    await latencies(pool, context.smoke ? 100 : 3000);
    if (!context.smoke) await busy();
    const {
      ratio,
      product: p99,
      floor,
      control,
    } = await abba(context.smoke ? 0 : 4, { floor: quiet, product: busy });
    const longest = spread(pauses.busy);
    return [
      {
        ...{ id: 'L4', what: "cached ticker's p99 while a backfill runs, to the same without", unit: 'ms' },
        ...{ product: p99, floor, figure: ratio, control: control.median, goal: 1.2, sense: 'at most' },
        ...{ counted: pages, note: `${pages} pages came meanwhile, CCXT's pace for Binance kept` },
      },
      {
        ...{ id: 'L4', what: "main thread's longest pause while a backfill runs", unit: 'ms' },
        ...{ product: longest, floor: spread(pauses.quiet), figure: longest, goal: 10, sense: 'at most' },
        counted: pages,
      },
    ];
  } finally {
    await pool.close();
  }
};

export const ledgerLoad: Figure = {
  ids: ['L4'],
  run: async (context) => {
    context.progress('L4 callers while a backfill runs');
    const folder = mkdtempSync(join(tmpdir(), 'bench-load-'));
    const file = join(folder, 'delay.json');
    const simulated = await startVenues();
    const venues = await startQuickCandles(simulated);
    const env = { ...UNBUDGETED_BACKFILL, ...withProbe(file), TICKER_CACHE_TTL: '600' };
    const product = await startProduct(venues, env, '0,1');
    try {
      return await underBackfill(context, product, file);
    } finally {
      await Promise.all([product.stop(), venues.stop(), simulated.stop()]);
      rmSync(folder, { recursive: true, force: true });
    }
  },
};
