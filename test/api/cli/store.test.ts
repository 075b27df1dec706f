/** The command `store`: what it lists, finds, asks again, copies and writes. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parquetReadObjects } from 'hyparquet';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { readMigrations } from '../../../src/ledger/migrations.js';
import { loadSqlite } from '../../../src/ledger/sqlite/driver.js';
import { openSqliteFile } from '../../../src/ledger/sqlite/sqlite-database.js';
import { minutes, truth, type Asked } from '../ledger/backfill-rig.js';
import { LedgerRig, MINUTE } from '../ledger/ledger-app.js';
import { createTestDatabase, type TestDatabase } from '../ledger/postgres.js';
import { command, startCommand, type Ended } from './cli-rig.js';

let rig: LedgerRig;
let database: TestDatabase | null = null;
beforeEach(async () => {
  rig = await LedgerRig.start();
});
afterEach(async () => {
  await rig.close();
  await database?.drop();
  database = null;
});

const store = (...args: (string | number)[]): Promise<Ended> => command(rig, ['store', ...args]);
const seriesOf = ({ exchange, symbol, interval, from, to }: Asked): (string | number)[] => [
  ...[exchange, symbol, '--interval', interval, '--from', from, '--to', to],
];
const fill = async (asked: Asked): Promise<void> => {
  expect(await command(rig, ['backfill', ...seriesOf(asked)])).toMatchObject({ code: 0 });
};
const fileOf = (name: string): string => join(rig.folder, name);
/** Changes the file behind the store's back. */
const edit = async (text: string): Promise<void> => {
  const file = fileOf('candles.db');
  const opened = openSqliteFile(loadSqlite(), { file, owner: true, migrations: readMigrations('sqlite') });
  await opened.database.run(text);
  await opened.database.close();
};
const postgres = async (): Promise<string> => {
  database = await createTestDatabase();
  if (database === null) throw new Error('These tests need a PostgreSQL.');
  return database.url;
};
/** What the store at a URL exports. */
const exportedFrom = async (url: string, asked: Asked): Promise<string[]> => {
  const file = fileOf('exported.csv');
  const args = ['store', 'export', ...seriesOf(asked), '--out', file];
  expect(await command(rig, args, { env: { STORE_URL: url } })).toMatchObject({ code: 0 });
  return readFileSync(file, 'utf8').split('\r\n').slice(1, -1);
};

describe('info', () => {
  test('lists the series with their counts and ends', async () => {
    const asked = minutes(rig, 100);
    await fill(asked);
    await fill({ ...asked, symbol: 'ETH/USDT', to: asked.from + 5 * MINUTE });
    const { code, stdout } = await store('info');
    expect(code).toBe(0);
    const lines = stdout.split('\n');
    expect(lines[0]).toBe(`${fileOf('candles.db')}: SQLite file`);
    expect(lines[1]).toMatch(/^2 series, 105 candles, 0\.\d MB$/);
    expect(lines[2]).toMatch(/^exchange {2}symbol {4}interval {2}generation {2}candles {2}first +last$/);
    const instants = [asked.from, asked.to - MINUTE].map((at) => new Date(at).toISOString());
    expect(lines[3]).toBe(`binance   BTC/USDT  1m        1           100      ${instants.join('  ')}`);
    expect(lines[4]).toMatch(/^binance {3}ETH\/USDT {2}1m +1 +5 /);
  });

  test('an empty store has none, and a series that is not listed yet has no ends', async () => {
    expect((await store('info')).stdout).toMatch(/^0 series, 0 candles, \d\.\d MB\n$/m);
    await edit(
      `INSERT INTO series (exchange, symbol, "interval", anchor_ms, generation, written_at)
       VALUES ('binance', 'A/B', '1m', 0, 1, 0)`,
    );
    expect((await store('info')).stdout).toMatch(/^binance {3}A\/B .* 0 +- +-$/m);
  });

  test('a PostgreSQL is named without its address', async () => {
    const { stdout } = await command(rig, ['store', 'info'], { env: { STORE_URL: await postgres() } });
    expect(stdout).toMatch(/^PostgreSQL: PostgreSQL\n0 series, 0 candles/);
  });
});

describe('check', () => {
  test('a store that a backfill has filled is sound, also beside the server that owns it', async () => {
    await fill(minutes(rig, 6_000));
    expect(await store('check')).toMatchObject({ code: 0, stdout: 'The store is sound.\n' });
    await fill({ ...minutes(rig, 20_000), interval: '1d' });
    await rig.app();
    expect(await store('check')).toMatchObject({ code: 0, stdout: 'The store is sound.\n' });
  });

  test.each([
    [
      'DELETE FROM candles WHERE ts % 600000 = 0',
      ['10 candles that its coverage knows are missing', 'it has 90 candles, but counts 100'],
    ],
    ['UPDATE series SET candles = 99', ['it has 100 candles, but counts 99']],
    ['DELETE FROM coverage', ['100 candles lie outside of what its coverage knows']],
    ['UPDATE coverage SET to_ts = from_ts', ['a range of its coverage is empty']],
    [
      "INSERT INTO coverage SELECT series_id, from_ts + 60000, to_ts, 'empty', reason, source, checked_min, checked_max, first_seen, recheck_at FROM coverage",
      ['ranges of its coverage overlap'],
    ],
  ])('%s is found', async (text, faults) => {
    await fill(minutes(rig, 100));
    await edit(text);
    const { code, stdout } = await store('check');
    expect(code).toBe(1);
    for (const fault of faults) expect(stdout).toContain(`binance BTC/USDT 1m (generation 1): ${fault}`);
  });

  test('a corrupt file, which is put aside when it is opened, is not sound', async () => {
    await fill(minutes(rig, 2_000));
    writeFileSync(fileOf('candles.db'), 'x'.repeat(50_000));
    expect(await store('check')).toMatchObject({ code: 1, stdout: expect.stringContaining('corrupt') });
  });
});

describe('verify', () => {
  test('asks for each page of what is known, and records what was corrected', async () => {
    const asked = minutes(rig, 2_500);
    await fill(asked);
    const sent = rig.candleRequests();
    expect((await store('verify', ...seriesOf(asked))).stdout).toContain(
      '3 requests, 0 candles were corrected.\n',
    );
    expect(rig.candleRequests()).toBe(sent + 3);
    rig.ahead += MINUTE;
    const stretch = { from: asked.from + 10 * MINUTE, to: asked.from + 12 * MINUTE };
    rig.sandbox.control.setFault({ fault: { type: 'candles_corrected', ...stretch } });
    const { code, stdout } = await store('verify', ...seriesOf(asked));
    expect(code).toBe(0);
    expect(stdout).toContain('binance BTC/USDT 1m: 3 requests, 2 candles were corrected.\n');
    const app = await rig.app();
    const span = `from=${asked.from}&to=${asked.to}`;
    const revisions = await app.inject(
      `/v1/markets/ohlcv/revisions?exchange=binance&symbol=BTC/USDT&${span}`,
    );
    expect(revisions.json()).toMatchObject({ revisions: [{ rev: 1 }, { rev: 1 }] });
  });

  test('waits for its share where the budget is spent', async () => {
    const asked = minutes(rig, 3_000);
    await fill(asked);
    const env = { RATE_LIMIT_REQUESTS: '2', RATE_LIMIT_WINDOW: '1' };
    const { code, stdout } = await command(rig, ['store', 'verify', ...seriesOf(asked)], { env });
    expect(code).toBe(0);
    expect(stdout).toContain('3 requests, 0 candles were corrected.\n');
  });

  test('nothing stored is nothing to ask for', async () => {
    expect((await store('verify', 'binance', 'BTC/USDT')).stdout).toBe(
      'binance BTC/USDT 1m: nothing is stored.\n',
    );
    expect(rig.candleRequests()).toBe(0);
  });

  test('an exchange that fails ends it with 1 and its reason', async () => {
    const asked = minutes(rig, 100);
    await fill(asked);
    rig.sandbox.control.setFault({ fault: { type: 'status', status: 500 } });
    const { code, stderr } = await store('verify', ...seriesOf(asked));
    expect(code).toBe(1);
    expect(stderr).not.toBe('');
  });

  test('beside the server that owns the store it is refused', async () => {
    await rig.app();
    const { code, stderr } = await store('verify', 'binance', 'BTC/USDT');
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: 'Another process owns this file: it is only read here.\n',
    });
  });
});

describe('export', () => {
  test('CSV holds the settled candles of the range, and what is missing is said', async () => {
    const asked = minutes(rig, 6_000);
    await fill(asked);
    const file = fileOf('btc.csv');
    const wider = { ...asked, from: asked.from - 10 * MINUTE };
    const { code, stdout } = await store('export', ...seriesOf(wider), '--out', file);
    expect(code).toBe(0);
    const range = [wider.from, asked.from].map((at) => new Date(at).toISOString());
    expect(stdout).toBe(
      `binance BTC/USDT 1m: 6000 candles in ${file}\nno candles from ${range.join(' to ')}: not_loaded_yet\n`,
    );
    const lines = readFileSync(file, 'utf8').split('\r\n');
    expect(lines[0]).toBe('timestamp,open,high,low,close,volume,closed');
    expect(lines.slice(1, -1)).toEqual(truth(rig, asked));
    expect(existsSync(`${file}.part`)).toBe(false);
  });

  test('Parquet holds the same, also for an exchange that is no longer enabled', async () => {
    const asked = minutes(rig, 200);
    await fill(asked);
    const file = fileOf('btc.parquet');
    const args = ['store', 'export', ...seriesOf(asked), '--format', 'parquet', '--out', file];
    expect(await command(rig, args, { env: { ENABLED_EXCHANGES: 'kraken' } })).toMatchObject({ code: 0 });
    const bytes = readFileSync(file);
    const content = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
    const rows = await parquetReadObjects({ file: content });
    const lines = rows.map((row) =>
      [
        Number(row['timestamp']),
        row['open'],
        row['high'],
        row['low'],
        row['close'],
        row['volume'],
        row['closed'],
      ].join(','),
    );
    expect(lines).toEqual(truth(rig, asked));
  });

  test('a file that can not be written ends it with 1 and leaves nothing', async () => {
    await fill(minutes(rig, 10));
    const file = fileOf('none/btc.csv');
    const { code, stderr } = await store('export', 'binance', 'BTC/USDT', '--out', file);
    expect(code).toBe(1);
    expect(stderr).toContain('The file can not be written: ');
  });
});

describe('backup', () => {
  test('is a store of its own, made beside the server that writes', async () => {
    const asked = minutes(rig, 3_000);
    await fill(asked);
    await rig.app();
    const file = fileOf('backup.db');
    expect(await store('backup', file)).toEqual({
      ...{ code: 0, stderr: '' },
      stdout: `The store was copied into ${file}.\n`,
    });
    expect(await exportedFrom(`sqlite:${file}`, asked)).toEqual(truth(rig, asked));
    expect(await command(rig, ['store', 'check'], { env: { STORE_URL: `sqlite:${file}` } })).toMatchObject({
      code: 0,
    });
  });

  test('replaces no file, and leaves none where it fails', async () => {
    const file = fileOf('backup.db');
    writeFileSync(file, 'mine');
    expect(await store('backup', file)).toMatchObject({
      ...{ code: 1, stderr: `There is a file ${file} already.\n` },
    });
    expect(readFileSync(file, 'utf8')).toBe('mine');
    expect(await store('backup', fileOf('none/backup.db'))).toMatchObject({ code: 1 });
  });

  test('of a PostgreSQL is a SQLite file', async () => {
    const env = { STORE_URL: await postgres() };
    const asked = minutes(rig, 500);
    expect(await command(rig, ['backfill', ...seriesOf(asked)], { env })).toMatchObject({ code: 0 });
    const file = fileOf('backup.db');
    expect(await command(rig, ['store', 'backup', file], { env })).toMatchObject({ code: 0 });
    expect(await exportedFrom(`sqlite:${file}`, asked)).toEqual(truth(rig, asked));
  });
});

test('vacuum gives free space back', async () => {
  await fill(minutes(rig, 10_000));
  const [, before, now] =
    /^(\d+\.\d) MB before, (\d+\.\d) MB now\n$/.exec((await store('vacuum')).stdout) ?? [];
  expect(Number(now)).toBeGreaterThan(0);
  expect(Number(now)).toBeLessThanOrEqual(Number(before));
  await edit('DELETE FROM candles');
  const { code, stdout } = await store('vacuum');
  expect(code).toBe(0);
  expect(stdout).toMatch(/^\d+\.\d MB before, 0\.\d MB now\n$/);
});

describe('wrong usage', () => {
  test.each([
    [[], 'store takes one of info, check, verify, backup, export, vacuum, copy: see `'],
    [['toString'], 'store takes one of '],
    [['info', '--out', 'file'], 'store info takes no --out: see `'],
    [['check', 'more'], 'Usage: store check: see `'],
    [['backup'], 'Usage: store backup FILE: see `'],
    [['export', 'binance', 'BTC/USDT'], '--out is missing: see `'],
    [
      ['export', 'binance', 'BTC/USDT', '--format', 'xls', '--out', 'file'],
      '--format: must be csv or parquet: see `',
    ],
    [['verify', 'binance'], '--symbol is missing: see `'],
    [['verify', 'binanc', 'BTC/USDT'], 'No exchange is called binanc.'],
    [['copy'], 'Usage: store copy STORE_URL: see `'],
    [['copy', 'none'], 'STORE_URL must be sqlite:<file> or postgres://user@host/database: see `'],
    [['copy', 'mysql://host/candles'], 'STORE_URL must be sqlite:<file> or postgres://'],
  ])('%j: 64', async (args, words) => {
    const { code, stderr } = await store(...args);
    expect(code).toBe(64);
    expect(stderr).toContain(words);
  });
});

test('Ctrl-C ends what is under way with 130', async () => {
  const asked = minutes(rig, 5_000);
  await fill(asked);
  const env = { EXCHANGE_OPTIONS: '{"binance":{"rateLimit":300}}' };
  const { program, ended } = startCommand(rig, ['store', 'verify', ...seriesOf(asked)], { env });
  await expect.poll(() => program.stdout.text, { timeout: 10_000 }).toContain('0 of 5 requests');
  program.signal('SIGINT');
  expect(await ended).toMatchObject({ code: 130, stderr: '\nEnded before it was done.\n' });
});
