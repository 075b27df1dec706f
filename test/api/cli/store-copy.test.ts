/** `store copy`: everything arrives, both ways, however often it is ended on its way. */
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openSource, openTarget, type CopyLocation } from '../../../src/ledger/copy/copy-end.js';
import { copyStore, type CopyProgress } from '../../../src/ledger/copy/copy-store.js';
import { settlePage } from '../../../src/ledger/settle.js';
import { createSqlStore } from '../../../src/ledger/sql-store.js';
import { SQLITE_NOW } from '../../../src/ledger/sqlite/sqlite-database.js';
import type { SqlRow } from '../../../src/ledger/sql.js';
import { candleAt, DAY, NAME, pageOf, T0 } from '../../unit/ledger/candle-data.js';
import { LedgerRig, MINUTE } from '../ledger/ledger-app.js';
import { createTestDatabase, type TestDatabase } from '../ledger/postgres.js';
import { command, type Ended } from './cli-rig.js';

let rig: LedgerRig;
let database: TestDatabase;
beforeEach(async () => {
  rig = await LedgerRig.start();
  const made = await createTestDatabase();
  if (made === null) throw new Error('These tests need a PostgreSQL.');
  database = made;
});
afterEach(async () => {
  await rig.close();
  await database.drop();
});

const sqlite = (name = 'candles.db'): CopyLocation & { kind: 'sqlite' } => ({
  kind: 'sqlite',
  file: join(rig.folder, name),
});
const postgres = (): CopyLocation & { kind: 'postgres' } => ({ kind: 'postgres', url: database.url });

/** Pages of 1,000 candles of two series, with numbers that are hard to carry, corrections, a hole, a job and a due check. */
const fill = async (location: CopyLocation, { pages = 6, marker = 'sandbox' } = {}): Promise<void> => {
  const end = await openTarget(location);
  const store = createSqlStore({ database: end.database, databaseNow: SQLITE_NOW });
  const write = async (given: Parameters<typeof pageOf>[0]): Promise<void> => {
    const settled = settlePage(pageOf({ askedAt: T0 + 30 * DAY, ...given }), 10_000);
    if (settled !== null) await store.write(settled);
  };
  await store.setMeta('marker', marker);
  for (let page = 0; page < pages; page += 1) {
    await write({ first: page * 1_000, count: 1_000 });
    await write({ first: page * 1_000, count: 900, symbol: 'ETH/USDT', source: 'websocket', since: null });
  }
  const tiny = { ...candleAt(3), open: 1e-20, close: 1 / 3, volume: 1_234_567_890.123 };
  await write({ first: 3, count: 1, limit: 1, rows: [tiny], askedAt: T0 + 31 * DAY });
  await store.noteListing(NAME, { from: T0 - DAY, first: T0, at: T0 + DAY });
  await store.addJob({ ...NAME, from: T0, to: null, origin: 'setting' }, 1);
  await store.addJob({ ...NAME, from: T0, to: T0 + MINUTE, origin: 'api' }, 2);
  await store.addDue({ ...NAME, at: 5, from: T0, to: T0 + MINUTE });
  await end.close();
};

const TABLES = {
  series: 'id',
  candles: 'series_id, ts',
  revisions: 'series_id, ts, rev',
  coverage: 'series_id, from_ts',
  jobs: 'number',
  due: 'series_id, at, from_ts',
};

const contentOf = async (location: CopyLocation): Promise<Record<string, SqlRow[]>> => {
  const end = await openSource(location);
  const content: Record<string, SqlRow[]> = {};
  for (const [table, key] of Object.entries(TABLES))
    // Copied: node:sqlite gives objects without a prototype.
    content[table] = (await end.database.all(`SELECT * FROM ${table} ORDER BY ${key}`)).map((row) => ({
      ...row,
    }));
  content['meta'] = await end.database.all("SELECT key FROM meta WHERE key <> 'schema_version' ORDER BY key");
  await end.close();
  return content;
};

const urlOf = (location: CopyLocation): string =>
  location.kind === 'sqlite' ? `sqlite:${location.file}` : location.url;
const copy = (from: CopyLocation, to: CopyLocation): Promise<Ended> =>
  command(rig, ['store', 'copy', urlOf(to)], { env: { STORE_URL: urlOf(from) } });

/** Ends the copy at its `pages`th page, as a process that dies there. */
const copyUntil = async (from: CopyLocation, to: CopyLocation, pages: number): Promise<CopyProgress[]> => {
  const [source, target] = [await openSource(from), await openTarget(to)];
  const seen: CopyProgress[] = [];
  const onProgress = (progress: CopyProgress): Promise<void> =>
    seen.push(progress) === pages ? Promise.reject(new Error('ended here')) : Promise.resolve();
  try {
    await copyStore({ source, target, onProgress }).catch(() => undefined);
  } finally {
    await target.close();
    await source.close();
  }
  return seen;
};

test('SQLite to PostgreSQL and back: every row of every table is the same, and both ends count the same', async () => {
  await fill(sqlite());
  const there = await copy(sqlite(), postgres());
  expect(there).toMatchObject({ code: 0, stderr: '' });
  expect(there.stdout).toMatch(
    /^copy: done, equal in both stores: 2 series, 11400 candles, 1 revisions, 1 due, 2 jobs, \d+ coverage\.\n$/m,
  );
  const content = await contentOf(sqlite());
  expect(content['candles']).toHaveLength(11_400);
  expect(await contentOf(postgres())).toEqual(content);
  const back = await copy(postgres(), sqlite('back.db'));
  expect(back).toMatchObject({ code: 0, stderr: '' });
  expect(await contentOf(sqlite('back.db'))).toEqual(content);
});

test('a server goes on in the copy: new series get numbers of their own', async () => {
  await fill(sqlite());
  await copy(sqlite(), postgres());
  const from = Math.floor(rig.now() / MINUTE) * MINUTE - 100 * MINUTE;
  const args = [
    'backfill',
    'binance',
    'SOL/USDT',
    '--interval',
    '1m',
    '--from',
    from,
    '--to',
    from + 10 * MINUTE,
  ];
  expect(await command(rig, args, { env: { STORE_URL: database.url } })).toMatchObject({ code: 0 });
  const { series } = await contentOf(postgres());
  expect(series?.map(({ symbol }) => symbol)).toEqual(['BTC/USDT', 'ETH/USDT', 'SOL/USDT']);
});

describe('a copy that was ended', () => {
  test('goes on behind the last page that arrived, and knows nothing before it is whole', async () => {
    await fill(sqlite());
    await copyUntil(sqlite(), postgres(), 2);
    expect((await contentOf(postgres()))['coverage']).toEqual([]);
    const seen = await copyUntil(sqlite(), postgres(), Infinity);
    expect(seen.map(({ candles }) => candles)).toEqual([5_000, 10_000, 11_400]);
    expect(await contentOf(postgres())).toEqual(await contentOf(sqlite()));
  });

  test('begins anew where the source was written since', async () => {
    await fill(sqlite());
    await copyUntil(sqlite(), postgres(), 2);
    await fill(sqlite(), { pages: 7 });
    const seen = await copyUntil(sqlite(), postgres(), Infinity);
    expect(seen[0]).toEqual({ candles: 0, of: 13_300 });
    expect(await contentOf(postgres())).toEqual(await contentOf(sqlite()));
  });
});

test('a source that is written meanwhile is told, and the next copy is whole', async () => {
  await fill(sqlite(), { pages: 1 });
  await copy(sqlite(), postgres());
  const [source, target] = [await openSource(postgres()), await openTarget(sqlite('back.db'))];
  const onProgress = (): Promise<void> =>
    source.database.run('UPDATE series SET written_at = written_at + 1').then(() => undefined);
  await expect(copyStore({ source, target, onProgress })).rejects.toThrow('The source was written meanwhile');
  await target.close();
  await source.close();
  expect(await copy(postgres(), sqlite('back.db'))).toMatchObject({ code: 0 });
});

test('a second copy finds both equal, an empty store is copied, and other content is not touched', async () => {
  await fill(sqlite());
  await copy(sqlite(), sqlite('second.db'));
  expect((await copy(sqlite(), sqlite('second.db'))).stdout).toContain('equal in both stores: 2 series');
  expect((await copy(sqlite('empty.db'), sqlite('third.db'))).stdout).toContain(
    'equal in both stores: 0 series',
  );
  await fill(sqlite('other.db'), { pages: 1 });
  const refused = await copy(sqlite(), sqlite('other.db'));
  expect(refused).toMatchObject({
    ...{ code: 1, stderr: 'The target is not empty, and holds no copy that was ended.\n' },
  });
});

describe('what is refused', () => {
  test('simulated data in the store of a server for real exchanges: 78', async () => {
    await fill(sqlite());
    await fill(postgres(), { pages: 1, marker: 'real' });
    const { code, stderr } = await copy(sqlite(), postgres());
    expect(code).toBe(78);
    expect(stderr).toContain('STORE_URL: The source holds data of kind sandbox:1, the target of kind real.');
  });

  test('a source or a target that a server owns: 1', async () => {
    await rig.app();
    expect(await copy(sqlite(), sqlite('second.db'))).toMatchObject({ code: 1 });
    const { code, stderr } = await copy(sqlite('second.db'), sqlite());
    expect({ code, stderr }).toEqual({ code: 1, stderr: 'Another process owns the target: end it first.\n' });
  });

  test('a target of a newer schema: 1', async () => {
    await fill(sqlite(), { pages: 1 });
    for (const location of [postgres(), sqlite('newer.db')]) {
      const end = await openTarget(location);
      await end.database.run("UPDATE meta SET value = '999' WHERE key = 'schema_version'");
      await end.close();
      const { code, stderr } = await copy(sqlite(), location);
      expect(code).toBe(1);
      expect(stderr).toContain('The store has schema 999');
    }
  });
});
