/** `store copy` of the built program: a process that dies on the way leaves what the next one goes on from. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { expect, test } from 'vitest';
import { openTarget } from '../../src/ledger/copy/copy-end.js';
import { settlePage } from '../../src/ledger/settle.js';
import { createSqlStore } from '../../src/ledger/sql-store.js';
import { SQLITE_NOW } from '../../src/ledger/sqlite/sqlite-database.js';
import { createTestDatabase } from '../api/ledger/postgres.js';
import { DAY, pageOf, T0 } from '../unit/ledger/candle-data.js';

const PROGRAM = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));
const PAGES = 120;

const fill = async (file: string): Promise<void> => {
  const end = await openTarget({ kind: 'sqlite', file });
  const store = createSqlStore({ database: end.database, databaseNow: SQLITE_NOW });
  for (let page = 0; page < PAGES; page += 1) {
    const settled = settlePage(pageOf({ first: page * 1_000, count: 1_000, askedAt: T0 + 200 * DAY }), 0);
    if (settled !== null) await store.write(settled);
  }
  await end.close();
};

test('kill -9 ends a copy to PostgreSQL, and the same command ends with equal counts', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'candles-'));
  const database = await createTestDatabase();
  if (database === null) throw new Error('This test needs a PostgreSQL.');
  const client = new pg.Client({ connectionString: database.url });
  await client.connect();
  const copied = async (): Promise<number> => {
    const { rows } = await client.query<{ count: string }>('SELECT COUNT(*) AS count FROM candles');
    return Number(rows[0]?.count);
  };
  const file = join(folder, 'candles.db');
  const copy = () =>
    spawn(process.execPath, [PROGRAM, 'store', 'copy', database.url], {
      env: { PATH: process.env['PATH'], STORE_URL: `sqlite:${file}` },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
  try {
    await fill(file);
    const killed = copy();
    await expect.poll(() => copied().catch(() => 0), { timeout: 30_000, interval: 5 }).toBeGreaterThan(0);
    killed.kill('SIGKILL');
    await once(killed, 'close');
    const before = await copied();
    expect(before).toBeLessThan(PAGES * 1_000);
    const last = copy();
    let text = '';
    last.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()));
    const [code]: unknown[] = await once(last, 'close');
    expect(code).toBe(0);
    const [, first = ''] = /^copy: (\d+) of 120000 candles$/m.exec(text) ?? [];
    expect(Number(first)).toBeGreaterThanOrEqual(before);
    expect(text).toContain('done, equal in both stores: 1 series, 120000 candles,');
    expect(await copied()).toBe(PAGES * 1_000);
  } finally {
    await client.end();
    await database.drop();
    rmSync(folder, { recursive: true });
  }
});
