/** A store handle on the PostgreSQL of this machine, through a proxy that can take it away. */
import pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, vi } from 'vitest';
import { readMigrations, type Migration } from '../../../src/ledger/migrations.js';
import { openPostgresStore, type PostgresStoreOptions } from '../../../src/ledger/postgres/postgres-store.js';
import type { StoreHandle } from '../../../src/ledger/store-status.js';
import { recordingLog } from '../../support/recording-log.js';
import { startTcpProxy, type TcpProxy } from '../../support/tcp-proxy.js';
import { createTestDatabase, type TestDatabase } from './postgres.js';

/** One for each test file, made by useProxy: files that run in one process share this module, and each drops its own. */
export let database: TestDatabase;

const handles: StoreHandle[] = [];
/** One for each test, opened by useProxy. */
export let proxy: TcpProxy;

/** Registers the hooks of a test file: a proxy and an empty database for each test. */
export const useProxy = (): void => {
  beforeAll(async () => {
    const made = await createTestDatabase();
    if (made === null) throw new Error('These tests need a PostgreSQL (TEST_POSTGRES_URL).');
    database = made;
  });
  afterAll(() => database.drop());
  beforeEach(async () => {
    proxy = await startTcpProxy(Number(new URL(database.url).port));
  });
  afterEach(async () => {
    vi.useRealTimers();
    proxy.delayMs = 0;
    proxy.tamper = null;
    for (const handle of handles.splice(0)) await handle.close();
    await proxy.close();
    await database.alter('RESET ALL');
    await database.empty();
  });
};

const throughProxy = (): string => {
  const url = new URL(database.url);
  url.port = String(proxy.port);
  return url.href;
};
export const handleOf = (given: Partial<PostgresStoreOptions> = {}) => {
  const log = recordingLog();
  const handle = openPostgresStore({ url: throughProxy(), marker: 'real', log, now: Date.now, ...given });
  handles.push(handle);
  return { handle, log };
};
export const storeOf = (handle: StoreHandle) => {
  const store = handle.store();
  if (store === null) throw new Error('not open');
  return store;
};
export const sql = async (
  text: string,
  values: readonly unknown[] = [],
): Promise<Record<string, unknown>[]> => {
  const client = new pg.Client({ connectionString: database.url });
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(text, [...values])).rows;
  } finally {
    await client.end();
  }
};
/** Nobody can connect, and who is connected no more is. */
export const takeAway = async () => {
  proxy.targetPort = 1;
  await sql(
    'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()',
  );
};
export const giveBack = () => (proxy.targetPort = Number(new URL(database.url).port));
export const later = (version: number, text: string): Migration[] => [
  ...readMigrations('postgres'),
  { version, name: 'later.sql', text },
];
