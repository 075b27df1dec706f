/** Opening and checking a SQLite file, transactions and migrations: for the candles and for the store of keys. */
import { newerSchema, pending, type Migration } from '../migrations.js';
import { onlyRow, textOf } from '../rows.js';
import type { Sql } from '../sql.js';
import { StoreError } from '../store-error.js';
import { sqliteFault, SqliteSession, type SqliteDriver } from './driver.js';

const BEGIN = 'BEGIN IMMEDIATE';

/** Throws StoreErrors. */
export const openSession = (
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
 * SQLite's verdict on the file: `ok`, or what is damaged. Looks over a connection that only reads: one that may write
 * would put the write-ahead log of a corrupt file into it when it is closed.
 */
export const quickCheck = (driver: SqliteDriver, file: string): string => {
  const session = openSession(driver, file, { readOnly: true });
  try {
    return textOf(onlyRow(session.all('PRAGMA quick_check(1)')), 'quick_check');
  } finally {
    session.close();
  }
};

/** What `work` gives or throws, as a promise: nothing is thrown past the caller's `catch`. */
export const settled = <T>(work: () => T): Promise<T> =>
  new Promise((resolve) => {
    resolve(work());
  });

const sqlOf = (session: SqliteSession): Sql => ({
  all: (text, values) => settled(() => session.all(text, values)),
  run: (text, values) => settled(() => session.run(text, values)),
});

const rollBack = (session: SqliteSession): void => {
  try {
    session.exec('ROLLBACK');
  } catch {
    // SQLite has rolled back by itself where the disk was full.
  }
};

/** Calls are run one after the other, whatever became of those before. */
export type RunInTurn = <T>(work: () => Promise<T>) => Promise<T>;

export const createTurns = (): RunInTurn => {
  let last: Promise<unknown> = Promise.resolve();
  return (work) => {
    const turn = last.then(work);
    last = turn.catch(() => undefined);
    return turn;
  };
};

/**
 * Keeps what `work` did if it resolves, and nothing of it if it rejects. The caller sees to it that no other statement
 * comes to this connection meanwhile. `begin` runs the statement that takes the file for writing, which throws `busy`
 * while another process has it.
 */
export const inTransaction = async <T>(
  session: SqliteSession,
  work: (sql: Sql) => Promise<T>,
  begin: (take: () => void) => Promise<void> | void = (take) => take(),
): Promise<T> => {
  await begin(() => session.exec(BEGIN));
  try {
    const value = await work(sqlOf(session));
    session.exec('COMMIT');
    return value;
  } catch (thrown) {
    rollBack(session);
    throw thrown;
  }
};

export interface MigrationOptions {
  readonly migrations: readonly Migration[];
  /** The table that keeps the schema's version. */
  readonly table: 'meta' | 'access_meta';
  /** The fault of a file whose schema is newer than this program's. */
  readonly newerIs: StoreError['fault'];
  /** Called before anything is changed; throws where the file is not what it should be. */
  readonly check?: () => void;
}

/** All in one transaction. Gives the migrations that were due, with the time each took; throws StoreErrors. */
export const migrate = (
  session: SqliteSession,
  { migrations, table, newerIs, check }: MigrationOptions,
): { name: string; ms: number }[] => {
  const applied: { name: string; ms: number }[] = [];
  session.exec(BEGIN);
  try {
    check?.();
    session.exec(`CREATE TABLE IF NOT EXISTS ${table} (key TEXT PRIMARY KEY, value TEXT NOT NULL)`);
    const [row] = session.all(`SELECT value FROM ${table} WHERE key = 'schema_version'`);
    const version = Number(row?.['value'] ?? 0);
    const newer = newerSchema(migrations, version);
    if (newer !== null) throw new StoreError(newerIs, newer);
    for (const migration of pending(migrations, version)) {
      const startedAt = performance.now();
      session.exec(migration.text);
      session.run(
        `INSERT INTO ${table} VALUES ('schema_version', $1) ON CONFLICT (key) DO UPDATE SET value = excluded.value`,
        [String(migration.version)],
      );
      applied.push({ name: migration.name, ms: Math.round(performance.now() - startedAt) });
    }
    session.exec('COMMIT');
    return applied;
  } catch (thrown) {
    rollBack(session);
    throw thrown;
  }
};
