/** B13: CPU that a miss adds to a hit, against undici and JSON.parse of the same venue answer. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Pool } from 'undici';
import { abba } from '../lib/abba.js';
import type { Context, Figure, Row } from '../lib/figure.js';
import { cpuMicros } from '../lib/processes.js';
import { startProduct, startVenues, type Running } from '../lib/product.js';

const run = promisify(execFile);
const bareScript = fileURLToPath(new URL('../floors/bare-miss.js', import.meta.url));

/** No budget and no pacing in the way: the subject is CPU, not discipline. */
const UNPACED = {
  RATE_LIMIT_REQUESTS: '1000000',
  EXCHANGE_OPTIONS: JSON.stringify({ binance: { rateLimit: 1 } }),
};

interface Case {
  readonly what: string;
  readonly goal: number;
  readonly path: string;
  readonly venuePath: string;
  /** Answers before the first that counts, on either side: V8 compiles a long way's code as it becomes hot. */
  readonly warmUp: number;
  /** Answers of a slice. */
  readonly count: number;
}

const SINCE = 1_750_000_020_000;
const CASES: readonly Case[] = [
  {
    what: 'ticker',
    // Exchanges allow a few hundred such calls a minute: shown, without a goal.
    goal: Number.POSITIVE_INFINITY,
    warmUp: 3000,
    count: 300,
    path: '/v1/markets/ticker?exchange=binance&symbol=BTC/USDT',
    venuePath: '/api.binance.com/api/v3/ticker/24hr?symbol=BTCUSDT',
  },
  {
    what: '1000 candles',
    goal: 3,
    warmUp: 80,
    count: 80,
    path: `/v1/markets/ohlcv?exchange=binance&symbol=BTC/USDT&interval=1m&limit=1000&since=${SINCE}`,
    venuePath: `/api.binance.com/api/v3/klines?symbol=BTCUSDT&interval=1m&limit=1000&startTime=${SINCE}`,
  },
];

/**
 * Microseconds of CPU an answer, one request after the other over one connection, after `warmUp` others; the answers
 * must say `state`.
 */
const perAnswer = async (
  product: Running,
  { path, count, state, warmUp = 20 }: { path: string; count: number; state: string; warmUp?: number },
): Promise<number> => {
  const pool = new Pool(product.url, { connections: 1 });
  const once = async (): Promise<void> => {
    const { statusCode, headers, body } = await pool.request({ path, method: 'GET' });
    await body.dump();
    if (statusCode !== 200 || headers['x-cache'] !== state)
      throw new Error(`expected a ${state}, got ${statusCode} ${String(headers['x-cache'])}`);
  };
  try {
    for (let i = 0; i < warmUp; i++) await once();
    const before = cpuMicros(product.pid);
    for (let i = 0; i < count; i++) await once();
    return (cpuMicros(product.pid) - before) / count;
  } finally {
    await pool.close();
  }
};

interface Sides {
  readonly venues: Running;
  /** Every answer is a MISS, and every one a HIT. */
  readonly cold: Running;
  readonly warm: Running;
}

const measure = async (context: Context, { venues, cold, warm }: Sides, test: Case): Promise<Row> => {
  context.progress(`B13 a miss: ${test.what}`);
  const count = context.smoke ? 30 : test.count;
  await fetch(`${warm.url}${test.path}`).then((response) => response.arrayBuffer());
  const { path } = test;
  const warmUp = context.smoke ? 20 : test.warmUp;
  const hit = await perAnswer(warm, { path, count, state: 'HIT', warmUp });
  await perAnswer(cold, { path, count, state: 'MISS', warmUp });
  const bare = ['-c', '0', process.execPath, bareScript, `${venues.url}${test.venuePath}`];
  const { ratio, product, floor, control } = await abba(context.smoke ? 0 : 3, {
    floor: async () => Number((await run('taskset', [...bare, String(count), String(warmUp)])).stdout),
    product: async () => (await perAnswer(cold, { path, count, state: 'MISS' })) - hit,
  });
  return {
    ...{ id: 'B13', what: `a miss, added CPU to undici + JSON.parse: ${test.what}`, unit: 'µs CPU' },
    ...{ goal: test.goal, sense: 'at most', product, floor, figure: ratio },
    ...{ control: control.median, counted: count },
  };
};

export const miss: Figure = {
  ids: ['B13'],
  run: async (context) => {
    const venues = await startVenues();
    // Without a store: with one, candles that were fetched once are no misses any more.
    const cold = await startProduct(venues, {
      ...UNPACED,
      TICKER_CACHE_TTL: '0',
      OHLCV_CACHE_TTL: '0',
      STORE_URL: 'none',
    });
    const warm = await startProduct(venues, { ...UNPACED, TICKER_CACHE_TTL: '600', OHLCV_CACHE_TTL: '600' });
    try {
      const rows: Row[] = [];
      for (const test of CASES) rows.push(await measure(context, { venues, cold, warm }, test));
      return rows;
    } finally {
      await Promise.all([cold.stop(), warm.stop(), venues.stop()]);
    }
  },
};
