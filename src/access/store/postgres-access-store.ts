/** Keys in PostgreSQL, beside the candles or apart. A change tells the other servers within its own transaction. */
import { newerSchema, pending, readMigrations } from '../../ledger/migrations.js';
import { createPool, guarded, inTransaction, sqlOf } from '../../ledger/postgres/postgres-database.js';
import { StoreError } from '../../ledger/store-error.js';
import { CHANGED } from '../confirmations.js';
import { ACCESS_CHANNEL } from './postgres-notices.js';
import { createSqlAccessStore } from './sql-access-store.js';
import type { AccessStore } from './store.js';

const CONNECTIONS = 4;
/** Any number that other programs, and the candle store, do not take for their own locks. */
const MIGRATION_LOCK = 7_263_115;
const MIGRATIONS = new URL('./migrations/', import.meta.url);

const migrate = (pool: ReturnType<typeof createPool>): Promise<void> =>
  inTransaction(pool, async (client) => {
    const sql = sqlOf(client);
    await client.query('SELECT pg_advisory_xact_lock($1)', [MIGRATION_LOCK]);
    await client.query('CREATE TABLE IF NOT EXISTS access_meta (key TEXT PRIMARY KEY, value TEXT NOT NULL)');
    const [row] = await sql.all("SELECT value FROM access_meta WHERE key = 'schema_version'");
    const version = Number(row?.['value'] ?? 0);
    const migrations = readMigrations('postgres', MIGRATIONS);
    const newer = newerSchema(migrations, version);
    if (newer !== null) throw new StoreError('unavailable', newer);
    for (const { text, version: reached } of pending(migrations, version)) {
      await client.query(text);
      await sql.run(
        "INSERT INTO access_meta VALUES ('schema_version', $1) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        [String(reached)],
      );
    }
  });

/** Rejects with a StoreError. */
export const openPostgresAccessStore = async (url: string): Promise<AccessStore> => {
  const pool = createPool(url, CONNECTIONS);
  try {
    await guarded(() => migrate(pool));
  } catch (thrown) {
    await pool.end();
    throw thrown;
  }
  return createSqlAccessStore({
    ...sqlOf(pool),
    transaction: (work) => guarded(() => inTransaction(pool, (client) => work(sqlOf(client)))),
    async announce(sql, version) {
      await sql.all('SELECT pg_notify($1, $2)', [ACCESS_CHANNEL, `${CHANGED} ${version}`]);
    },
    close: () => pool.end(),
  });
};
