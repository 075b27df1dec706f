/**
 * Copies a whole store into an empty one, of either kind. Candles go in pages by their key, so that a copy that was ended
 * goes on behind the last page that the target holds; coverage goes last, so that half a copy claims to know nothing.
 */
import { createHash } from 'node:crypto';
import { heldOf, numberOf, onlyRow, textOf } from '../rows.js';
import type { Database, Sql, SqlRow } from '../sql.js';
import { StoreError } from '../store-error.js';
import { isOtherData, MARKER_KEY } from '../store-status.js';
import type { CopyEnd } from './copy-end.js';

const PAGE = 5_000;
/** Rows of one statement; a job has 18 columns, and SQLite takes 32,766 parameters. */
const ROWS_AT_ONCE = 200;
/** In the target's meta while a copy is not whole: what the source was like. */
const COPYING_KEY = 'copying';

/** In the order in which they are copied; candles come after the series. */
const TABLES = ['series', 'candles', 'revisions', 'due', 'jobs', 'coverage'] as const;
type Table = (typeof TABLES)[number];
type Counts = Readonly<Record<Table, number>>;

/** Rows are ordered by it in both databases alike. */
const KEYS: Readonly<Record<Exclude<Table, 'candles'>, string>> = {
  series: 'id',
  revisions: 'series_id, ts, rev',
  due: 'series_id, at, from_ts',
  jobs: 'number',
  coverage: 'series_id, from_ts',
};

export interface CopyProgress {
  readonly candles: number;
  readonly of: number;
}

export interface CopyDeps {
  readonly source: CopyEnd;
  readonly target: CopyEnd;
  /** Called after each page. Rejects to end the copy there. */
  readonly onProgress: (progress: CopyProgress) => Promise<void>;
}

const metaIn = async (sql: Sql, key: string): Promise<string | null> => {
  const [row] = await sql.all('SELECT value FROM meta WHERE key = $1', [key]);
  return row === undefined ? null : textOf(row, 'value');
};

const setMetaIn = (sql: Sql, key: string, value: string): Promise<number> =>
  sql.run('INSERT INTO meta VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value', [
    key,
    value,
  ]);

const countIn = async (sql: Sql, table: Table): Promise<number> =>
  numberOf(onlyRow(await sql.all(`SELECT COUNT(*) AS count FROM ${table}`)), 'count');

const countsOf = async (sql: Sql): Promise<Counts> => {
  const counts = { series: 0, candles: 0, revisions: 0, due: 0, jobs: 0, coverage: 0 };
  for (const table of TABLES) counts[table] = await countIn(sql, table);
  return counts;
};

/** Another one after anything was written to a series. */
const fingerprintOf = async (sql: Sql): Promise<string> => {
  const rows = await sql.all('SELECT id, candles, written_at FROM series ORDER BY id');
  const text = JSON.stringify(rows.map((row) => [row['id'], row['candles'], row['written_at']]));
  return createHash('sha256').update(text).digest('hex');
};

const insertRows = async (
  sql: Sql,
  {
    table,
    rows,
    clause,
  }: { readonly table: Table; readonly rows: readonly SqlRow[]; readonly clause: string },
): Promise<void> => {
  for (let at = 0; at < rows.length; at += ROWS_AT_ONCE) {
    const some = rows.slice(at, at + ROWS_AT_ONCE);
    const columns = Object.keys(onlyRow(some));
    const values = some.flatMap((row) => columns.map((column) => row[column] ?? null));
    const place = (row: number, column: number): string => `$${row * columns.length + column + 1}`;
    const places = some.map((_, row) => `(${columns.map((_name, column) => place(row, column)).join(', ')})`);
    const names = columns.map((column) => `"${column}"`).join(', ');
    await sql.run(`INSERT INTO ${table} (${names}) ${clause}VALUES ${places.join(', ')}`, values);
  }
};

/** Whole: these tables are small beside the candles, and may be half there from a copy that was ended. */
const copyTable = async ({ source, target }: CopyDeps, table: Exclude<Table, 'candles'>): Promise<void> => {
  const rows = await source.database.all(`SELECT * FROM ${table} ORDER BY ${KEYS[table]}`);
  await target.database.transaction('copy', async (sql) => {
    await sql.run(`DELETE FROM ${table}`);
    // The series keep their numbers, which PostgreSQL else gives by itself.
    const numbered = table === 'series' && target.kind === 'postgres';
    await insertRows(sql, { table, rows, clause: numbered ? 'OVERRIDING SYSTEM VALUE ' : '' });
    if (numbered)
      await sql.all(
        `SELECT setval(pg_get_serial_sequence('series', 'id'), (SELECT MAX(id) FROM series) + 1)`,
      );
  });
};

const upsertPage = async (database: Database, rows: readonly SqlRow[]): Promise<void> => {
  const bySeries = new Map<number, SqlRow[]>();
  for (const row of rows) {
    const series = numberOf(row, 'series_id');
    const some = bySeries.get(series);
    if (some === undefined) bySeries.set(series, [row]);
    else some.push(row);
  }
  await database.transaction('copy', async (sql) => {
    for (const [series, some] of bySeries) await database.upsertCandles(sql, series, some.map(heldOf));
  });
};

/** Behind the last one that the target has. */
const copyCandles = async ({ source, target, onProgress }: CopyDeps, of: number): Promise<void> => {
  const [held] = await target.database.all(
    'SELECT series_id, ts FROM candles ORDER BY series_id DESC, ts DESC LIMIT 1',
  );
  let candles = await countIn(target.database, 'candles');
  let last = held;
  for (;;) {
    await onProgress({ candles, of });
    const behind = last === undefined ? '' : 'WHERE (series_id, ts) > ($1, $2) ';
    const values = last === undefined ? [] : [numberOf(last, 'series_id'), numberOf(last, 'ts')];
    const rows = await source.database.all(
      `SELECT * FROM candles ${behind}ORDER BY series_id, ts LIMIT ${PAGE}`,
      values,
    );
    last = rows.at(-1);
    if (last === undefined) return;
    await upsertPage(target.database, rows);
    candles += rows.length;
  }
};

const sameCounts = (a: Counts, b: Counts): boolean => TABLES.every((table) => a[table] === b[table]);

/** true: the target holds the same already. Rejects where it holds anything else. */
const prepare = async ({ source, target }: CopyDeps, fingerprint: string): Promise<boolean> => {
  const { database } = target;
  const marker = await metaIn(source.database, MARKER_KEY);
  const other = await metaIn(database, MARKER_KEY);
  if (marker !== null && other !== null && isOtherData(other, marker))
    throw new StoreError('sandbox', `The source holds data of kind ${marker}, the target of kind ${other}.`);
  const copying = await metaIn(database, COPYING_KEY);
  if (copying === fingerprint) return false;
  const held = await countsOf(database);
  const isEmpty = held.series === 0 && held.jobs === 0;
  if (copying === null && !isEmpty) {
    const same = sameCounts(held, await countsOf(source.database));
    if (same && (await fingerprintOf(database)) === fingerprint) return true;
    throw new StoreError('unavailable', 'The target is not empty, and holds no copy that was ended.');
  }
  await database.transaction('copy', async (sql) => {
    // Of a source that has changed since.
    for (const table of TABLES) await sql.run(`DELETE FROM ${table}`);
    await setMetaIn(sql, COPYING_KEY, fingerprint);
    if (marker !== null) await setMetaIn(sql, MARKER_KEY, marker);
  });
  return false;
};

/** Gives the rows of each table, equal in both. Rejects with StoreErrors; what was copied stays for the next run. */
export const copyStore = async (deps: CopyDeps): Promise<Counts> => {
  const { source, target } = deps;
  const fingerprint = await fingerprintOf(source.database);
  const before = await countsOf(source.database);
  if (await prepare(deps, fingerprint)) return before;
  await copyTable(deps, 'series');
  await copyCandles(deps, before.candles);
  for (const table of ['revisions', 'due', 'jobs', 'coverage'] as const) await copyTable(deps, table);
  const [given, taken] = [await countsOf(source.database), await countsOf(target.database)];
  if (!sameCounts(given, taken) || (await fingerprintOf(source.database)) !== fingerprint)
    throw new StoreError(
      'busy',
      'The source was written meanwhile: end its servers, and run the copy again.',
    );
  await target.database.run('DELETE FROM meta WHERE key = $1', [COPYING_KEY]);
  return taken;
};
