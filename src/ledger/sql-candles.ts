/** Series, candles, coverage and revisions in a database; the same statements for SQLite and PostgreSQL. */
import type { Millis } from '../schemas/common.js';
import { put, type Coverage, type Span } from './coverage.js';
import { mergePage, type Held, type HeldCandle, type Revision } from './merge.js';
import { candleOf, coverageOf, heldOf, numberOf, onlyRow, revisionOf, seriesOf, textOf } from './rows.js';
import { pairOf } from './series-range.js';
import type { SeriesName, SettledPage, StoredCandle } from './settle.js';
import type { Database, Sql, SqlRow, SqlValue } from './sql.js';
import type { CandleStore, ReadRange, SeriesBegun, SeriesInfo, StoredRange, Written } from './store.js';

const SERIES = `SELECT s.*, (SELECT MIN(ts) FROM candles WHERE series_id = s.id) AS first,
  (SELECT MAX(ts) FROM candles WHERE series_id = s.id) AS last FROM series s`;
const NEWEST = `${SERIES} WHERE s.exchange = $1 AND s.symbol = $2 AND s."interval" = $3
  ORDER BY s.generation DESC, s.written_at DESC, s.id DESC`;
const LAST_TS: Millis = Number.MAX_SAFE_INTEGER;

const lockOf = ({ exchange, symbol, interval }: SeriesName): string => `${exchange} ${symbol} ${interval}`;

interface Home {
  readonly id: number;
  /** Why the page begins a series; null: the series exists. */
  readonly begun: SeriesBegun | null;
}

type Runs = readonly SqlRow[];

const runsOf = (sql: Sql, { exchange, symbol, interval }: SeriesName): Promise<SqlRow[]> =>
  sql.all(NEWEST, [exchange, symbol, interval]);

/** The run of this anchor that a page of this market belongs to; made where there is none. `runs`: the newest first. */
const homeAt = async (
  sql: Sql,
  runs: Runs,
  page: Pick<SettledPage, keyof SeriesName | 'marketId' | 'askedAt'> & { readonly anchor: Millis },
): Promise<Home> => {
  const { exchange, symbol, interval, marketId, askedAt, anchor } = page;
  const [newest] = runs;
  const relisted = isRelisted(runs, marketId);
  const current = newest === undefined ? 1 : numberOf(newest, 'generation');
  const generation = relisted ? current + 1 : current;
  const held = runs.find(
    (row) => numberOf(row, 'generation') === generation && numberOf(row, 'anchor_ms') === anchor,
  );
  if (held !== undefined) return { id: numberOf(held, 'id'), begun: null };
  const made = await sql.all(
    `INSERT INTO series (exchange, market_id, symbol, "interval", anchor_ms, generation, written_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id`,
    [exchange, marketId, symbol, interval, anchor, generation, askedAt],
  );
  const begun = newest === undefined ? 'first' : relisted ? 'relisted' : 'moved';
  return { id: numberOf(onlyRow(made), 'id'), begun };
};

/** true: the symbol now names another market of the venue. */
const isRelisted = (runs: Runs, marketId: string | null): boolean => {
  const known = runs.map((row) => row['market_id']).find((id) => typeof id === 'string');
  return marketId !== null && known !== undefined && known !== marketId;
};

/** null: the page has no candle that shows where its periods begin, and those of the series begin at an unusual time. */
const homeOf = async (sql: Sql, page: SettledPage): Promise<Home | null> => {
  const runs = await runsOf(sql, page);
  const [newest] = runs;
  const current = newest === undefined || isRelisted(runs, page.marketId) ? 0 : numberOf(newest, 'anchor_ms');
  if (page.anchor === null && current !== 0) return null;
  return homeAt(sql, runs, { ...page, anchor: page.anchor ?? 0 });
};

const touching = async (sql: Sql, series: number, { from, to }: Span): Promise<Coverage[]> => {
  const rows = await sql.all(
    'SELECT * FROM coverage WHERE series_id = $1 AND from_ts <= $2 AND to_ts >= $3 ORDER BY from_ts',
    [series, to, from],
  );
  return rows.map(coverageOf);
};

const replaceCoverage = async (
  sql: Sql,
  series: number,
  { before, after }: { readonly before: readonly Coverage[]; readonly after: readonly Coverage[] },
): Promise<void> => {
  const first = before[0];
  const last = before.at(-1);
  if (first !== undefined && last !== undefined)
    await sql.run('DELETE FROM coverage WHERE series_id = $1 AND from_ts >= $2 AND from_ts <= $3', [
      series,
      first.from,
      last.from,
    ]);
  for (const range of after) {
    const { from, to, state, reason, source, checkedMin, checkedMax, firstSeen, recheckAt } = range;
    await sql.run('INSERT INTO coverage VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)', [
      ...[series, from, to, state, reason, source, checkedMin, checkedMax, firstSeen, recheckAt],
    ]);
  }
};

const learn = async (sql: Sql, series: number, learnt: Coverage): Promise<void> => {
  const before = await touching(sql, series, learnt);
  await replaceCoverage(sql, series, { before, after: put(before, [learnt]) });
};

const heldBy = async (sql: Sql, series: number, page: SettledPage): Promise<Held> => {
  const span = {
    from: Math.min(...page.coverage.map(({ from }) => from)),
    to: Math.max(...page.coverage.map(({ to }) => to)),
  };
  const coverage = await touching(sql, series, span);
  const values = [series, page.rows[0]?.timestamp ?? 0, page.rows.at(-1)?.timestamp ?? -1];
  const range = 'WHERE series_id = $1 AND ts >= $2 AND ts <= $3';
  const rows = await sql.all(`SELECT * FROM candles ${range}`, values);
  const candles = new Map<Millis, HeldCandle>(rows.map(heldOf).map((row) => [row.timestamp, row]));
  // Ordered by `rev`: the newest of each candle stays in the map.
  const changed =
    rows.length === 0 ? [] : await sql.all(`SELECT * FROM revisions ${range} ORDER BY rev`, values);
  const revisions = new Map<Millis, Revision>(changed.map(revisionOf).map((row) => [row.timestamp, row]));
  return { candles, coverage, revisions };
};

const insertRevision = (sql: Sql, series: number, revision: Revision): Promise<number> => {
  const { timestamp, rev, open, high, low, close, volume, source, seenAt, replacedAt, disputed } = revision;
  return sql.run('INSERT INTO revisions VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)', [
    ...[series, timestamp, rev, open, high, low, close, volume, source, seenAt, replacedAt],
    disputed ? 1 : 0,
  ]);
};

const NOTHING: Written = { begun: null, inserted: 0, revised: 0, disputed: 0, suspect: 0 };

type CandleCalls = Pick<
  CandleStore,
  | 'series'
  | 'allSeries'
  | 'spelling'
  | 'read'
  | 'rows'
  | 'coverage'
  | 'revisions'
  | 'noteListing'
  | 'deleteBefore'
>;

/** Writes a page within the caller's transaction. */
export const writePage = async (database: Database, sql: Sql, page: SettledPage): Promise<Written> => {
  const home = await homeOf(sql, page);
  if (home === null) return NOTHING;
  const held = await heldBy(sql, home.id, page);
  const { upserts, revisions, coverage, inserted } = mergePage(page, held);
  if (upserts.length > 0) await database.upsertCandles(sql, home.id, upserts);
  for (const revision of revisions) await insertRevision(sql, home.id, revision);
  await replaceCoverage(sql, home.id, { before: held.coverage, after: coverage });
  await sql.run(
    `UPDATE series SET candles = candles + $1, market_id = COALESCE($2, market_id), written_at = $3 WHERE id = $4`,
    [inserted, page.marketId, page.askedAt, home.id],
  );
  return {
    begun: home.begun,
    inserted,
    revised: revisions.length,
    disputed: revisions.filter(({ disputed }) => disputed).length,
    suspect: page.coverage.filter(({ state }) => state === 'suspect').length,
  };
};

export const pageLock = lockOf;

export const createSqlCandles = (database: Database): CandleCalls => {
  const seriesOfName = async ({ exchange, symbol, interval }: SeriesName): Promise<SeriesInfo | null> => {
    const [row] = await database.all(`${NEWEST} LIMIT 1`, [exchange, symbol, interval]);
    return row === undefined ? null : seriesOf(row);
  };
  const coverage: CandleStore['coverage'] = async (series, span, limit) => {
    const { from, to } = span ?? { from: -LAST_TS, to: LAST_TS };
    const rows = await database.all(
      'SELECT * FROM coverage WHERE series_id = $1 AND from_ts < $2 AND to_ts > $3 ORDER BY from_ts LIMIT $4',
      [series, to, from, limit],
    );
    return rows.map(coverageOf);
  };
  return {
    series: seriesOfName,
    coverage,
    async allSeries() {
      const rows = await database.all(`${SERIES} ORDER BY s.exchange, s.symbol, s."interval", s.id`);
      return rows.map(seriesOf);
    },
    async spelling(exchange, symbol) {
      const pair = pairOf(symbol);
      const rows = await database.all(
        'SELECT symbol FROM series WHERE exchange = $1 AND (symbol = $2 OR UPPER(symbol) = $3)',
        [exchange, symbol, pair],
      );
      const found = rows.map((row) => textOf(row, 'symbol'));
      return found.find((text) => text === symbol) ?? found[0] ?? null;
    },
    async read(range: ReadRange): Promise<StoredRange | null> {
      const series = await seriesOfName(range);
      if (series === null) return null;
      const { from, to, limit, newest } = range;
      const candles = await database.candlesJson({ series: series.id, from, to, limit, newest });
      // Where there are as many candles as asked for, the answer stands on their stretch alone.
      const { count, first, last } = candles;
      const span = {
        from: newest && count >= limit && first !== null ? first : from,
        to: !newest && count >= limit && last !== null ? last + 1 : to,
      };
      return { series, ...candles, coverage: await coverage(series.id, span, LAST_TS) };
    },
    async rows(series, { from, to }, limit): Promise<StoredCandle[]> {
      const rows = await database.all(
        'SELECT ts, open, high, low, close, volume FROM candles WHERE series_id = $1 AND ts >= $2 AND ts < $3 ORDER BY ts LIMIT $4',
        [series, from, to, limit],
      );
      return rows.map(candleOf);
    },
    async revisions(series, span, limit) {
      const { from, to } = span ?? { from: -LAST_TS, to: LAST_TS };
      const rows = await database.all(
        `SELECT * FROM revisions WHERE series_id = $1 AND ts >= $2 AND ts < $3
         ORDER BY replaced_at DESC, ts DESC, rev DESC LIMIT $4`,
        [series, from, to, limit],
      );
      return rows.map(revisionOf);
    },
    noteListing: (name, { from, first, at, anchor: shown }) =>
      database.transaction(lockOf(name), async (sql) => {
        const runs = await runsOf(sql, name);
        const [newest] = runs;
        const anchor = newest === undefined ? (shown ?? 0) : numberOf(newest, 'anchor_ms');
        const home = await homeAt(sql, runs, { ...name, marketId: null, askedAt: at, anchor });
        await sql.run('UPDATE series SET first_listed = $1 WHERE id = $2', [first, home.id]);
        const checked = { source: 'rest', checkedMin: at, checkedMax: at, firstSeen: at } as const;
        if (from < first)
          await learn(sql, home.id, {
            ...{
              from,
              to: first,
              state: 'unavailable',
              reason: 'before_listing',
              ...checked,
              recheckAt: null,
            },
          });
      }),
    deleteBefore: (series, before) =>
      // Under the writers' lock: a writer that has read the coverage would otherwise write back the ranges deleted here.
      database.transaction(lockOf(series), async (sql) => {
        const values: SqlValue[] = [series.id, before];
        const deleted = await sql.run('DELETE FROM candles WHERE series_id = $1 AND ts < $2', values);
        await sql.run('DELETE FROM revisions WHERE series_id = $1 AND ts < $2', values);
        await sql.run('DELETE FROM coverage WHERE series_id = $1 AND to_ts <= $2', values);
        await sql.run('UPDATE coverage SET from_ts = $2 WHERE series_id = $1 AND from_ts < $2', values);
        await sql.run('UPDATE series SET candles = candles - $2 WHERE id = $1', [series.id, deleted]);
        return deleted;
      }),
  };
};
