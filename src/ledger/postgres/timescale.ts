/**
 * TimescaleDB, where it is installed in the database: candles lie in monthly chunks, and old chunks are compressed where the
 * edition allows it. Without it the tables serve as they are.
 *
 * https://www.tigerdata.com/docs/reference/timescaledb: create_hypertable, set_integer_now_func, ALTER TABLE (compression),
 * add_compression_policy, timescaledb_information.hypertables, hypertable_size.
 */
import { numberOf, textOf } from '../rows.js';
import type { Sql } from '../sql.js';

/** A month: the stretch of one chunk. */
const CHUNK_MS = 2_592_000_000;
/** 60 days: far behind the last check of a candle, so that corrections and late candles seldom meet a compressed chunk. */
const COMPRESS_AFTER_MS = 5_184_000_000;
/** `by_range` came with it. */
const CHUNKS_SINCE = [2, 13] as const;
/**
 * Compressed chunks take INSERT … ON CONFLICT DO UPDATE and DELETE since 2.11, so late corrections would be possible from
 * there on. Until 2.17 such an upsert decompressed far more than the rows that it met, and took minutes and gigabytes.
 */
const COMPRESSION_SINCE = [2, 18] as const;

/** What is made of TimescaleDB in this database. */
export interface Chunks {
  /** `none`: it is not installed, or too old. */
  readonly kind: 'none' | 'monthly' | 'compressed';
  /** Why old chunks stay as they are; null where they are compressed, or where there are none. */
  readonly uncompressed: string | null;
}

const NO_CHUNKS: Chunks = { kind: 'none', uncompressed: null };
const monthly = (uncompressed: string): Chunks => ({ kind: 'monthly', uncompressed });

const isSince = (version: string, [major, minor]: readonly [number, number]): boolean => {
  const [itsMajor = 0, itsMinor = 0] = version.split('.').map((part) => Number.parseInt(part, 10) || 0);
  return itsMajor > major || (itsMajor === major && itsMinor >= minor);
};

const versionOf = async (sql: Sql): Promise<string | null> => {
  const [row] = await sql.all("SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'");
  return row === undefined ? null : textOf(row, 'extversion');
};

/** Makes a table of monthly chunks of `candles`, once; rows that are there are moved. */
export const chunkByMonth = async (sql: Sql): Promise<Chunks> => {
  const version = await versionOf(sql);
  if (version === null || !isSince(version, CHUNKS_SINCE)) return NO_CHUNKS;
  await sql.all(
    `SELECT create_hypertable('candles', by_range('ts', ${CHUNK_MS}), if_not_exists => true, migrate_data => true)`,
  );
  if (!isSince(version, COMPRESSION_SINCE))
    return monthly(`TimescaleDB ${version} is older than ${COMPRESSION_SINCE.join('.')}`);
  // `apache` is the edition that PostgreSQL's own package archive has; it knows no compression.
  const [row] = await sql.all("SELECT COALESCE(current_setting('timescaledb.license', true), '') AS licence");
  const licence = row === undefined ? '' : textOf(row, 'licence');
  if (licence !== 'timescale') return monthly(`the edition of TimescaleDB is '${licence}'`);
  return { kind: 'compressed', uncompressed: null };
};

const COMPRESSED = `SELECT count(*) AS found FROM timescaledb_information.hypertables
  WHERE hypertable_schema = current_schema() AND hypertable_name = 'candles' AND compression_enabled`;

/**
 * Has chunks compressed in the background once they are 60 days old. Once: a database whose chunks are compressed already,
 * maybe with settings of its owner's, is left alone.
 */
export const compressOldChunks = async (sql: Sql): Promise<void> => {
  const [row] = await sql.all(COMPRESSED);
  if (row !== undefined && numberOf(row, 'found') > 0) return;
  // The age of a chunk whose time is a number is told by a function of ours. STABLE: once a statement.
  await sql.run(`CREATE OR REPLACE FUNCTION candles_now() RETURNS BIGINT LANGUAGE sql STABLE
    AS $$ SELECT CAST(EXTRACT(EPOCH FROM now()) * 1000 AS BIGINT) $$`);
  await sql.all("SELECT set_integer_now_func('candles', 'candles_now', replace_if_exists => true)");
  await sql.run(`ALTER TABLE candles SET (timescaledb.compress,
    timescaledb.compress_segmentby = 'series_id', timescaledb.compress_orderby = 'ts')`);
  await sql.all(
    `SELECT add_compression_policy('candles', compress_after => BIGINT '${COMPRESS_AFTER_MS}', if_not_exists => true)`,
  );
};

/**
 * For a transaction that writes compressed chunks: one that deletes or replaces much of a long series would otherwise end at
 * 100,000 rows that had to be decompressed (timescaledb.max_tuples_decompressed_per_dml_transaction).
 */
export const UNBOUNDED_DECOMPRESSION =
  "set_config('timescaledb.max_tuples_decompressed_per_dml_transaction', '0', true)";

/** Of chunks, compressed or not, with their indexes, in bytes: compressed rows lie in tables that do not inherit from it. */
export const CHUNKS_SIZE = "hypertable_size('candles')";
