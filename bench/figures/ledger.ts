/**
 * The candle ledger. L1a: candles a second through the write path. L1b: a backfill from a local venue. L2: 2,000 stored
 * candles over HTTP. L3: bytes a candle, in the store and exported. Each against the bare driver.
 */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { abba, type Comparison } from '../lib/abba.js';
import { PAGE, PAGE_MS, startBackfill, untilJob, UNPACED_BACKFILL } from '../lib/backfills.js';
import { single, type Context, type Figure, type Row } from '../lib/figure.js';
import { get, startProduct, startQuickCandles, startVenues, type Running } from '../lib/product.js';
import { wrkSlice } from '../lib/wrk.js';

const run = promisify(execFile);
const here = (path: string): string => fileURLToPath(new URL(`../${path}`, import.meta.url));

/** Start of the history that is fetched; BTC/USDT is listed by then. */
const FROM = Date.UTC(2021, 0, 1);
const READ = 2000;
/** Starts that the reads step through, ten minutes apart. */
const STEPS = 400;
const SERIES = 'exchange=binance&symbol=BTC/USDT&interval=1m';

/** What a script prints, as numbers. Scripts of the write path have both cores: its thread beside the serving one. */
const script = async (cores: string, path: string, ...argv: readonly string[]): Promise<number[]> => {
  const { stdout } = await run('taskset', ['-c', cores, process.execPath, here(path), ...argv]);
  return stdout.trim().split(' ').map(Number);
};

const rowOf = (
  { ratio, product, floor, control }: Comparison,
  row: Pick<Row, 'id' | 'what' | 'unit' | 'goal' | 'sense' | 'counted'>,
): Row => ({
  ...row,
  ...{ product, floor, control: control.median },
  figure: product,
  note: `${ratio.median.toPrecision(2)} of the floor`,
});

const writePath = async (context: Context, folder: string): Promise<Row> => {
  context.progress('L1a candles through the write path');
  const pages = context.smoke ? 5 : 150;
  const sizes = [String(pages), String(context.smoke ? 1 : 30)];
  const slice = (path: string) => async (): Promise<number> => {
    const own = mkdtempSync(join(folder, 'write-'));
    const [perSecond = Number.NaN] = await script('0,1', path, own, ...sizes);
    rmSync(own, { recursive: true });
    return perSecond;
  };
  const found = await abba(context.smoke ? 0 : 3, {
    floor: slice('floors/bare-insert.js'),
    product: slice('workloads/ledger-write.js'),
  });
  return rowOf(found, {
    ...{ id: 'L1a', what: 'candles through the write path, to bare inserts by the same driver' },
    ...{ unit: 'candles/s', goal: 100_000, sense: 'at least', counted: pages * PAGE },
  });
};

const endToEnd = async (
  context: Context,
  { venues, product, folder }: { venues: Running; product: Running; folder: string },
): Promise<Row> => {
  context.progress('L1b a backfill from a local venue');
  const pages = context.smoke ? 7 : 60;
  const url = `${venues.url}/api.binance.com/api/v3/klines?symbol=BTCUSDT&interval=1m&limit=${PAGE}`;
  let [to, candles] = [FROM, 0];
  const fetched = async (): Promise<number> => {
    const begin = performance.now();
    const { id } = await startBackfill(product, { from: to, pages });
    const job = await untilJob(product, id, ({ state }) => state === 'done');
    if (job.candles !== pages * PAGE) throw new Error(`${job.candles} of ${pages * PAGE} candles came`);
    to += pages * PAGE_MS;
    candles += job.candles;
    return (job.candles / (performance.now() - begin)) * 1000;
  };
  const bare = async (): Promise<number> => {
    const [perSecond = Number.NaN] = await script(
      '0',
      'floors/bare-backfill.js',
      ...[folder, url, String(to), String(pages)],
    );
    return perSecond;
  };
  // Compiled and warm before it counts.
  if (!context.smoke) await fetched();
  const found = await abba(context.smoke ? 0 : 3, { floor: bare, product: fetched });
  return rowOf(found, {
    ...{ id: 'L1b', what: 'a backfill from a local venue, to undici, JSON.parse and bare inserts' },
    ...{ unit: 'candles/s', goal: 30_000, sense: 'at least', counted: candles },
  });
};

const readScript = (folder: string): string => {
  const file = join(folder, 'reads.lua');
  const path = `/v1/markets/ohlcv?${SERIES}&limit=${READ}&since=%d`;
  writeFileSync(
    file,
    `local i = 0\nrequest = function()\n  i = (i + 1) % ${STEPS}\n` +
      `  return wrk.format("GET", string.format("${path}", ${FROM} + i * 600000))\nend\n`,
  );
  return file;
};

const reads = async (
  context: Context,
  { product, file, folder }: { product: Running; file: string; folder: string },
): Promise<Row> => {
  context.progress(`L2 ${READ} stored candles over HTTP`);
  const path = `/v1/markets/ohlcv?${SERIES}&limit=${READ}&since=${FROM}`;
  const { headers, body } = await get(`${product.url}${path}`);
  const { candles } = JSON.parse(body.toString()) as { candles: unknown[] };
  if (headers.get('x-cache') !== 'STORE' || candles.length !== READ)
    throw new Error(
      `expected ${READ} candles of the store, got ${candles.length}, ${headers.get('x-cache')}`,
    );
  const lua = readScript(folder);
  let counted = 0;
  const overHttp = async (): Promise<number> => {
    const slice = await wrkSlice(product, product.url, { seconds: 1, connections: 4, script: lua });
    if (slice.non2xx > 0) throw new Error(`${slice.non2xx} reads were refused`);
    counted += slice.requests;
    return slice.perCpuSecond;
  };
  const sizes = context.smoke ? ['10', '2'] : ['400', '200'];
  const bare = async (): Promise<number> => {
    const [perCpuSecond = Number.NaN] = await script('0', 'floors/bare-read.js', file, ...sizes);
    return perCpuSecond;
  };
  if (!context.smoke) await overHttp();
  const found = await abba(context.smoke ? 0 : 3, { floor: bare, product: overHttp });
  return {
    ...{ id: 'L2', what: `${READ} stored candles over HTTP, to .all() and JSON.stringify`, counted },
    ...{ unit: 'reads/CPU s', goal: 0.7, sense: 'at least', product: found.product, floor: found.floor },
    ...{ figure: found.ratio, control: found.control.median },
  };
};

/** Six numbers of eight bytes. */
const RAW_BYTES = 48;

/** Of the simulated venue's candles, whose figures are as various as a real one's. */
const bytesACandle = async (
  context: Context,
  { venues, folder }: { venues: Running; folder: string },
): Promise<readonly Row[]> => {
  context.progress('L3 bytes a candle');
  const file = join(folder, 'sized.db');
  const pages = context.smoke ? 3 : 60;
  const candles = pages * PAGE;
  const product = await startProduct(venues, { ...UNPACED_BACKFILL, STORE_URL: `sqlite:${file}` });
  let parquet: number;
  try {
    const { id } = await startBackfill(product, { from: FROM, pages });
    await untilJob(product, id, ({ state }) => state === 'done');
    const path = `/v1/markets/ohlcv/export?${SERIES}&format=parquet&from=${FROM}&to=${FROM + pages * PAGE_MS}`;
    parquet = (await get(`${product.url}${path}`)).body.length;
  } finally {
    // Its end puts the write-ahead log into the file.
    await product.stop();
  }
  const argv = [folder, String(pages), '0'];
  const [, bare = Number.NaN] = await script('0', 'floors/bare-insert.js', ...argv);
  const sized = (what: string, bytes: number, floor: number): Omit<Row, 'goal'> => ({
    ...{ id: 'L3', what, unit: 'bytes', sense: 'at most', counted: candles },
    ...{ product: single(bytes), floor: single(floor), figure: single(bytes) },
  });
  return [
    {
      ...sized('a candle in the SQLite file, to a bare table', statSync(file).size / candles, bare),
      goal: 70,
    },
    { ...sized('a candle exported as Parquet, to six raw numbers', parquet / candles, RAW_BYTES), goal: 32 },
  ];
};

const withHistory = async (context: Context, folder: string): Promise<Row[]> => {
  const file = join(folder, 'candles.db');
  const simulated = await startVenues();
  const venues = await startQuickCandles(simulated);
  const product = await startProduct(venues, {
    ...UNPACED_BACKFILL,
    ...{ STORE_URL: `sqlite:${file}`, OHLCV_CACHE_TTL: '0' },
  });
  try {
    const fetched = await endToEnd(context, { venues, product, folder });
    const read = await reads(context, { product, file, folder });
    await product.stop();
    return [fetched, read, ...(await bytesACandle(context, { venues: simulated, folder }))];
  } finally {
    await Promise.all([product.stop(), venues.stop(), simulated.stop()]);
  }
};

export const ledger: Figure = {
  ids: ['L1a', 'L1b', 'L2', 'L3'],
  run: async (context) => {
    const folder = mkdtempSync(join(tmpdir(), 'bench-ledger-'));
    try {
      const rows = context.wants('L1a') ? [await writePath(context, folder)] : [];
      // One history serves the others.
      if (['L1b', 'L2', 'L3'].some((id) => context.wants(id)))
        rows.push(...(await withHistory(context, folder)));
      return rows.filter(({ id }) => context.wants(id));
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },
};
