// L1a: pages through the write path of the built server (settle, coverage, revisions, commit), one after the other as a
// backfill brings them. argv: folder, pages, pages before the first that counts. Prints candles a second.
import { join } from 'node:path';
import { openSqliteStore } from '../../dist/ledger/sqlite/sqlite-store.js';
import { createStorageSpace } from '../../dist/ledger/storage-space.js';
import { createStoreTimes } from '../../dist/ledger/store-times.js';
import { createWriter } from '../../dist/ledger/writer.js';
import { silentLog } from '../../dist/log/log.js';
import { PAGE, rowsOfPage } from './candle-pages.js';

const [, , folder, pages, warmUp] = process.argv;
const monotonic = () => performance.now();
const file = join(folder, 'written.db');
const handle = openSqliteStore({ file, marker: 'sandbox', log: silentLog, now: Date.now });
await handle.opened;
const writer = createWriter({
  handle,
  space: createStorageSpace({ maxBytes: Infinity, minFreeBytes: 0, file, monotonic }),
  settleMs: 10_000,
  isWanted: () => true,
  onWritten: () => undefined,
  times: createStoreTimes(monotonic),
  owner: 'bench',
  log: silentLog,
  now: Date.now,
});
const pageOf = (page) => {
  const rows = rowsOfPage(page);
  const series = { exchange: 'binance', symbol: 'BTC/USDT', interval: '1m', marketId: 'BTCUSDT' };
  const asked = { since: rows[0].timestamp, limit: PAGE, pageSize: PAGE, askedAt: Date.now() };
  return { ...series, ...asked, source: 'rest', kind: 'jump', omitsEmpty: false, rows };
};

const all = Array.from({ length: Number(warmUp) + Number(pages) }, (_, page) => pageOf(page));
let inserted = 0;
let begin = 0;
for (const [index, page] of all.entries()) {
  if (index === Number(warmUp)) begin = performance.now();
  inserted += (await writer.add(page))?.inserted ?? 0;
}
const seconds = (performance.now() - begin) / 1000;
if (inserted !== all.length * PAGE)
  throw new Error(`${inserted} of ${all.length * PAGE} candles were stored`);
await handle.close();
process.stdout.write(`${(Number(pages) * PAGE) / seconds}\n`);
process.exit(0);
