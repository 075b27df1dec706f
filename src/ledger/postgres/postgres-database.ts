/** PostgreSQL as a Database; TimescaleDB is used where it is there. */
import pg from 'pg';
import { CANDLE_COLUMNS, jsonCandles } from '../candle-json.js';
import { numberOf, onlyRow, textOf } from '../rows.js';
import { newerSchema, pending, readMigrations, type Migration } from '../migrations.js';
import { StoreError } from '../store-error.js';
import {
  CHUNKS_SIZE,
  chunkByMonth,
  compressOldChunks,
  UNBOUNDED_DECOMPRESSION,
  type Chunks,
} from './timescale.js';
import { metaOf, type Database, type JsonCandles, type Sql, type SqlRow } from '../sql.js';

const CONNECT_TIMEOUT_MS = 3_000;
const STATEMENT_TIMEOUT_MS = 30_000;
/** For a connection that is dead: not even the server's own statement timeout is reported over it. */
const ANSWER_TIMEOUT_MS = 35_000;
const CONNECTIONS = 6;
/** Key of the advisory lock; an arbitrary number. */
const MIGRATION_LOCK = 7_263_114;

const UPSERT = `INSERT INTO candles (series_id, ts, open, high, low, close, volume, meta)
  SELECT $1::bigint, * FROM unnest($2::bigint[], $3::float8[], $4::float8[], $5::float8[], $6::float8[], $7::float8[], $8::int[])
  ON CONFLICT (series_id, ts) DO UPDATE SET open = excluded.open, high = excluded.high, low = excluded.low,
    close = excluded.close, volume = excluded.volume, meta = excluded.meta`;
const RANGE =
  'SELECT ts, open, high, low, close, volume FROM candles WHERE series_id = $1 AND ts >= $2 AND ts < $3';

/** By PostgreSQL's codes of errors (its appendix A). Those of connections, and all others, are `unavailable`. */
const KINDS: ReadonlyMap<unknown, readonly [StoreError['fault'], string]> = new Map(
  (
    [
      [['53100'], 'full', 'The disk of PostgreSQL is full'],
      // A lock that was waited for too long, a statement that took too long, a deadlock, a conflict of transactions.
      [['55P03', '57014', '40P01', '40001'], 'busy', 'PostgreSQL did not do its work in time'],
      // A standby, or a user who may only read.
      [['25006', '42501'], 'read_only', 'PostgreSQL refuses to be written'],
    ] as const
  ).flatMap(([codes, fault, words]) => codes.map((code) => [code, [fault, words]] as const)),
);

const faultOf = (thrown: unknown): StoreError => {
  if (thrown instanceof StoreError) return thrown;
  const code = typeof thrown === 'object' && thrown !== null && 'code' in thrown ? thrown.code : undefined;
  const [fault, words] = KINDS.get(code) ?? ['unavailable', 'PostgreSQL did not do its work'];
  // The message may repeat the address and the user; the code is enough to look it up.
  return new StoreError(fault, `${words}${typeof code === 'string' ? ` (${code})` : ''}.`);
};

export const guarded = async <T>(work: () => Promise<T>): Promise<T> => {
  try {
    return await work();
  } catch (thrown) {
    throw faultOf(thrown);
  }
};

/** Whole numbers come as text by default, since they may be too large; ours are milliseconds and counts. */
const { INT8, NUMERIC } = pg.types.builtins;
const types = new pg.TypeOverrides();
for (const oid of [INT8, NUMERIC]) types.setTypeParser(oid, Number);

export const sqlOf = (client: Pick<pg.ClientBase, 'query'> | pg.Pool): Sql => ({
  all: (text, values = []) =>
    guarded(async () => (await client.query<SqlRow>({ text, values: [...values], types })).rows),
  run: (text, values = []) =>
    guarded(async () => (await client.query({ text, values: [...values], types })).rowCount ?? 0),
});

export interface PostgresFile {
  readonly database: Database;
  /** Rejects with `full` where the disk of the candles has no space for another page. */
  readonly probeSpace: () => Promise<void>;
  /** Why it is only read; null where it is written. */
  readonly readOnly: string | null;
  readonly migrated: readonly { readonly name: string; readonly ms: number }[];
  /** Null where the schema is left as it is. */
  readonly chunks: Chunks | null;
}

export const inTransaction = async <T>(
  pool: pg.Pool,
  work: (client: pg.PoolClient) => Promise<T>,
): Promise<T> => {
  const client = await pool.connect();
  let broken: boolean | undefined;
  try {
    await client.query('BEGIN');
    const value = await work(client);
    await client.query('COMMIT');
    return value;
  } catch (thrown) {
    await client.query('ROLLBACK').catch(() => (broken = true));
    throw thrown;
  } finally {
    client.release(broken);
  }
};

const versionOf = async (sql: Sql): Promise<number> => {
  const [row] = await sql.all("SELECT value FROM meta WHERE key = 'schema_version'");
  return row === undefined ? 0 : Number(textOf(row, 'value'));
};

/** New tables of this transaction lie where the candles do. */
const BESIDE_CANDLES = `SELECT set_config('default_tablespace', COALESCE((SELECT tablespace FROM pg_tables
  WHERE schemaname = current_schema() AND tablename = 'candles'), ''), true)`;
/** About 1 MB, more than the longest page of any exchange. Unlogged: the write-ahead log does not grow with each probe. */
const FILL = 'CREATE UNLOGGED TABLE store_probe AS SELECT n FROM generate_series(1, 30000) AS n';

/**
 * Fills a table that is never kept. Every page of it is a new one, whereas rows in an existing table may fit into pages
 * whose rows were deleted, and say nothing of the disk. A user who may not make tables gets no answer.
 */
const probeSpace = async (pool: pg.Pool): Promise<void> => {
  const client = await pool.connect();
  let broken: boolean | undefined;
  try {
    await client.query('BEGIN');
    await client.query(BESIDE_CANDLES);
    await client.query(FILL);
  } catch (thrown) {
    const fault = faultOf(thrown);
    if (fault.fault !== 'read_only') throw fault;
  } finally {
    await client.query('ROLLBACK').catch(() => (broken = true));
    client.release(broken);
  }
};

type Migrated = Pick<PostgresFile, 'migrated' | 'readOnly'>;

const migrate = (pool: pg.Pool, migrations: readonly Migration[]): Promise<Migrated> =>
  inTransaction(pool, async (client) => {
    const sql = sqlOf(client);
    await client.query('SELECT pg_advisory_xact_lock($1)', [MIGRATION_LOCK]);
    await client.query('CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL)');
    const version = await versionOf(sql);
    const newer = newerSchema(migrations, version);
    if (newer !== null) return { migrated: [], readOnly: newer };
    const migrated: { name: string; ms: number }[] = [];
    for (const migration of pending(migrations, version)) {
      const startedAt = performance.now();
      await client.query(migration.text);
      await sql.run(
        "INSERT INTO meta VALUES ('schema_version', $1) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        [String(migration.version)],
      );
      migrated.push({ name: migration.name, ms: Math.round(performance.now() - startedAt) });
    }
    return { migrated, readOnly: null };
  });

/** One server at a time. A database that refuses to compress serves without, so it is asked in a transaction of its own. */
const useTimescale = async (pool: pg.Pool): Promise<Chunks> => {
  const locked = <T>(work: (sql: Sql) => Promise<T>): Promise<T> =>
    guarded(() =>
      inTransaction(pool, async (client) => {
        await client.query('SELECT pg_advisory_xact_lock($1)', [MIGRATION_LOCK]);
        return work(sqlOf(client));
      }),
    );
  const chunks = await locked(chunkByMonth);
  if (chunks.kind !== 'compressed') return chunks;
  try {
    await locked(compressOldChunks);
    return chunks;
  } catch (thrown) {
    return { kind: 'monthly', uncompressed: faultOf(thrown).message };
  }
};

/** Connects with the first call. */
export const createPool = (url: string, connections: number): pg.Pool => {
  const pool = new pg.Pool({
    connectionString: url,
    max: connections,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    statement_timeout: STATEMENT_TIMEOUT_MS,
    query_timeout: ANSWER_TIMEOUT_MS,
    application_name: 'mcp-crypto-data-server',
    allowExitOnIdle: true,
  });
  // An idle connection that breaks is replaced by the next call. One that breaks in use rejects
  // that call; its event, without a listener, would end this process.
  pool.on('error', () => undefined);
  pool.on('connect', (client) => void client.on('error', () => undefined));
  return pool;
};

/**
 * Connects and migrates. Throws StoreErrors; later faults of the connection reject the calls that meet them. A schema of a
 * newer version is left as it is.
 */
export const openPostgres = async (
  url: string,
  migrations: readonly Migration[] = readMigrations('postgres'),
): Promise<PostgresFile> => {
  const pool = createPool(url, CONNECTIONS);
  try {
    const migrated = await guarded(() => migrate(pool, migrations));
    const chunks = migrated.readOnly === null ? await useTimescale(pool) : null;
    return {
      ...{ database: createPostgresDatabase(pool, chunks?.kind ?? 'none'), chunks },
      ...{ probeSpace: () => probeSpace(pool), ...migrated },
    };
  } catch (thrown) {
    await pool.end();
    throw thrown;
  }
};

/** The tables of the store, with their indexes. */
const SIZE = `SELECT COALESCE(SUM(pg_total_relation_size(to_regclass(name))), 0) AS bytes
  FROM unnest($1::text[]) AS name`;
const OTHER_TABLES = 'series,revisions,coverage,jobs,due,leases,meta';

const createPostgresDatabase = (pool: pg.Pool, chunks: Chunks['kind']): Database => ({
  ...sqlOf(pool),
  transaction: (lock, work) =>
    guarded(() =>
      inTransaction(pool, async (client) => {
        const also = chunks === 'compressed' ? `, ${UNBOUNDED_DECOMPRESSION}` : '';
        await client.query(`SELECT pg_advisory_xact_lock(hashtextextended($1, 0))${also}`, [lock]);
        return work(sqlOf(client));
      }),
    ),
  async upsertCandles(sql, series, candles) {
    const column = (pick: (row: (typeof candles)[number]) => number | null): string =>
      `{${candles.map((row) => String(pick(row) ?? 'NULL')).join(',')}}`;
    await sql.run(UPSERT, [
      series,
      column(({ timestamp }) => timestamp),
      column(({ open }) => open),
      column(({ high }) => high),
      column(({ low }) => low),
      column(({ close }) => close),
      column(({ volume }) => volume),
      column(metaOf),
    ]);
  },
  async candlesJson({ series, from, to, limit, newest }): Promise<JsonCandles> {
    const text = `${RANGE} ORDER BY ts ${newest ? 'DESC' : 'ASC'} LIMIT $4`;
    const rows = await sqlOf(pool).all(text, [series, from, to, limit]);
    if (newest) rows.reverse();
    return jsonCandles(rows.map((row) => CANDLE_COLUMNS.map((column) => row[column])));
  },
  async size() {
    const sizes =
      chunks === 'none'
        ? await sqlOf(pool).all(SIZE, [`{candles,${OTHER_TABLES}}`])
        : await sqlOf(pool).all(`SELECT bytes + ${CHUNKS_SIZE} AS bytes FROM (${SIZE}) AS others`, [
            `{${OTHER_TABLES}}`,
          ]);
    return { bytes: numberOf(onlyRow(sizes), 'bytes'), walBytes: 0 };
  },
  vacuum: () =>
    guarded(async () => {
      await pool.query('VACUUM ANALYZE');
    }),
  check: () =>
    guarded(async () => {
      await pool.query('SELECT 1');
      return [];
    }),
  close: () => pool.end(),
});

/** PostgreSQL's own clock in milliseconds, as an expression. */
export const POSTGRES_NOW = 'CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)';
