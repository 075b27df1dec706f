/**
 * Keys in one SQLite file, which several processes may use at once. Statements are short and run in this thread; a file
 * that another process is writing to is waited for without holding the thread up.
 */
import { existsSync, mkdirSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { newerSchema, pending, readMigrations } from '../../ledger/migrations.js';
import type { Sql } from '../../ledger/sql.js';
import { loadSqlite, sqliteFault, SqliteSession, type SqliteDriver } from '../../ledger/sqlite/driver.js';
import { StoreError } from '../../ledger/store-error.js';
import { createSqlAccessStore, type AccessDatabase } from './sql-access-store.js';
import type { AccessStore } from './store.js';

/** How long another process' write is waited for, and between two looks. */
const BUSY_FOR_MS = 5_000;
const BUSY_WAIT_MS = 5;
const FIRST_PAGE_WITHIN_MS = 1_000;
const MIGRATIONS = new URL('./migrations/', import.meta.url);

const isBusy = (thrown: unknown): boolean => thrown instanceof StoreError && thrown.fault === 'busy';

/** Calls `work` again while another process holds the file. */
const whenFree = async <T>(work: () => T): Promise<T> => {
  const giveUpAt = performance.now() + BUSY_FOR_MS;
  for (;;)
    try {
      return work();
    } catch (thrown) {
      if (!isBusy(thrown) || performance.now() >= giveUpAt) throw thrown;
      await delay(BUSY_WAIT_MS, undefined, { ref: false });
    }
};

const sizeOf = (file: string): number => statSync(file).size;

/** Resolves when another process that is just making the file has written its first page. */
const whenWritten = async (file: string): Promise<void> => {
  const giveUpAt = performance.now() + FIRST_PAGE_WITHIN_MS;
  while (sizeOf(file) === 0 && performance.now() < giveUpAt)
    await delay(BUSY_WAIT_MS, undefined, { ref: false });
};

const openFile = (
  driver: SqliteDriver,
  file: string,
  options: { readonly readOnly: boolean },
): SqliteSession => {
  try {
    return new SqliteSession(driver.open(file, options));
  } catch (thrown) {
    throw sqliteFault(thrown);
  }
};

/**
 * Throws `corrupt` for a file that is damaged, also for one without a byte: SQLite would take that for a new database,
 * and every key would be unknown from then on. Only reads: a connection that may write changes a damaged file when it is
 * closed.
 */
const requireSound = (driver: SqliteDriver, file: string): void => {
  if (sizeOf(file) === 0)
    throw new StoreError(
      'corrupt',
      'The file of keys is empty: restore it, or delete it to begin with none.',
    );
  const session = openFile(driver, file, { readOnly: true });
  try {
    const [row] = session.all('PRAGMA quick_check(1)');
    const verdict = Object.values(row ?? {})[0];
    if (verdict !== 'ok') throw new StoreError('corrupt', 'The file of keys is damaged.');
  } finally {
    session.close();
  }
};

const migrate = (session: SqliteSession): void => {
  session.exec('BEGIN IMMEDIATE');
  try {
    const tables = session.all("SELECT name FROM sqlite_master WHERE type = 'table'");
    if (tables.length > 0 && !tables.some(({ name }) => name === 'access_meta'))
      throw new StoreError('unavailable', 'The file that AUTH_STORE names is no store of keys.');
    session.exec('CREATE TABLE IF NOT EXISTS access_meta (key TEXT PRIMARY KEY, value TEXT NOT NULL)');
    const [row] = session.all("SELECT value FROM access_meta WHERE key = 'schema_version'");
    const version = Number(row?.['value'] ?? 0);
    const migrations = readMigrations('sqlite', MIGRATIONS);
    const newer = newerSchema(migrations, version);
    if (newer !== null) throw new StoreError('unavailable', newer);
    for (const { text, version: reached } of pending(migrations, version)) {
      session.exec(text);
      session.run(
        "INSERT INTO access_meta VALUES ('schema_version', $1) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        [String(reached)],
      );
    }
    session.exec('COMMIT');
  } catch (thrown) {
    session.exec('ROLLBACK');
    throw thrown;
  }
};

const openSession = async (driver: SqliteDriver, file: string, isNew: boolean): Promise<SqliteSession> => {
  if (!isNew) {
    await whenWritten(file);
    await whenFree(() => requireSound(driver, file));
  }
  const session = openFile(driver, file, { readOnly: false });
  try {
    session.exec('PRAGMA busy_timeout = 0');
    await whenFree(() => session.all('PRAGMA journal_mode = WAL'));
    session.exec('PRAGMA synchronous = FULL');
    await whenFree(() => migrate(session));
    return session;
  } catch (thrown) {
    session.close();
    throw thrown;
  }
};

/** What throws at once, as a rejection. */
const settled = <T>(work: () => T): Promise<T> =>
  new Promise((resolve) => {
    resolve(work());
  });

const createDatabase = (session: SqliteSession, file: string): AccessDatabase => {
  const identity = (): string => {
    const { dev, ino } = statSync(file);
    return `${dev} ${ino}`;
  };
  const opened = identity();
  /** An open file lives on after it was replaced: what is written to it then is lost, and what others write is not seen. */
  const requireSameFile = (): void => {
    if (existsSync(file) && identity() === opened) return;
    throw new StoreError('unavailable', 'The file of keys was moved or replaced.');
  };
  let last: Promise<unknown> = Promise.resolve();
  /** One after the other: a statement must not slip into somebody else's transaction. */
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const turn = last.then(() => {
      requireSameFile();
      return work();
    });
    last = turn.catch(() => undefined);
    return turn;
  };
  // Between the beginning and the end of a transaction nobody else holds the file.
  const sql: Sql = {
    all: (text, values) => settled(() => session.all(text, values)),
    run: (text, values) => settled(() => session.run(text, values)),
  };
  return {
    all: (text, values) => inTurn(() => whenFree(() => session.all(text, values))),
    run: (text, values) => inTurn(() => whenFree(() => session.run(text, values))),
    transaction: (work) =>
      inTurn(async () => {
        await whenFree(() => session.exec('BEGIN IMMEDIATE'));
        try {
          const value = await work(sql);
          session.exec('COMMIT');
          return value;
        } catch (thrown) {
          try {
            session.exec('ROLLBACK');
          } catch {
            // SQLite has rolled back by itself where the disk was full.
          }
          throw thrown;
        }
      }),
    // Other processes look for a new version by themselves.
    announce: () => Promise.resolve(),
    close: async () => {
      await last;
      try {
        // So that a copy of the file alone has everything.
        session.all('PRAGMA wal_checkpoint(TRUNCATE)');
      } catch {
        // Another process is using it, and will.
      }
      session.close();
    },
  };
};

export interface SqliteAccessOptions {
  readonly file: string;
  /** false: a file that is not there is a fault, not a new store. */
  readonly create: boolean;
  readonly driver?: SqliteDriver;
}

/** Rejects with a StoreError: `corrupt`, `busy` or `unavailable`. */
export const openSqliteAccessStore = async (options: SqliteAccessOptions): Promise<AccessStore> => {
  const { file, create, driver = loadSqlite() } = options;
  const isNew = !existsSync(file);
  if (isNew && !create) throw new StoreError('unavailable', 'The file of keys is not there.');
  try {
    if (isNew) mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  } catch {
    throw new StoreError('unavailable', 'The folder for the file of keys cannot be made.');
  }
  const session = await openSession(driver, file, isNew);
  return createSqlAccessStore(createDatabase(session, file));
};
