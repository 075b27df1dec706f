/**
 * Keys in one SQLite file, which several processes may use at once. Statements are short and run in this thread; a file
 * that another process is writing to is waited for without holding the thread up.
 */
import { existsSync, mkdirSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { readMigrations } from '../../ledger/migrations.js';
import { loadSqlite, type SqliteDriver, type SqliteSession } from '../../ledger/sqlite/driver.js';
import {
  createTurns,
  inTransaction,
  migrate,
  openSession,
  quickCheck,
} from '../../ledger/sqlite/transactions.js';
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

/**
 * Throws `corrupt` for a file that is damaged, also for one without a byte: SQLite would take that for a new database,
 * and every key would be unknown from then on.
 */
const requireSound = (driver: SqliteDriver, file: string): void => {
  if (sizeOf(file) === 0)
    throw new StoreError(
      'corrupt',
      'The file of keys is empty: restore it, or delete it to begin with none.',
    );
  if (quickCheck(driver, file) !== 'ok') throw new StoreError('corrupt', 'The file of keys is damaged.');
};

const migrateKeys = (session: SqliteSession): void => {
  migrate(session, {
    migrations: readMigrations('sqlite', MIGRATIONS),
    table: 'access_meta',
    newerIs: 'unavailable',
    check() {
      const tables = session.all("SELECT name FROM sqlite_master WHERE type = 'table'");
      if (tables.length > 0 && !tables.some(({ name }) => name === 'access_meta'))
        throw new StoreError('unavailable', 'The file that AUTH_STORE names is no store of keys.');
    },
  });
};

const openKeys = async (driver: SqliteDriver, file: string, isNew: boolean): Promise<SqliteSession> => {
  if (!isNew) {
    await whenWritten(file);
    await whenFree(() => requireSound(driver, file));
  }
  const session = openSession(driver, file, { readOnly: false });
  try {
    session.exec('PRAGMA busy_timeout = 0');
    await whenFree(() => session.all('PRAGMA journal_mode = WAL'));
    session.exec('PRAGMA synchronous = FULL');
    await whenFree(() => migrateKeys(session));
    return session;
  } catch (thrown) {
    session.close();
    throw thrown;
  }
};

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
  const turns = createTurns();
  /** One after the other: a statement must not slip into somebody else's transaction. */
  const inTurn = <T>(work: () => Promise<T>): Promise<T> =>
    turns(() => {
      requireSameFile();
      return work();
    });
  return {
    all: (text, values) => inTurn(() => whenFree(() => session.all(text, values))),
    run: (text, values) => inTurn(() => whenFree(() => session.run(text, values))),
    // Only its beginning may have to wait: from then on this process holds the file.
    transaction: (work) => inTurn(() => inTransaction(session, work, whenFree)),
    // Other processes look for a new version by themselves.
    announce: () => Promise.resolve(),
    close: async () => {
      await turns(() => Promise.resolve());
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
  const session = await openKeys(driver, file, isNew);
  return createSqlAccessStore(createDatabase(session, file));
};
