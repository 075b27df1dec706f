import { mkdtempSync, rmSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { readMigrations } from '../../../src/ledger/migrations.js';
import { createSqlStore } from '../../../src/ledger/sql-store.js';
import { loadSqlite } from '../../../src/ledger/sqlite/driver.js';
import { openSqliteFile, SQLITE_NOW } from '../../../src/ledger/sqlite/sqlite-database.js';
import { storeContract } from './contract.js';

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
