// PostgreSQL as the store of a server: gone, slow, full, of another version, of other data. The real one of this machine.
import pg from 'pg';
import { expect, test, vi } from 'vitest';
import { readMigrations } from '../../../src/ledger/migrations.js';
import { MINUTE, NAME, T0 } from '../../unit/ledger/candle-data.js';
import { write } from '../../unit/ledger/ledger-rig.js';
import {
  database,
  giveBack,
  handleOf,
  later,
  proxy,
  sql,
  storeOf,
  takeAway,
  useProxy,
} from './postgres-rig.js';

useProxy();

test('it opens, migrates under a lock, and serves', async () => {
  const first = handleOf();
  const second = handleOf();
  await Promise.all([first.handle.opened, second.handle.opened]);
  expect(first.handle).toMatchObject({ shared: true, file: null });
  expect(first.handle.status()).toMatchObject({ state: 'ok', detail: 'PostgreSQL', writable: true });
  const migrated = [first, second].flatMap(({ log }) =>
    log.lines.filter(({ message }) => message === 'the store was migrated'),
  );
  expect(migrated).toHaveLength(readMigrations('postgres').length);
  await write(storeOf(first.handle), { count: 3 });
  expect(await storeOf(second.handle).series(NAME)).toMatchObject({ candles: 3 });
});

test('one that is not there is told without its address, and opened when it is', async () => {
  giveBack();
  proxy.targetPort = 1;
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  const { handle, log } = handleOf();
  expect(handle.status()).toMatchObject({ state: 'degraded', writable: false });
  await handle.opened;
  expect(handle.store()).toBeNull();
  expect(handle.status()).toMatchObject({ state: 'degraded', writable: false });
  expect(handle.status().detail).toMatch(/^PostgreSQL did not do its work/);
  expect(JSON.stringify([handle.status(), log.lines])).not.toContain('127.0.0.1');
  expect(log.warnings()).toEqual(['the candle store can not be opened: nothing is kept']);
  giveBack();
  vi.advanceTimersByTime(5_000);
  vi.useRealTimers();
  await vi.waitFor(() => expect(handle.store()).not.toBeNull(), 10_000);
  expect(handle.status()).toMatchObject({ state: 'ok', writable: true });
});

test('one that goes away is degraded, and usable again with the first call that it answers', async () => {
  const { handle } = handleOf();
  await handle.opened;
  const store = storeOf(handle);
  await write(store, { count: 3 });
  await takeAway();
  await expect(store.totals()).rejects.toMatchObject({ name: 'StoreError', fault: 'unavailable' });
  await expect(write(store, { first: 3, count: 3 })).rejects.toMatchObject({ fault: 'unavailable' });
  expect(handle.status()).toMatchObject({ state: 'degraded', writable: false });
  const { since } = handle.status();
  giveBack();
  expect(await store.totals()).toMatchObject({ candles: 3 });
  expect(handle.status()).toMatchObject({ state: 'ok', writable: true });
  expect(handle.status().since).toBeGreaterThanOrEqual(since);
  expect(await write(store, { first: 3, count: 3 })).toMatchObject({ inserted: 3 });
});

test('a transaction that is cut leaves nothing of itself', async () => {
  const { handle } = handleOf();
  await handle.opened;
  const store = storeOf(handle);
  await store.meta('warm');
  const blocker = new pg.Client({ connectionString: database.url });
  await blocker.connect();
  await blocker.query('BEGIN');
  await blocker.query('LOCK TABLE coverage IN ACCESS EXCLUSIVE MODE');
  const written = write(store, { count: 3 }).catch((thrown: unknown) => thrown);
  // It has made its series and waits for the coverage.
  await vi.waitFor(async () => {
    const waiting = await sql(
      "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()",
    );
    expect(waiting).toHaveLength(1);
  }, 60_000);
  await sql(
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()`,
  );
  expect(await written).toMatchObject({ fault: 'unavailable' });
  await blocker.query('ROLLBACK');
  await blocker.end();
  expect(await store.series(NAME)).toBeNull();
  expect(await write(store, { count: 3 })).toMatchObject({ inserted: 3 });
});

test('a connection on which nothing comes back is given up', async () => {
  const { handle } = handleOf();
  await handle.opened;
  const store = storeOf(handle);
  await store.meta('warm');
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  proxy.tamper = () => Buffer.alloc(0);
  let outcome: unknown = 'waits';
  const asked = store.meta('x').catch((thrown: unknown) => (outcome = thrown));
  for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  vi.advanceTimersByTime(34_000);
  for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  expect(outcome).toBe('waits');
  vi.advanceTimersByTime(2_000);
  await asked;
  expect(outcome).toMatchObject({ fault: 'unavailable' });
  expect(handle.status()).toMatchObject({ state: 'degraded' });
  vi.useRealTimers();
  proxy.tamper = null;
  expect(await store.meta('x')).toBeNull();
});

test('the schema of a newer version is read, not written, and not changed', async () => {
  const newer = handleOf({ migrations: later(900, 'ALTER TABLE candles ADD COLUMN trades INTEGER') }).handle;
  await newer.opened;
  await write(storeOf(newer), { count: 3 });
  const { handle } = handleOf();
  await handle.opened;
  expect(handle.status()).toMatchObject({
    ...{ state: 'degraded', writable: false, detail: expect.stringContaining('900') as string },
  });
  const store = storeOf(handle);
  expect(await store.series(NAME)).toMatchObject({ candles: 3 });
  await expect(write(store, { first: 3, count: 3 })).rejects.toMatchObject({ fault: 'read_only' });
  await expect(store.lease('x', 'me', 1000)).rejects.toMatchObject({ fault: 'read_only' });
  expect(handle.status()).toMatchObject({ state: 'degraded', writable: false });
  expect(await storeOf(newer).series(NAME)).toMatchObject({ candles: 3 });
});

test('a migration that fails leaves the schema and the rows as they were', async () => {
  const first = handleOf().handle;
  await first.opened;
  await write(storeOf(first), { count: 3 });
  const text = 'ALTER TABLE candles ADD COLUMN trades INTEGER; INSERT INTO nowhere VALUES (1)';
  const { handle } = handleOf({ migrations: later(900, text) });
  await handle.opened;
  expect(handle.store()).toBeNull();
  expect(handle.status()).toMatchObject({
    state: 'degraded',
    detail: 'PostgreSQL did not do its work (42P01).',
  });
  const columns = await sql(
    "SELECT column_name FROM information_schema.columns WHERE table_name = 'candles'",
  );
  expect(columns).toHaveLength(8);
  expect(await sql("SELECT value FROM meta WHERE key = 'schema_version'")).toEqual([{ value: '1' }]);
  expect(await storeOf(first).series(NAME)).toMatchObject({ candles: 3 });
});

test('simulated and real data: the handle rejects at the start, and stays closed where it is found out later', async () => {
  const real = handleOf().handle;
  await real.opened;
  const crossed = handleOf({ marker: 'sandbox:1' });
  await expect(crossed.handle.opened).rejects.toMatchObject({
    ...{ fault: 'sandbox', message: expect.stringContaining('sandbox') as string },
  });
  proxy.targetPort = 1;
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  const { handle, log } = handleOf({ marker: 'sandbox' });
  await handle.opened;
  giveBack();
  vi.advanceTimersByTime(5_000);
  vi.useRealTimers();
  await vi.waitFor(
    () => expect(log.lines.map(({ message }) => message)).toContain('the store stays closed'),
    10_000,
  );
  expect(handle.store()).toBeNull();
  expect(handle.status()).toMatchObject({ state: 'degraded', writable: false });
});

test('a handle that is closed while it opens keeps no connection and tries nothing', async () => {
  const { handle } = handleOf();
  await handle.close();
  await handle.opened;
  expect(handle.store()).toBeNull();
  proxy.targetPort = 1;
  const lost = handleOf();
  await lost.handle.close();
  await lost.handle.opened;
  const open = await sql(
    "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'mcp-crypto-data-server'",
  );
  expect(open).toEqual([]);
});

test('what is forgotten waits for whoever writes the series', async () => {
  const { handle } = handleOf();
  await handle.opened;
  const store = storeOf(handle);
  await write(store, { count: 10 });
  const writer = new pg.Client({ connectionString: database.url });
  await writer.connect();
  await writer.query('BEGIN');
  await writer.query("SELECT pg_advisory_xact_lock(hashtextextended('binance BTC/USDT 1m', 0))");
  const series = await store.series(NAME);
  const forgotten = store.deleteBefore({ ...NAME, id: series?.id ?? 0 }, T0 + 4 * MINUTE);
  await vi.waitFor(async () => {
    const waiting = await sql(
      `SELECT 1 FROM pg_locks l JOIN pg_database d ON d.oid = l.database
       WHERE d.datname = current_database() AND locktype = 'advisory' AND NOT granted`,
    );
    expect(waiting).toHaveLength(1);
  }, 60_000);
  expect(await store.series(NAME)).toMatchObject({ candles: 10 });
  await writer.query('COMMIT');
  await writer.end();
  expect(await forgotten).toBe(4);
  expect(await store.coverage(series?.id ?? 0, null, 10)).toMatchObject([{ from: T0 + 4 * MINUTE }]);
});

test('its size is that of its own tables, not of the database', async () => {
  const { handle } = handleOf();
  await handle.opened;
  const store = storeOf(handle);
  const { bytes } = await store.totals();
  await sql("CREATE TABLE other AS SELECT repeat('x', 1000) AS text FROM generate_series(1, 2000)");
  expect(await store.totals()).toMatchObject({ bytes, walBytes: 0 });
  await write(store, { count: 1000 });
  expect((await store.totals()).bytes).toBeGreaterThan(bytes);
});
