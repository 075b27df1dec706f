// TimescaleDB under the store. Debian has no package of it: functions and views of its names and documented signatures stand
// in for it on a real PostgreSQL, and tell what they were asked. Only `ALTER TABLE … SET (timescaledb.…)` can not be stood in
// for: the statement is recorded.
import pg from 'pg';
import { afterEach, expect, test } from 'vitest';
import { openPostgres, sqlOf } from '../../../src/ledger/postgres/postgres-database.js';
import { chunkByMonth, compressOldChunks } from '../../../src/ledger/postgres/timescale.js';
import type { Sql } from '../../../src/ledger/sql.js';
import { write } from '../../unit/ledger/ledger-rig.js';
import { database, handleOf, sql, storeOf, useProxy } from './postgres-rig.js';

useProxy();

interface Installed {
  readonly version?: string;
  readonly licence?: string;
  /** Of `create_hypertable`. */
  readonly body?: string;
  readonly compressed?: boolean;
}

const RECORD = "INSERT INTO asked VALUES ('hypertable ' || relation || ' ' || dimension);";

const install = async ({
  version = '2.18.0',
  licence = 'timescale',
  body = RECORD,
  compressed = false,
}: Installed = {}) => {
  await sql(`SET allow_system_table_mods = on;
    INSERT INTO pg_extension (oid, extname, extowner, extnamespace, extrelocatable, extversion)
      VALUES (99999, 'timescaledb', 10, 2200, false, '${version}');
    CREATE TABLE asked (what text);
    CREATE FUNCTION by_range(column_name name, partition_interval bigint) RETURNS text LANGUAGE sql
      AS $$ SELECT column_name || ' by ' || partition_interval $$;
    CREATE FUNCTION create_hypertable(relation regclass, dimension text, if_not_exists boolean, migrate_data boolean)
      RETURNS void LANGUAGE plpgsql AS $$ BEGIN ${body} END $$;
    CREATE FUNCTION set_integer_now_func(hypertable regclass, integer_now_func regproc, replace_if_exists boolean)
      RETURNS void LANGUAGE sql AS $$ INSERT INTO asked VALUES ('now of ' || hypertable || ' is ' || integer_now_func) $$;
    CREATE FUNCTION add_compression_policy(hypertable regclass, compress_after "any", if_not_exists boolean)
      RETURNS integer LANGUAGE internal AS 'pg_backend_pid';
    CREATE FUNCTION hypertable_size(hypertable regclass) RETURNS bigint LANGUAGE sql AS $$ SELECT 1000000000 $$;
    CREATE SCHEMA timescaledb_information;
    CREATE VIEW timescaledb_information.hypertables AS SELECT current_schema() AS hypertable_schema,
      CAST('candles' AS name) AS hypertable_name, ${compressed} AS compression_enabled;`);
  await database.alter(`SET timescaledb.license = '${licence}'`);
};

afterEach(() =>
  sql(`SET allow_system_table_mods = on; DELETE FROM pg_extension WHERE extname = 'timescaledb';
    DROP SCHEMA IF EXISTS timescaledb_information CASCADE`),
);

const asked = async () => (await sql('SELECT what FROM asked')).map(({ what }) => what);
/** Opens the store once and tells what was made of TimescaleDB. */
const opened = async () => {
  const { database: file, chunks } = await openPostgres(database.url);
  await file.close();
  return chunks;
};

test('without it tables serve as they are', async () => {
  expect(await opened()).toEqual({ kind: 'none', uncompressed: null });
});

test('one older than by_range is left alone', async () => {
  await install({ version: '2.12.2' });
  expect(await opened()).toEqual({ kind: 'none', uncompressed: null });
  expect(await asked()).toEqual([]);
});

test.each([
  { version: '2.18.0', licence: 'apache', reason: "the edition of TimescaleDB is 'apache'" },
  { version: '2.17.2', licence: 'timescale', reason: 'TimescaleDB 2.17.2 is older than 2.18' },
])('$version with the licence $licence: monthly chunks, none compressed', async ({ reason, ...given }) => {
  await install(given);
  expect(await opened()).toEqual({ kind: 'monthly', uncompressed: reason });
  expect(await asked()).toEqual(['hypertable candles ts by 2592000000']);
});

test.each(['2.18.0', '2.31.0', '3.0.1'])(
  '%s with the TSL licence: chunks are to be compressed',
  async (version) => {
    await install({ version, compressed: true });
    expect(await opened()).toEqual({ kind: 'compressed', uncompressed: null });
    // They are already: nothing of the owner's settings is changed.
    expect(await asked()).toEqual(['hypertable candles ts by 2592000000']);
  },
);

test('chunks are compressed by series and time, 60 days after their end on the clock of candles', async () => {
  await opened();
  await install();
  const client = new pg.Client({ connectionString: database.url });
  await client.connect();
  const said: string[] = [];
  const real = sqlOf(client);
  const note = (text: string) => said.push(text.replace(/\s+/g, ' '));
  const recorded: Sql = {
    all: (text, values) => (note(text), real.all(text, values)),
    run: (text, values) => (
      note(text),
      text.startsWith('ALTER TABLE') ? Promise.resolve(0) : real.run(text, values)
    ),
  };
  try {
    expect(await chunkByMonth(recorded)).toMatchObject({ kind: 'compressed' });
    await compressOldChunks(recorded);
    expect(await asked()).toEqual(['hypertable candles ts by 2592000000', 'now of candles is candles_now']);
    expect(said.slice(-2)).toEqual([
      "ALTER TABLE candles SET (timescaledb.compress, timescaledb.compress_segmentby = 'series_id', timescaledb.compress_orderby = 'ts')",
      "SELECT add_compression_policy('candles', compress_after => BIGINT '5184000000', if_not_exists => true)",
    ]);
    const [clock] = await real.all(
      "SELECT candles_now() - EXTRACT(EPOCH FROM now()) * 1000 AS apart, provolatile AS kind FROM pg_proc WHERE proname = 'candles_now'",
    );
    expect(clock?.['kind']).toBe('s');
    expect(Math.abs(Number(clock?.['apart']))).toBeLessThan(1);
  } finally {
    await client.end();
  }
});

test('one that refuses to compress serves with chunks as they are, and the log says why', async () => {
  // PostgreSQL does not know the parameter: it refuses the statement itself.
  await install();
  const { handle, log } = handleOf();
  await handle.opened;
  expect(handle.status()).toMatchObject({ state: 'ok', writable: true });
  expect(log.lines).toContainEqual({
    level: 'info',
    message: 'TimescaleDB: candles lie in monthly chunks',
    details: { chunks: 'monthly', reason: 'PostgreSQL did not do its work (22023).' },
  });
  expect(await write(storeOf(handle), { count: 3 })).toMatchObject({ inserted: 3 });
});

test('writes are not bound by the rows that they decompress, and the size is that of the chunks', async () => {
  await install({ compressed: true });
  const { database: file } = await openPostgres(database.url);
  const LIMIT =
    "SELECT current_setting('timescaledb.max_tuples_decompressed_per_dml_transaction', true) AS rows";
  expect(await file.transaction('x', (inside) => inside.all(LIMIT))).toEqual([{ rows: '0' }]);
  expect((await file.size()).bytes).toBeGreaterThan(1_000_000_000);
  await file.close();
});

test('one that refuses chunks is told as a store that can not be used', async () => {
  await install({ body: `RAISE EXCEPTION 'no licence';` });
  const { handle } = handleOf();
  await handle.opened;
  expect(handle.store()).toBeNull();
  expect(handle.status()).toMatchObject({ state: 'degraded', writable: false });
});
