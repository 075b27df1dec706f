/**
 * Which process writes a file: the one that holds a lock on a second file beside it. The operating system ends the lock
 * with its process, however that dies, so there is no clock in it and no lease that outlives its owner.
 */
import type { SqliteConnection, SqliteDriver } from './driver.js';
import { sqliteFault } from './driver.js';

export interface OwnerLock {
  release(): void;
}

/** null where another process, or another part of this one, holds it. Throws StoreErrors for everything else. */
export const takeOwnerLock = (driver: SqliteDriver, file: string): OwnerLock | null => {
  let connection: SqliteConnection | undefined;
  try {
    connection = driver.open(`${file}-owner`);
    connection.exec('PRAGMA busy_timeout = 0');
    connection.exec('BEGIN EXCLUSIVE');
    const held = connection;
    return { release: () => held.close() };
  } catch (thrown) {
    connection?.close();
    const fault = sqliteFault(thrown);
    if (fault.fault === 'busy') return null;
    throw fault;
  }
};
