/**
 * A server that dies at random points of a backfill, without a warning: what is stored is whole each time, the next server
 * goes on by itself, and a death costs one page at most.
 */
import { copyFileSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { readMigrations } from '../../src/ledger/migrations.js';
import { createSqlStore } from '../../src/ledger/sql-store.js';
import { loadSqlite } from '../../src/ledger/sqlite/driver.js';
import { openSqliteFile, SQLITE_NOW } from '../../src/ledger/sqlite/sqlite-database.js';
import { checkStore } from '../../src/ledger/store-check.js';
import { startSandbox, type Sandbox } from '../../src/sandbox/sandbox.js';
import { extent } from '../support/extent.js';
import { startServer } from './streams-rig.js';

const MINUTE = 60_000;
const PAGE = 1_000;
/** Copies: how often the file is copied in a life, the last time at its end. */
const { kills: KILLS, copies: COPIES } = extent({
  short: { kills: 3, copies: 6 },
  long: { kills: 50, copies: 3 },
});
/** What a life asks for at most while it is copied. */
const MOST_PAGES_A_LIFE = COPIES + 2;
const PAGES = KILLS * MOST_PAGES_A_LIFE + 2;
/** Time from a request to the next one, at least. */
const PAGE_MS = 30;
/** Finds out whether the range reaches beyond the listing. */
const LISTING_REQUESTS = 1;

let sandbox: Sandbox;
let folder: string;
let file: string;
beforeEach(async () => {
  sandbox = await startSandbox({ weightLimit: Infinity });
  folder = mkdtempSync(join(tmpdir(), 'candles-'));
  file = join(folder, 'candles.db');
});
afterEach(async () => {
  await sandbox.close();
  rmSync(folder, { recursive: true });
});

const candleRequests = (): number =>
  sandbox.control.requestLog().filter(({ kind }) => kind === 'ohlcv').length;

const start = () =>
  startServer({
    SANDBOX: sandbox.url,
    STORE_URL: `sqlite:${file}`,
    BACKFILL_API: 'true',
    BACKFILL_BUDGET_SHARE: '1',
    RATE_LIMIT_REQUESTS: '100000',
    EXCHANGE_WORKERS: '0',
    EXCHANGE_OPTIONS: `{"binance":{"rateLimit":${PAGE_MS}}}`,
  });

/** The file and its write-ahead log as they are while the process stands still in the middle of anything. */
const snapshot = (kill: number, copied: number): string => {
  const copy = join(folder, `copy-${kill}-${copied}.db`);
  for (const part of ['', '-wal']) if (existsSync(file + part)) copyFileSync(file + part, copy + part);
  return copy;
};

/** What is wrong with a copy, after the start of a process that owns it; how many candles it holds. */
const look = async (copy: string): Promise<{ readonly faults: string[]; readonly candles: number }> => {
  const { database } = openSqliteFile(loadSqlite(), {
    ...{ file: copy, owner: true, migrations: readMigrations('sqlite') },
  });
  const store = createSqlStore({ database, databaseNow: SQLITE_NOW });
  const faults = await checkStore(store);
  const { candles } = await store.totals();
  await store.close();
  return { faults, candles };
};

test(`${KILLS} times kill -9: no hole, no duplicate, a page more at most for each`, async () => {
  const to = Math.floor(Date.now() / MINUTE) * MINUTE - 120 * MINUTE;
  const from = to - PAGES * PAGE * MINUTE;
  const asked = { exchange: 'binance', symbol: 'BTC/USDT', interval: '1m', from, to };
  const copies: string[] = [];
  const looks: { readonly faults: string[]; readonly candles: number }[] = [];
  let id = '';
  for (let kill = 0; kill < KILLS; kill += 1) {
    const { process: server, url } = await start();
    const before = candleRequests();
    if (kill === 0) {
      const headers = { 'content-type': 'application/json' };
      const answer = await fetch(`${url}/v1/backfills`, {
        method: 'POST',
        headers,
        body: JSON.stringify(asked),
      });
      ({ id } = (await answer.json()) as { id: string });
    }
    await vi.waitFor(() => expect(candleRequests()).toBeGreaterThan(before), {
      ...{ timeout: 20_000, interval: 1 },
    });
    for (let copied = 0; copied < COPIES; copied += 1) {
      server.kill('SIGCONT');
      // Anywhere within the time of a page.
      await new Promise((resolve) => setTimeout(resolve, Math.random() * PAGE_MS));
      server.kill('SIGSTOP');
      copies.push(snapshot(kill, copied));
    }
    server.kill('SIGKILL');
    await once(server, 'exit');
    for (const copy of copies.splice(0)) looks.push(await look(copy));
  }

  const last = await start();
  const { url } = last;
  const job = await vi.waitFor(
    async () => {
      const found = (await (await fetch(`${url}/v1/backfills/${id}`)).json()) as { state: string };
      expect(found.state).toBe('done');
      return found;
    },
    { timeout: 60_000, interval: 20 },
  );
  expect(job).toMatchObject({ percent: 100, candles: PAGES * PAGE });
  const csv = await fetch(
    `${url}/v1/markets/ohlcv/export?exchange=binance&symbol=BTC/USDT&interval=1m&from=${from}&to=${to}`,
  );
  expect(csv.headers.get('data-gaps')).toBeNull();
  const truth = sandbox.market
    .candles('binance', 'BTC/USDT', { interval: '1m', from, to: to - MINUTE, now: Date.now() })
    .map(({ timestamp, open, high, low, close: end, volume }) =>
      [timestamp, open, high, low, end, volume, true].join(','),
    );
  expect((await csv.text()).split('\r\n').slice(1, -1)).toEqual(truth);
  expect(candleRequests()).toBeLessThanOrEqual(PAGES + LISTING_REQUESTS + KILLS);
  await last.close();

  // A power cut at each of these instants: the copy opens, and holds all that its coverage knows.
  expect(looks.flatMap(({ faults }) => faults)).toEqual([]);
  const counts = looks.map(({ candles }) => candles);
  expect(counts).toEqual(counts.toSorted((a, b) => a - b));
  expect(await look(file)).toEqual({ faults: [], candles: PAGES * PAGE });
});
