/** Source or target of a copy: the tables alone, without the store's thread and timers. */
import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { readMigrations } from '../migrations.js';
import type { Database } from '../sql.js';
import { StoreError } from '../store-error.js';
import { loadSqlite } from '../sqlite/driver.js';
import { takeOwnerLock } from '../sqlite/owner-lock.js';
import { openSqliteFile } from '../sqlite/sqlite-database.js';

export type CopyLocation =
  { readonly kind: 'sqlite'; readonly file: string } | { readonly kind: 'postgres'; readonly url: string };

export interface CopyEnd {
  readonly kind: CopyLocation['kind'];
  readonly database: Database;
  close(): Promise<void>;
}

const newer = (reason: string): StoreError => new StoreError('read_only', reason);

const openPostgresEnd = async (url: string): Promise<CopyEnd> => {
  const { openPostgres } = await import('../postgres/postgres-database.js');
  const { database, readOnly } = await openPostgres(url);
  const close = (): Promise<void> => database.close();
  if (readOnly === null) return { kind: 'postgres', database, close };
  await close();
  throw newer(readOnly);
};

/** Read while another part of this process owns the file. Rejects with StoreErrors. */
export const openSource = async (location: CopyLocation): Promise<CopyEnd> => {
  if (location.kind === 'postgres') return openPostgresEnd(location.url);
  const { database } = openSqliteFile(loadSqlite(), { file: location.file, owner: false, migrations: [] });
  return { kind: 'sqlite', database, close: () => database.close() };
};

/** Created where it does not exist, and locked until it is closed. Rejects with StoreErrors. */
export const openTarget = async (location: CopyLocation): Promise<CopyEnd> => {
  if (location.kind === 'postgres') return openPostgresEnd(location.url);
  const { file } = location;
  const driver = loadSqlite();
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  const lock = takeOwnerLock(driver, file);
  if (lock === null) throw new StoreError('busy', 'Another process owns the target: end it first.');
  try {
    const { database } = openSqliteFile(driver, { file, owner: true, migrations: readMigrations('sqlite') });
    const close = async (): Promise<void> => {
      await database.close();
      lock.release();
    };
    return { kind: 'sqlite', database, close };
  } catch (thrown) {
    lock.release();
    throw thrown;
  }
};
