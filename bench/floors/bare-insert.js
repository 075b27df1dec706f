// The floor of the write path: the same rows into a bare table by the same driver, a transaction a page, in one thread.
// argv: folder, pages, pages before the first that counts. Prints candles a second and bytes a candle.
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { loadSqlite } from '../../dist/ledger/sqlite/driver.js';
import { PAGE, rowsOfPage } from '../workloads/candle-pages.js';

const [, , folder, pages, warmUp] = process.argv;
const file = join(folder, `bare-${process.pid}.db`);
const database = loadSqlite().open(file);
database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL');
database.exec(`CREATE TABLE candles (series_id INTEGER NOT NULL, ts INTEGER NOT NULL, open REAL, high REAL, low REAL,
  close REAL, volume REAL, meta INTEGER NOT NULL, PRIMARY KEY (series_id, ts)) STRICT, WITHOUT ROWID`);
const insert = database.prepare('INSERT INTO candles VALUES (1, ?, ?, ?, ?, ?, ?, 1)');
const all = Array.from({ length: Number(warmUp) + Number(pages) }, (_, page) => rowsOfPage(page));
let begin = 0;
for (const [index, rows] of all.entries()) {
  if (index === Number(warmUp)) begin = performance.now();
  database.exec('BEGIN');
  for (const { timestamp, open, high, low, close, volume } of rows)
    insert.run(timestamp, open, high, low, close, volume);
  database.exec('COMMIT');
}
const seconds = (performance.now() - begin) / 1000;
database.exec('PRAGMA wal_checkpoint(TRUNCATE)');
const bytes = statSync(file).size / (all.length * PAGE);
process.stdout.write(`${(Number(pages) * PAGE) / seconds} ${bytes}\n`);
process.exit(0);
