// Rows, faults and clocks of the store, taken by themselves.
import { existsSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { mergePage, type Held, type HeldCandle } from '../../../src/ledger/merge.js';
import { readMigrations } from '../../../src/ledger/migrations.js';
import { candleOf, coverageOf, numberOf, onlyRow } from '../../../src/ledger/rows.js';
import { settlePage } from '../../../src/ledger/settle.js';
import { loadSqlite, releaseClosed, sqliteFault } from '../../../src/ledger/sqlite/driver.js';
import { openSqliteFile } from '../../../src/ledger/sqlite/sqlite-database.js';
import { StoreError } from '../../../src/ledger/store-error.js';
import { isOtherData } from '../../../src/ledger/store-status.js';
import { candleAt, DAY, pageOf, T0 } from './candle-data.js';

describe('rows', () => {
  test.each<[string, () => unknown]>([
    ['a text where a number belongs', () => numberOf({ ts: 'soon' }, 'ts')],
    ['nothing where a number belongs', () => candleOf({ ts: null })],
    ['a number where a text belongs', () => coverageOf({ from_ts: 1, to_ts: 2, state: 3 })],
    ['a word that is none of those it can be', () => coverageOf({ from_ts: 1, to_ts: 2, state: 'lost' })],
    ['no row where there is always one', () => onlyRow([])],
  ])('%s is a fault of the database', (_name, read) => {
    expect(read).toThrow('The store holds something unexpected');
  });
});

describe('faults of SQLite', () => {
  const withCode = (code: number, name = 'errcode') => Object.assign(new Error('why'), { [name]: code });
  test.each<[string, unknown, string]>([
    ['a full disk', withCode(13), 'full'],
    ['a corrupt file', withCode(11), 'corrupt'],
    ['an extended code', withCode(11 + 256), 'corrupt'],
    ['the other driver’s code', withCode(5, 'sqliteCode'), 'busy'],
    ['a code that is none', Object.assign(new Error('why'), { errcode: 'x' }), 'unavailable'],
    ['a code without a meaning here', withCode(1), 'unavailable'],
    ['a text only', new Error('database disk image is malformed'), 'corrupt'],
    ['another text', new Error('database or disk is full'), 'full'],
    ['what is no error', 'database is locked', 'busy'],
    ['nothing', null, 'unavailable'],
  ])('%s', (_name, thrown, fault) => {
    expect(sqliteFault(thrown)).toMatchObject({ name: 'StoreError', fault });
  });

  test('a fault of ours stays what it is', () => {
    const own = new StoreError('full', 'why');
    expect(sqliteFault(own)).toBe(own);
  });

  test('a file system without a write-ahead log is refused', () => {
    const memory = { name: 'node:sqlite' as const, open: () => loadSqlite().open(':memory:') };
    expect(() => openSqliteFile(memory, { file: ':memory:', owner: true, migrations: [] })).toThrow(
      'does not take a write-ahead log',
    );
  });

  test('a connection that was closed holds its file no more, and takes its log with it', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'candles-'));
    const file = join(folder, 'candles.db');
    try {
      const { database } = openSqliteFile(loadSqlite(), {
        ...{ file, owner: true, migrations: readMigrations('sqlite') },
      });
      await database.run("INSERT INTO meta VALUES ('a', 'b')");
      await database.close();
      await releaseClosed();
      expect(existsSync(`${file}-wal`)).toBe(false);
      // What takes its place keeps its own.
      renameSync(file, `${file}.away`);
      const { database: next } = openSqliteFile(loadSqlite(), {
        ...{ file, owner: true, migrations: readMigrations('sqlite') },
      });
      await releaseClosed();
      expect(existsSync(`${file}-wal`)).toBe(true);
      await next.close();
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test('a disk that is full rolls back by itself', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'candles-'));
    try {
      const { database, session } = openSqliteFile(loadSqlite(), {
        file: join(folder, 'candles.db'),
        owner: true,
        migrations: readMigrations('sqlite'),
      });
      const failing = database.transaction('x', async (sql) => {
        await sql.run("INSERT INTO meta VALUES ('a', 'b')");
        session.exec('ROLLBACK');
        throw new StoreError('full', 'full');
      });
      await expect(failing).rejects.toMatchObject({ fault: 'full' });
      expect(await database.all("SELECT * FROM meta WHERE key = 'a'")).toEqual([]);
      expect(await database.check()).toEqual([]);
      await database.close();
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

test.each([
  ['real', 'real', false],
  ['real', 'sandbox', true],
  ['sandbox:1', 'real', true],
  ['sandbox:1', 'sandbox:1', false],
  ['sandbox:1', 'sandbox:2', true],
  // A sandbox that is another process does not tell its seed.
  ['sandbox:1', 'sandbox', false],
  ['sandbox', 'sandbox:1', false],
])('a store of %s for a server of %s: other data is %s', (found, own, other) => {
  expect(isOtherData(found, own)).toBe(other);
});

describe('a page', () => {
  test('of an interval that is none, or off its grid, or without anything settled, keeps nothing', () => {
    expect(settlePage(pageOf({ interval: 'soon' }), 0)).toBeNull();
    const shifted = { ...candleAt(1), timestamp: candleAt(1).timestamp + 1 };
    expect(settlePage(pageOf({ rows: [candleAt(0), shifted] }), 0)).toBeNull();
    expect(settlePage(pageOf({ count: 1, askedAt: T0 }), 0)).toBeNull();
  });
});

describe('merging', () => {
  const settled = (given: Parameters<typeof pageOf>[0]) => {
    const page = settlePage(pageOf(given), 0);
    if (page === null) throw new Error('nothing is settled');
    return page;
  };
  const held = (candle: Partial<HeldCandle>, coverage: Held['coverage'] = []): Held => {
    const row = { ...candleAt(0), source: 'rest' as const, revised: false, disputed: false, ...candle };
    return { candles: new Map([[T0, row]]), coverage, revisions: new Map() };
  };

  test('REST confirms what a feed said: it is REST’s from now on', () => {
    const { upserts, revisions } = mergePage(settled({ count: 1 }), held({ source: 'websocket' }));
    expect(upserts).toMatchObject([{ timestamp: T0, source: 'rest', revised: false }]);
    expect(revisions).toEqual([]);
  });

  test('an answer that was asked for earlier replaces nothing, however late it comes', () => {
    const { coverage } = settled({ count: 1, askedAt: T0 + 2 * DAY });
    const page = settled({ rows: [candleAt(0, 5)], askedAt: T0 + DAY });
    expect(mergePage(page, held({}, coverage)).upserts).toEqual([]);
    const later = settled({ rows: [candleAt(0, 5)], askedAt: T0 + 3 * DAY });
    expect(mergePage(later, held({}, coverage)).upserts).toMatchObject([{ close: 5, revised: true }]);
  });

  test('when a candle was last seen is told where it is known', () => {
    const page = settled({ rows: [candleAt(0, 5)] });
    expect(mergePage(page, held({})).revisions).toMatchObject([{ rev: 1, seenAt: null }]);
  });

  test('a figure that comes or goes is a correction, a difference of printing is none', () => {
    expect(mergePage(settled({ rows: [{ ...candleAt(0), volume: 0 }] }), held({})).revisions).toHaveLength(1);
    const printed = { ...candleAt(0), close: 100 + 1e-8 };
    expect(mergePage(settled({ rows: [printed] }), held({})).revisions).toEqual([]);
  });
});
