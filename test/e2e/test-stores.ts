/** The stores that end-to-end tests of the ledger run on: a file, and a database of their own on a PostgreSQL. */
import { copyFileSync, existsSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { vi } from 'vitest';
import { readMigrations } from '../../src/ledger/migrations.js';
import { openPostgres, POSTGRES_NOW } from '../../src/ledger/postgres/postgres-database.js';
import { createSqlStore, type SqlStoreOptions } from '../../src/ledger/sql-store.js';
import { loadSqlite } from '../../src/ledger/sqlite/driver.js';
import { openSqliteFile, SQLITE_NOW } from '../../src/ledger/sqlite/sqlite-database.js';
import { checkStore } from '../../src/ledger/store-check.js';
import { createTestDatabase } from '../api/ledger/postgres.js';

export interface Look {
  /** What is wrong with the store. */
  readonly faults: string[];
  readonly candles: number;
}

export interface TestStore {
  /** STORE_URL */
  readonly url: string;
  /** Of a store that nobody has open. */
  look(): Promise<Look>;
  /** What would be found after a power cut now, while the server stands still; looked at later. */
  freeze(): Promise<() => Promise<Look>>;
  /** Resolves when nothing of a server that was killed is under way; its leases have run out then. */
  bury(): Promise<void>;
  close(): Promise<void>;
}

const lookInto = async (options: SqlStoreOptions): Promise<Look> => {
  const store = createSqlStore(options);
  const faults = await checkStore(store);
  const { candles } = await store.totals();
  await store.close();
  return { faults, candles };
};

/** As a process does that owns the file from now on. */
const lookAtFile = (file: string): Promise<Look> => {
  const { database } = openSqliteFile(loadSqlite(), {
    ...{ file, owner: true, migrations: readMigrations('sqlite') },
  });
  return lookInto({ database, databaseNow: SQLITE_NOW });
};

const sqliteStore = (folder: string): Promise<TestStore> => {
  const file = join(folder, 'candles.db');
  let copies = 0;
  return Promise.resolve({
    url: `sqlite:${file}`,
    look: () => lookAtFile(file),
    freeze() {
      copies += 1;
      const copy = join(folder, `copy-${copies}.db`);
      for (const part of ['', '-wal']) if (existsSync(file + part)) copyFileSync(file + part, copy + part);
      return Promise.resolve(() => lookAtFile(copy));
    },
    bury: () => Promise.resolve(),
    close: () => Promise.resolve(),
  });
};

const postgresStore = async (): Promise<TestStore> => {
  const database = await createTestDatabase();
  if (database === null) throw new Error('This test needs a PostgreSQL (TEST_POSTGRES_URL).');
  const client = new pg.Client({ connectionString: database.url });
  await client.connect();
  const look = async (): Promise<Look> => {
    const opened = await openPostgres(database.url);
    return lookInto({ database: opened.database, databaseNow: POSTGRES_NOW });
  };
  return {
    url: database.url,
    look,
    async freeze() {
      const found = await look();
      return () => Promise.resolve(found);
    },
    async bury() {
      const others = `SELECT 1 FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'mcp-crypto-data-server'`;
      await vi.waitFor(
        async () => {
          const { rowCount } = await client.query(others);
          if (rowCount !== 0) throw new Error('A connection of the killed server is still open.');
        },
        { timeout: 20_000, interval: 5 },
      );
      await client.query('UPDATE leases SET until = 0');
    },
    async close() {
      await client.end();
      await database.drop();
    },
  };
};

/** `folder`: for the files of one test. */
export const TEST_STORES = [
  { kind: 'SQLite', open: sqliteStore },
  { kind: 'PostgreSQL', open: postgresStore },
] as const satisfies readonly { kind: string; open: (folder: string) => Promise<TestStore> }[];
