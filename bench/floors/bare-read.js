// The floor of a read: the driver's own .all() of 2,000 rows and JSON.stringify, in one thread. argv: the store's file,
// reads, reads before the first that counts. Prints reads a second of CPU time.
import { loadSqlite } from '../../dist/ledger/sqlite/driver.js';

const [, , file, reads, warmUp] = process.argv;
const MINUTE = 60_000;
const STEPS = 400;
const database = loadSqlite().open(file, { readOnly: true });
const [{ id, first }] = database
  .prepare(
    'SELECT series_id AS id, MIN(ts) AS first FROM candles GROUP BY series_id ORDER BY COUNT(*) DESC LIMIT 1',
  )
  .all();
const statement = database.prepare(
  'SELECT ts, open, high, low, close, volume FROM candles WHERE series_id = ? AND ts >= ? ORDER BY ts LIMIT 2000',
);
const read = (index) => JSON.stringify(statement.all(id, first + (index % STEPS) * 10 * MINUTE));
let bytes = 0;
let before;
for (let index = 0; index < Number(warmUp) + Number(reads); index++) {
  if (index === Number(warmUp)) before = process.cpuUsage();
  bytes += read(index).length;
}
const used = process.cpuUsage(before);
if (bytes < Number(reads) * 2000 * 50) throw new Error('there are not 2,000 candles to read');
process.stdout.write(`${(Number(reads) / (used.user + used.system)) * 1e6}\n`);
process.exit(0);
