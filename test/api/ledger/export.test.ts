// Exports as files that other programs read: CSV and Parquet of the same candles, with their holes.
import { spawnSync } from 'node:child_process';
import { get } from 'node:http';
import type { AddressInfo } from 'node:net';
import { parquetMetadata, parquetReadObjects } from 'hyparquet';
import pg from 'pg';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { findPandas } from '../../support/python.js';
import { backfill, done, LedgerRig, MINUTE, rangesOf, series } from './ledger-app.js';
import { createTestDatabase } from './postgres.js';

let rig: LedgerRig;
beforeEach(async () => {
  rig = await LedgerRig.start();
});
afterEach(() => rig.close());

const BTC = series('binance', 'BTC/USDT');

/** An hour of candles of which five minutes are missing, and an hour that nobody has asked for. */
const kept = async () => {
  const app = await rig.app();
  const to = Math.floor(rig.now() / MINUTE) * MINUTE - 120 * MINUTE;
  const from = to - 60 * MINUTE;
  const hole = { from: from + 20 * MINUTE, to: from + 25 * MINUTE };
  rig.sandbox.control.setFault({ match: 'ohlcv', fault: { type: 'candles_hole', ...hole } });
  await app.inject(`/v1/markets/ohlcv?${BTC}&since=${from}&limit=55`);
  await rangesOf(app, BTC);
  const file = async (format: string) => {
    const span = `from=${from}&to=${to + 60 * MINUTE}`;
    const answer = await app.inject(`/v1/markets/ohlcv/export?${BTC}&${span}&format=${format}`);
    return { headers: answer.headers, bytes: answer.rawPayload };
  };
  return { app, from, to, hole, file };
};

const rowsOfCsv = (bytes: Buffer) => {
  const [head = '', ...lines] = bytes.toString().trimEnd().split('\r\n');
  const names = head.split(',');
  return lines.map((line) => Object.fromEntries(line.split(',').map((cell, at) => [names[at] ?? '', cell])));
};

test('Parquet has the rows of CSV, in the same order, and both tell the holes', async () => {
  const { from, to, hole, file } = await kept();
  const [csv, parquet] = [await file('csv'), await file('parquet')];
  expect(csv.headers['content-disposition']).toBe('attachment; filename="binance-BTC-USDT-1m.csv"');
  expect(parquet.headers['content-disposition']).toBe('attachment; filename="binance-BTC-USDT-1m.parquet"');
  expect(parquet.headers['content-type']).toBe('application/vnd.apache.parquet');
  const buffer = new Uint8Array(parquet.bytes).buffer;
  const rows = await parquetReadObjects({ file: buffer });
  expect(rows).toHaveLength(55);
  const asCsv = rows.map((row) =>
    Object.fromEntries(
      Object.entries(row).map(([name, value]) => [
        name,
        value instanceof Date ? String(value.getTime()) : value === null ? '' : String(value),
      ]),
    ),
  );
  expect(asCsv).toEqual(rowsOfCsv(csv.bytes));
  const gaps = [
    { ...hole, reason: 'not_available_from_exchange' },
    { from: to, to: to + 60 * MINUTE, reason: 'not_loaded_yet' },
  ];
  const { key_value_metadata: about = [], schema, row_groups: groups } = parquetMetadata(buffer);
  const told = Object.fromEntries(about.map(({ key, value = '' }) => [key, value]));
  expect(told).toMatchObject({
    ...{ exchange: 'binance', symbol: 'BTC/USDT', interval: '1m', from: String(from) },
    to: String(to + 60 * MINUTE),
  });
  expect(JSON.parse(told['gaps'] ?? '')).toEqual(gaps);
  expect(schema[1]).toMatchObject({ name: 'timestamp', converted_type: 'TIMESTAMP_MILLIS' });
  expect(groups[0]?.columns[1]?.meta_data).toMatchObject({ type: 'DOUBLE', codec: 'SNAPPY' });
  const header = gaps.map((gap) => `${gap.from}-${gap.to};${gap.reason}`).join(', ');
  expect([csv.headers['data-gaps'], parquet.headers['data-gaps']]).toEqual([header, header]);
});

const python = findPandas();
test.runIf(python !== undefined)('pandas reads the CSV: numbers, times, and what is missing', async () => {
  const { from, to, file } = await kept();
  const { bytes } = await file('csv');
  const script = `
import sys, pandas as pd
candles = pd.read_csv(sys.stdin)
candles.index = pd.to_datetime(candles.pop("timestamp"), unit="ms", utc=True)
missing = pd.date_range(candles.index[0], candles.index[-1], freq="min").difference(candles.index)
print(len(candles), round(candles.index[0].timestamp() * 1000), round(candles.index[-1].timestamp() * 1000), len(missing), candles["close"].dtype, candles["closed"].all())`;
  const { stdout, status, stderr } = spawnSync(python ?? 'python3', ['-c', script], {
    input: bytes,
    encoding: 'utf8',
  });
  expect(stderr).toBe('');
  expect({ status, stdout }).toEqual({
    status: 0,
    stdout: `55 ${from} ${to - MINUTE} 5 float64 True\n`,
  });
});

test('an export of what nobody has stored is a file without rows', async () => {
  const { app } = await kept();
  const none = series('binance', 'ETH/USDT');
  const csv = await app.inject(`/v1/markets/ohlcv/export?${none}&format=csv`);
  expect(csv.body).toBe('timestamp,open,high,low,close,volume,closed\r\n');
  const parquet = await app.inject(`/v1/markets/ohlcv/export?${none}&format=parquet`);
  const buffer = new Uint8Array(parquet.rawPayload).buffer;
  expect(await parquetReadObjects({ file: buffer })).toEqual([]);
  expect(parquet.headers['data-gaps']).toBeUndefined();
});

/** How an answer ends for a client that reads slowly; `onFirstByte` is done before it reads on. */
const endOf = (port: number, path: string, onFirstByte: () => Promise<unknown>): Promise<string> =>
  new Promise((resolve, reject) => {
    get({ port, path, host: '127.0.0.1' }, (response) => {
      if (response.statusCode !== 200) reject(new Error(`status ${response.statusCode}`));
      response.once('data', () => {
        response.pause();
        onFirstByte().then(() => response.resume(), reject);
      });
      response.on('end', () => resolve('whole'));
      response.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    }).on('error', reject);
  });

test('a fault after the first byte resets the connection: a cut file of either format is no whole one', async () => {
  const database = await createTestDatabase();
  if (database === null) throw new Error('This test needs a PostgreSQL (TEST_POSTGRES_URL).');
  const shared = await LedgerRig.start(database.url);
  const client = new pg.Client({ connectionString: database.url });
  await client.connect();
  try {
    const app = await shared.app();
    const to = Math.floor(shared.now() / MINUTE) * MINUTE - 10 * MINUTE;
    const job = await backfill(app, {
      ...{ exchange: 'binance', symbol: 'BTC/USDT', interval: '1m', from: to - 30 * MINUTE, to },
    });
    await done(app, job.id);
    // 13 MB of CSV and 6 MB of Parquet, which does not shrink: more than sockets hold.
    await client.query(
      `INSERT INTO candles SELECT id, ${to} - n::bigint * 60000, random(), random(), random(), random(), random(), 1
       FROM series, generate_series(100, 120000) AS n`,
    );
    const { port } = app.server.address() as AddressInfo;
    for (const format of ['csv', 'parquet']) {
      const path = `/v1/markets/ohlcv/export?${BTC}&from=${to - 300_000 * MINUTE}&to=${to}&format=${format}`;
      const taken = () => client.query('ALTER TABLE candles RENAME TO taken_away');
      expect(await endOf(port, path, taken)).toBe('ECONNRESET');
      await client.query('ALTER TABLE taken_away RENAME TO candles');
    }
  } finally {
    await client.end();
    await shared.close();
    await database.drop();
  }
});
