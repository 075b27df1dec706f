// The floor of a backfill: the same pages from the same venue by undici and JSON.parse, one after the other, into a bare
// table by the same driver. argv: folder, URL of a page without its start, first start, pages. Prints candles a second.
import { join } from 'node:path';
import { request } from 'undici';
import { loadSqlite } from '../../dist/ledger/sqlite/driver.js';

const [, , folder, url, from, pages] = process.argv;
const PAGE_MS = 1000 * 60_000;
const database = loadSqlite().open(join(folder, `bare-${process.pid}.db`));
database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL');
database.exec(
  'CREATE TABLE candles (ts INTEGER PRIMARY KEY, open REAL, high REAL, low REAL, close REAL, volume REAL)',
);
const insert = database.prepare('INSERT OR REPLACE INTO candles VALUES (?, ?, ?, ?, ?, ?)');
let count = 0;
const begin = performance.now();
for (let page = 0; page < Number(pages); page++) {
  const start = Number(from) + page * PAGE_MS;
  const rows = JSON.parse(await (await request(`${url}&startTime=${start}`)).body.text());
  database.exec('BEGIN');
  for (const [timestamp, open, high, low, close, volume] of rows)
    insert.run(timestamp, Number(open), Number(high), Number(low), Number(close), Number(volume));
  database.exec('COMMIT');
  count += rows.length;
}
process.stdout.write(`${(count / (performance.now() - begin)) * 1000}\n`);
process.exit(0);
