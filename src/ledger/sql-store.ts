/** The candle store over a database. */
import { createSqlCandles, pageLock, writePage } from './sql-candles.js';
import { createSqlJobs, requireLease, updateJobIn } from './sql-jobs.js';
import { numberOf, onlyRow } from './rows.js';
import type { Database } from './sql.js';
import type { CandleStore } from './store.js';

export interface SqlStoreOptions {
  readonly database: Database;
  /** The database's own clock in milliseconds, as an expression. */
  readonly databaseNow: string;
}

export const createSqlStore = ({ database, databaseNow }: SqlStoreOptions): CandleStore => ({
  ...createSqlCandles(database),
  ...createSqlJobs(database, databaseNow),
  write: (page, job) =>
    database.transaction(pageLock(page), async (sql) => {
      if (job?.lease !== undefined) await requireLease(sql, job.lease);
      const written = await writePage(database, sql, page);
      if (job !== undefined) await updateJobIn(sql, job.id, { update: job.update, at: page.askedAt });
      return written;
    }),
  async totals() {
    const counts = onlyRow(
      await database.all('SELECT COUNT(*) AS series, COALESCE(SUM(candles), 0) AS candles FROM series'),
    );
    const { bytes, walBytes } = await database.size();
    return { series: numberOf(counts, 'series'), candles: numberOf(counts, 'candles'), bytes, walBytes };
  },
  check: () => database.check(),
  vacuum: () => database.vacuum(),
  close: () => database.close(),
});
