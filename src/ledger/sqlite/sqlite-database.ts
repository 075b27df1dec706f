/** One SQLite file as a Database. Synchronous underneath: it belongs into a thread of its own. */
import { statSync } from 'node:fs';
import { CANDLE_COLUMNS, jsonCandles } from '../candle-json.js';
import { numberOf, onlyRow } from '../rows.js';
import type { Migration } from '../migrations.js';
import { StoreError } from '../store-error.js';
import { metaOf, type Database, type JsonCandles } from '../sql.js';
import type { SqliteDriver, SqliteSession } from './driver.js';
import { createTurns, inTransaction, migrate, openSession, quickCheck, settled } from './transactions.js';

/** How long a statement waits for another process that writes. */
const BUSY_TIMEOUT_MS = 5_000;
const WAL_LIMIT_BYTES = 64 * 1024 * 1024;
/** Larger files are not read through at each start. */
const QUICK_CHECK_BYTES = 256 * 1024 * 1024;

const UPSERT = `INSERT INTO candles (series_id, ts, open, high, low, close, volume, meta) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
  ON CONFLICT (series_id, ts) DO UPDATE SET open = excluded.open, high = excluded.high, low = excluded.low,
    close = excluded.close, volume = excluded.volume, meta = excluded.meta`;
/** The same for numbers that a driver would bind as whole ones. */
const UPSERT_TEXT = UPSERT.replace(/\$([3-7])/g, 'CAST($$$1 AS REAL)');
const RANGE = `SELECT ${CANDLE_COLUMNS.join(', ')} FROM candles WHERE series_id = $1 AND ts >= $2 AND ts < $3`;

/** @photostructure/sqlite binds what is within 2.2e-16 of a whole number as that number: 1e-20 would become 0. */
const looksWhole = (value: number | null): boolean =>
  value !== null && !Number.isInteger(value) && Math.abs(value - Math.round(value)) < 1e-15;
const asText = (value: number | null): string | null => (value === null ? null : String(value));

const sizeOfFile = (file: string): number => {
  try {
    return statSync(file).size;
  } catch {
    return 0;
  }
};

export interface SqliteFile {
  readonly session: SqliteSession;
  /** What `work` asks for before it returns fails at once where it would wait for another process. */
  withoutWaiting<T>(work: () => T): T;
  readonly database: Database;
  readonly readOnly: boolean;
  /** Applied migrations with the time each took. */
  readonly migrated: readonly { readonly name: string; readonly ms: number }[];
}

const requireWal = (session: SqliteSession): void => {
  const [row] = session.all('PRAGMA journal_mode = WAL');
  if (row?.['journal_mode'] !== 'wal')
    throw new StoreError(
      'unavailable',
      'This file system does not take a write-ahead log (a network disk?).',
    );
};

/** Throws `corrupt`. */
const requireSound = (driver: SqliteDriver, file: string): void => {
  const bytes = sizeOfFile(file);
  if (bytes === 0 || bytes > QUICK_CHECK_BYTES) return;
  const verdict = quickCheck(driver, file);
  if (verdict !== 'ok') throw new StoreError('corrupt', verdict);
};

/**
 * Opens the file, and makes or migrates its tables where `owner`; else it is only read. Throws StoreErrors: `corrupt`,
 * `read_only` where its schema is newer, `unavailable`.
 */
export const openSqliteFile = (
  driver: SqliteDriver,
  { file, owner, migrations }: { file: string; owner: boolean; migrations: readonly Migration[] },
): SqliteFile => {
  requireSound(driver, file);
  const session = openSession(driver, file, { readOnly: false });
  try {
    session.exec(`PRAGMA busy_timeout = ${BUSY_TIMEOUT_MS}`);
    if (owner) requireWal(session);
    session.exec('PRAGMA synchronous = NORMAL');
    session.exec(`PRAGMA journal_size_limit = ${WAL_LIMIT_BYTES}`);
    const migrated = owner ? migrate(session, { migrations, table: 'meta', newerIs: 'read_only' }) : [];
    if (!owner) session.exec('PRAGMA query_only = 1');
    const withoutWaiting: SqliteFile['withoutWaiting'] = (work) => {
      session.exec('PRAGMA busy_timeout = 0');
      try {
        return work();
      } finally {
        session.exec(`PRAGMA busy_timeout = ${BUSY_TIMEOUT_MS}`);
      }
    };
    const database = createSqliteDatabase(session, file);
    return { session, withoutWaiting, database, readOnly: !owner, migrated };
  } catch (thrown) {
    session.close();
    throw thrown;
  }
};

const createSqliteDatabase = (session: SqliteSession, file: string): Database => {
  const inTurn = createTurns();
  return {
    all: (text, values) => settled(() => session.all(text, values)),
    run: (text, values) => settled(() => session.run(text, values)),
    transaction: (_lock, work) => inTurn(() => inTransaction(session, work)),
    upsertCandles: (_sql, series, candles) =>
      settled(() => {
        for (const row of candles) {
          const { timestamp, open, high, low, close, volume } = row;
          if ([open, high, low, close, volume].some(looksWhole)) {
            const texts = [open, high, low, close, volume].map(asText);
            session.run(UPSERT_TEXT, [series, timestamp, ...texts, metaOf(row)]);
          } else session.run(UPSERT, [series, timestamp, open, high, low, close, volume, metaOf(row)]);
        }
      }),
    candlesJson: ({ series, from, to, limit, newest }) =>
      settled((): JsonCandles => {
        const order = newest ? 'DESC' : 'ASC';
        const rows = session.lists(`${RANGE} ORDER BY ts ${order} LIMIT $4`, [series, from, to, limit]);
        return jsonCandles(newest ? rows.reverse() : rows);
      }),
    size: () =>
      settled(() => {
        const pragma = (name: string): number => numberOf(onlyRow(session.all(`PRAGMA ${name}`)), name);
        // Pages that are free again are filled before the file grows.
        const free = pragma('freelist_count') * pragma('page_size');
        return { bytes: sizeOfFile(file) - free, walBytes: sizeOfFile(`${file}-wal`) };
      }),
    vacuum: () =>
      settled(() => {
        session.exec('VACUUM');
        // The smaller file stands in the write-ahead log until then.
        session.all('PRAGMA wal_checkpoint(TRUNCATE)');
      }),
    check: () =>
      settled(() => {
        const rows = session.all('PRAGMA integrity_check(20)');
        return rows.map((row) => String(Object.values(row)[0])).filter((text) => text !== 'ok');
      }),
    close: () => settled(() => session.close()),
  };
};

/** SQLite's own clock in milliseconds, as an expression. */
export const SQLITE_NOW = "CAST(unixepoch('now', 'subsec') * 1000 AS INTEGER)";
