/** A consistent copy of a SQLite file that another process may be writing. */
import { existsSync, renameSync, rmSync } from 'node:fs';
import { StoreError } from '../store-error.js';
import { loadSqlite, sqliteFault, SqliteSession } from './driver.js';

/**
 * Blocks until it is done. The copy has its name only when it is whole. Throws StoreErrors: `unavailable` where there is
 * such a file already.
 */
export const backupSqliteFile = (file: string, target: string): void => {
  if (existsSync(target)) throw new StoreError('unavailable', `There is a file ${target} already.`);
  const part = `${target}.part`;
  rmSync(part, { force: true });
  try {
    const session = new SqliteSession(loadSqlite().open(file, { readOnly: true }));
    try {
      session.run('VACUUM INTO $1', [part]);
    } finally {
      session.close();
    }
    renameSync(part, target);
  } catch (thrown) {
    rmSync(part, { force: true });
    throw sqliteFault(thrown);
  }
};
