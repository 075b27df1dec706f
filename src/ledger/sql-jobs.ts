/** Backfill jobs, due checks and leases in a database. */
import { randomUUID } from 'node:crypto';
import type { Millis } from '../schemas/common.js';
import { jobCountOf, jobOf, numberOf, onlyRow, textOf } from './rows.js';
import type { Database, Sql, SqlRow, SqlValue } from './sql.js';
import { StoreError } from './store-error.js';
import { OPEN_STATES, type CandleStore, type Due, type Job, type JobUpdate } from './store.js';

const OPEN = OPEN_STATES.map((state) => `'${state}'`).join(', ');

const COLUMNS = {
  symbol: 'symbol',
  state: 'state',
  percent: 'percent',
  pages: 'pages',
  candles: 'candles',
  reached: 'reached',
  etaSeconds: 'eta_seconds',
  waitingFor: 'waiting_for',
  error: 'error',
} as const satisfies Record<Exclude<keyof JobUpdate, 'ifTo'>, string>;

const isColumn = (key: string): key is keyof typeof COLUMNS => Object.hasOwn(COLUMNS, key);

/** An ended job stays ended: `null` tells the caller that the job has ended. */
export const updateJobIn = async (
  sql: Sql,
  id: string,
  { update, at }: { readonly update: JobUpdate; readonly at: Millis },
): Promise<Job | null> => {
  const values: SqlValue[] = [id, at];
  const { ifTo, ...change } = update;
  const sets = Object.entries(change).flatMap(([key, value]) =>
    isColumn(key) ? [`${COLUMNS[key]} = $${values.push(value)}`] : [],
  );
  const unless = ifTo === undefined ? '' : ` AND COALESCE(to_ts, -1) = $${values.push(ifTo ?? -1)}`;
  const [row] = await sql.all(
    `UPDATE jobs SET ${['updated_at = $2', ...sets].join(', ')}
     WHERE id = $1 AND state IN (${OPEN})${unless} RETURNING *`,
    values,
  );
  return row === undefined ? null : jobOf(row);
};

/** Rejects with `busy` where another owner holds the lease; locks the lease until the transaction ends. */
export const requireLease = async (
  sql: Sql,
  { name, owner }: { readonly name: string; readonly owner: string },
): Promise<void> => {
  const held = await sql.run('UPDATE leases SET fence = fence WHERE name = $1 AND owner = $2', [name, owner]);
  if (held === 0) throw new StoreError('busy', 'Another server works on this exchange now.');
};

/** Was its end the latest settled candle when it was made? Without a bound none is taken for that. */
const isLatest = ({ to, createdAt }: Job, within: Millis | undefined): boolean =>
  within !== undefined && to !== null && to > createdAt - within;

type JobCalls = Pick<
  CandleStore,
  | 'addJob'
  | 'job'
  | 'jobs'
  | 'openJobs'
  | 'jobCounts'
  | 'updateJob'
  | 'trimJobs'
  | 'addDue'
  | 'takeDue'
  | 'endDue'
  | 'meta'
  | 'setMeta'
  | 'lease'
  | 'endLease'
>;

export const createSqlJobs = (database: Database, databaseNow: string): JobCalls => {
  const one = (rows: readonly SqlRow[]): Job | null => (rows[0] === undefined ? null : jobOf(rows[0]));
  return {
    addJob: (job, at) =>
      database.transaction('jobs', async (sql) => {
        const { exchange, symbol, interval, from, to, origin, latestWithin } = job;
        const rows = await sql.all(
          `SELECT * FROM jobs WHERE exchange = $1 AND symbol = $2 AND "interval" = $3 AND from_ts = $4
           AND state IN (${OPEN}) ORDER BY number`,
          [exchange, symbol, interval, from],
        );
        const open = rows.map(jobOf);
        const equal = open.find((other) => other.to === to);
        if (equal !== undefined) return equal;
        const shorter = open.find((other) => isLatest(other, latestWithin) && (other.to ?? 0) < (to ?? 0));
        if (shorter !== undefined) {
          const longer = await sql.all('UPDATE jobs SET to_ts = $2 WHERE id = $1 RETURNING *', [
            shorter.id,
            to,
          ]);
          return jobOf(onlyRow(longer));
        }
        const last = onlyRow(await sql.all('SELECT COALESCE(MAX(number), 0) AS number FROM jobs'));
        const number = numberOf(last, 'number') + 1;
        const made = await sql.all(
          `INSERT INTO jobs (id, number, exchange, symbol, "interval", from_ts, to_ts, origin, state, created_at, updated_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'queued', $9, $9) RETURNING *`,
          [randomUUID(), number, exchange, symbol, interval, from, to, origin, at],
        );
        return jobOf(onlyRow(made));
      }),
    job: async (id) => one(await database.all('SELECT * FROM jobs WHERE id = $1', [id])),
    jobs: async (limit) =>
      (await database.all('SELECT * FROM jobs ORDER BY number DESC LIMIT $1', [limit])).map(jobOf),
    openJobs: async () =>
      (await database.all(`SELECT * FROM jobs WHERE state IN (${OPEN}) ORDER BY number`)).map(jobOf),
    jobCounts: async () => {
      const rows = await database.all(
        'SELECT exchange, state, waiting_for, COUNT(*) AS jobs FROM jobs GROUP BY exchange, state, waiting_for',
      );
      return rows.map(jobCountOf);
    },
    updateJob: (id, update, at) =>
      database.transaction('jobs', (sql) => updateJobIn(sql, id, { update, at })),
    trimJobs: async (keep) => {
      await database.run(
        `DELETE FROM jobs WHERE state NOT IN (${OPEN}) AND number <= (SELECT COALESCE(MAX(number), 0) FROM jobs) - $1`,
        [keep],
      );
    },
    addDue: ({ exchange, symbol, interval, at, from, to }) =>
      database.transaction('due', async (sql) => {
        await sql.run(
          `INSERT INTO due SELECT id, CAST($4 AS BIGINT), CAST($5 AS BIGINT), CAST($6 AS BIGINT) FROM series
           WHERE exchange = $1 AND symbol = $2 AND "interval" = $3
           ORDER BY generation DESC, written_at DESC LIMIT 1 ON CONFLICT DO NOTHING`,
          [exchange, symbol, interval, at, from, to],
        );
      }),
    takeDue: (at, limit, againAt) =>
      database.transaction('due', async (sql) => {
        const rows = await sql.all(
          `SELECT d.*, s.exchange, s.symbol, s."interval" FROM due d JOIN series s ON s.id = d.series_id
           WHERE d.at <= $1 ORDER BY d.at LIMIT $2`,
          [at, limit],
        );
        for (const row of rows) {
          const [id, from, to] = [
            numberOf(row, 'series_id'),
            numberOf(row, 'from_ts'),
            numberOf(row, 'to_ts'),
          ];
          await sql.run('DELETE FROM due WHERE series_id = $1 AND at = $2 AND from_ts = $3', [
            ...[id, numberOf(row, 'at'), from],
          ]);
          await sql.run('INSERT INTO due VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING', [
            ...[id, againAt, from, to],
          ]);
        }
        return rows.map((row): Due => ({
          exchange: textOf(row, 'exchange'),
          symbol: textOf(row, 'symbol'),
          interval: textOf(row, 'interval'),
          at: againAt,
          from: numberOf(row, 'from_ts'),
          to: numberOf(row, 'to_ts'),
        }));
      }),
    async endDue({ exchange, symbol, interval, at, from }) {
      await database.run(
        `DELETE FROM due WHERE at = $1 AND from_ts = $2 AND series_id IN
           (SELECT id FROM series WHERE exchange = $3 AND symbol = $4 AND "interval" = $5)`,
        [at, from, exchange, symbol, interval],
      );
    },
    async meta(key) {
      const [row] = await database.all('SELECT value FROM meta WHERE key = $1', [key]);
      return row === undefined ? null : textOf(row, 'value');
    },
    async setMeta(key, value) {
      await database.run(
        'INSERT INTO meta (key, value) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value',
        [key, value],
      );
    },
    lease: (name, owner, forMs) =>
      database.transaction('leases', async (sql) => {
        const [row] = await sql.all(
          `INSERT INTO leases (name, owner, until, fence) VALUES ($1, $2, ${databaseNow} + $3, 1)
           ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, until = excluded.until,
             fence = leases.fence + CASE WHEN leases.owner = excluded.owner THEN 0 ELSE 1 END
           WHERE leases.owner = excluded.owner OR leases.until <= ${databaseNow} RETURNING owner`,
          [name, owner, forMs],
        );
        return row !== undefined;
      }),
    async endLease(name, owner) {
      await database.run('DELETE FROM leases WHERE name = $1 AND owner = $2', [name, owner]);
    },
  };
};
