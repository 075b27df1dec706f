import { mkdtempSync, rmSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { readMigrations } from '../../../src/ledger/migrations.js';
import { createSqlStore } from '../../../src/ledger/sql-store.js';
import { loadSqlite, SqliteSession } from '../../../src/ledger/sqlite/driver.js';
import { openSqliteFile, SQLITE_NOW } from '../../../src/ledger/sqlite/sqlite-database.js';
import { storeContract } from './store-contract.js';

storeContract('a store in a SQLite file', () => {
  const folder = mkdtempSync(join(tmpdir(), 'candles-'));
  const file = join(folder, 'candles.db');
  const { database } = openSqliteFile(loadSqlite(), {
    file,
    owner: true,
    migrations: readMigrations('sqlite'),
  });
  const store = createSqlStore({ database, databaseNow: SQLITE_NOW });
  const end = async () => {
    await store.close();
    rmSync(folder, { recursive: true });
  };
  return Promise.resolve({ store, end });
});

test("the driver is Node's own where Node has one, else the package", () => {
  expect(loadSqlite().name).toBe(isBuiltin('node:sqlite') ? 'node:sqlite' : '@photostructure/sqlite');
});

test('rows are lists of their columns, also of a driver that gives objects only', () => {
  const connection = loadSqlite().open(':memory:');
  const objectsOnly = {
    exec: (text: string) => connection.exec(text),
    close: () => connection.close(),
    prepare: (text: string) => {
      const statement = connection.prepare(text);
      return {
        all: (...values: (string | number | null)[]) => statement.all(...values),
        run: (...values: (string | number | null)[]) => statement.run(...values),
      };
    },
  };
  const text = 'SELECT $2 AS second, $1 AS first, $2 AS again, NULL AS none';
  for (const driver of [connection, objectsOnly]) {
    const session = new SqliteSession(driver);
    expect(session.lists(text, [1.5, 'x'])).toEqual([['x', 1.5, 'x', null]]);
    expect({ ...session.all(text, [1.5, 'x'])[0] }).toEqual({
      second: 'x',
      first: 1.5,
      again: 'x',
      none: null,
    });
  }
  connection.close();
});
