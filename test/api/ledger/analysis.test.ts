// docs/history-analysis.md is a program: its Python runs against the app over simulated venues, and prints what it says.
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { promisify } from 'node:util';
import { parquetMetadataAsync, parquetReadObjects } from 'hyparquet';
import type { FastifyInstance } from 'fastify';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { blocksOf } from '../../e2e/readme-blocks.js';
import { findPandas, hasPackage } from '../../support/python.js';
import { backfill, DAY, done, LedgerRig, MINUTE } from './ledger-app.js';

const PAGE = 'docs/history-analysis.md';
const blocks = blocksOf(readFileSync(new URL(`../../../${PAGE}`, import.meta.url), 'utf8'), PAGE);

const withPandas = findPandas();
const hasDuckDb = withPandas !== undefined && hasPackage(withPandas, 'duckdb');
const markers = [...(withPandas === undefined ? [] : ['pandas']), ...(hasDuckDb ? ['duckdb'] : [])];
const extent =
  withPandas === undefined
    ? 'compiled only: no Python with pandas is here'
    : hasDuckDb
      ? 'pandas and DuckDB'
      : 'pandas alone: DuckDB is not here';

let rig: LedgerRig;
let app: FastifyInstance;
const FROM = Date.UTC(2024, 0, 1);
beforeAll(async () => {
  rig = await LedgerRig.start();
  app = await rig.app();
  const of = { exchange: 'binance', symbol: 'BTC/USDT', interval: '1m' };
  const job = await backfill(app, { ...of, from: FROM, to: FROM + 2 * DAY });
  await done(app, job.id);
});
afterAll(() => rig.close());

test(`the page prints what it shows (${extent})`, async () => {
  const { port } = app.server.address() as AddressInfo;
  const steps = blocks.filter(({ marker }) => marker !== null && markers.includes(marker));
  const code = steps.map(({ text }) => text.replaceAll('localhost:8000', `127.0.0.1:${port}`)).join('\n');
  const shown = steps.map((step) => blocks[blocks.indexOf(step) + 1]?.text ?? '').join('');
  const { stdout } = await promisify(execFile)(withPandas ?? 'python3', ['-c', code], { cwd: rig.folder });
  expect(stdout).toBe(shown);
});

test('all of its Python compiles, and each step shows what it prints', async () => {
  const steps = blocks.filter(({ language }) => language === 'python');
  expect(steps.map(({ marker }) => marker)).toEqual([
    'pandas',
    'pandas',
    'pandas',
    'pandas',
    'duckdb',
    'duckdb',
  ]);
  for (const step of steps) expect(blocks[blocks.indexOf(step) + 1]?.language).toBe('text');
  const check = 'import sys; compile(sys.argv[1], "page", "exec")';
  const code = steps.map(({ text }) => text).join('\n');
  expect((await promisify(execFile)(withPandas ?? 'python3', ['-c', check, code])).stderr).toBe('');
});

test('the Parquet file has the rows, types and holes that the page tells of', async () => {
  const answer = await app.inject(
    '/v1/markets/ohlcv/export?exchange=binance&symbol=BTC/USDT&interval=1m&from=2024-01-01&to=2024-01-04&format=parquet',
  );
  const { rawPayload } = answer;
  const file = rawPayload.buffer.slice(
    rawPayload.byteOffset,
    rawPayload.byteOffset + rawPayload.byteLength,
  ) as ArrayBuffer;
  const rows = await parquetReadObjects({ file });
  expect(rows).toHaveLength(2880);
  expect(Object.keys(rows[0] ?? {})).toEqual([
    'timestamp',
    'open',
    'high',
    'low',
    'close',
    'volume',
    'closed',
  ]);
  expect(rows.map(({ timestamp }) => (timestamp as Date).getTime())).toEqual(
    Array.from({ length: 2880 }, (_, index) => FROM + index * MINUTE),
  );
  const { key_value_metadata: footer = [] } = await parquetMetadataAsync(file);
  expect(JSON.parse(footer.find(({ key }) => key === 'gaps')?.value ?? '')).toEqual([
    { from: FROM + 2 * DAY, to: FROM + 3 * DAY, reason: 'not_loaded_yet' },
  ]);
});
