// What one call that fails says of PostgreSQL, and how it is found to be well again while nobody else asks.
import pg from 'pg';
import { expect, test, vi } from 'vitest';
import type { StoreHandle } from '../../../src/ledger/store-status.js';
import { NAME } from '../../unit/ledger/candle-data.js';
import { write } from '../../unit/ledger/ledger-rig.js';
import { database, giveBack, handleOf, later, sql, storeOf, takeAway, useProxy } from './postgres-rig.js';

useProxy();

/** Faked timers: what is due by now is done, and whatever it asked PostgreSQL for may come. */
const probed = async (handle: StoreHandle, expected: object) => {
  await vi.waitFor(
    async () => {
      await vi.advanceTimersByTimeAsync(1_000);
      expect(handle.status()).toMatchObject(expected);
    },
    { timeout: 20_000, interval: 10 },
  );
};

test('one that goes away is found to be back by itself, also one that is only read', async () => {
  const { handle } = handleOf({ migrations: later(900, 'SELECT 1') });
  await handle.opened;
  const reading = handleOf();
  await reading.handle.opened;
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  await takeAway();
  for (const one of [handle, reading.handle])
    await expect(storeOf(one).totals()).rejects.toMatchObject({ fault: 'unavailable' });
  await vi.advanceTimersByTimeAsync(5_000);
  const gone = { state: 'degraded', detail: expect.stringContaining('did not do its work') as string };
  expect(handle.status()).toMatchObject(gone);
  expect(reading.handle.status()).toMatchObject(gone);
  giveBack();
  await probed(handle, { state: 'ok', writable: true });
  await probed(reading.handle, { detail: expect.stringContaining('schema') as string, writable: false });
});

test('a call that waited too long for a lock is busy, and says nothing of PostgreSQL', async () => {
  const { handle } = handleOf();
  await handle.opened;
  const store = storeOf(handle);
  await write(store, { count: 3 });
  const blocker = new pg.Client({ connectionString: database.url });
  await blocker.connect();
  await blocker.query('BEGIN');
  await blocker.query('LOCK TABLE coverage IN ACCESS EXCLUSIVE MODE');
  await database.alter('SET lock_timeout = 100');
  const timed = handleOf().handle;
  await timed.opened;
  await expect(write(storeOf(timed), { first: 3, count: 3 })).rejects.toMatchObject({ fault: 'busy' });
  expect(timed.status()).toMatchObject({ state: 'ok', writable: true });
  expect(await storeOf(timed).meta('marker')).toBe('real');
  // The probe has run.
  await vi.waitFor(
    async () => expect(await sql("SELECT value FROM meta WHERE key = 'probe'")).toEqual([{ value: '' }]),
    10_000,
  );
  expect(timed.status()).toMatchObject({ state: 'ok', writable: true });
  await blocker.query('ROLLBACK');
  await blocker.end();
  expect(await write(storeOf(timed), { first: 3, count: 3 })).toMatchObject({ inserted: 3 });
});

test('where no write comes through in time PostgreSQL is degraded, until one does', async () => {
  await database.alter('SET lock_timeout = 100');
  const { handle } = handleOf();
  await handle.opened;
  const store = storeOf(handle);
  const blocker = new pg.Client({ connectionString: database.url });
  await blocker.connect();
  await blocker.query('BEGIN');
  await blocker.query('LOCK TABLE coverage, meta IN SHARE MODE');
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  await expect(write(store, { count: 3 })).rejects.toMatchObject({ fault: 'busy' });
  const detail = expect.stringContaining('in time (55P03)') as string;
  await probed(handle, { state: 'degraded', writable: false, detail });
  // Reading goes on, and does not hide it.
  expect(await store.series(NAME)).toBeNull();
  expect(handle.status().state).toBe('degraded');
  await blocker.query('ROLLBACK');
  await blocker.end();
  await probed(handle, { state: 'ok', writable: true });
});

test('a database that refuses writes is degraded while it does, however much is read', async () => {
  const { handle } = handleOf();
  await handle.opened;
  const store = storeOf(handle);
  await write(store, { count: 3 });
  await database.alter('SET default_transaction_read_only = on');
  await takeAway();
  giveBack();
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  await expect(write(store, { first: 3, count: 3 })).rejects.toMatchObject({ name: 'StoreError' });
  const refused = {
    state: 'degraded',
    writable: false,
    detail: expect.stringContaining('refuses') as string,
  };
  await probed(handle, refused);
  expect(await store.series(NAME)).toMatchObject({ candles: 3 });
  expect(handle.status()).toMatchObject(refused);
  await database.alter('RESET ALL');
  await takeAway();
  giveBack();
  await probed(handle, { state: 'ok', writable: true });
});

/** A disk on which no file can grow: rows that fit into what was deleted before are still written. `code`: for new tables. */
const fillDisk = async (code = '53100') => {
  await sql(`CREATE FUNCTION disk_full() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100'; END $$`);
  await sql(`CREATE FUNCTION no_new_table() RETURNS event_trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'no new table' USING ERRCODE = '${code}'; END $$`);
  await sql('CREATE TRIGGER disk_full BEFORE INSERT ON candles EXECUTE FUNCTION disk_full()');
  await sql(`CREATE EVENT TRIGGER no_new_table ON ddl_command_start
    WHEN TAG IN ('CREATE TABLE AS') EXECUTE FUNCTION no_new_table()`);
};
const freeDisk = async () => {
  await sql('DROP EVENT TRIGGER no_new_table');
  await sql('DROP TRIGGER disk_full ON candles');
};
const full = { state: 'degraded', writable: true, detail: expect.stringContaining('full') as string };

test('a full disk is told until new pages fit, whatever small writes succeed meanwhile', async () => {
  const { handle } = handleOf();
  await handle.opened;
  const store = storeOf(handle);
  await write(store, { count: 3 });
  await fillDisk();
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  await expect(write(store, { first: 3, count: 3 })).rejects.toMatchObject({ fault: 'full' });
  expect(handle.status()).toMatchObject(full);
  await store.setMeta('small', 'written');
  expect(await store.takeDue(1, 10, 2)).toEqual([]);
  expect(await store.series(NAME)).toMatchObject({ candles: 3 });
  expect(handle.status()).toMatchObject(full);
  // Each probe writes its bytes and takes them out again, then asks for new pages.
  const probes = 'SELECT xmin::text AS written FROM meta WHERE key = $1';
  const [first] = await sql(probes, ['probe']);
  await vi.waitFor(
    async () => {
      await vi.advanceTimersByTimeAsync(1_000);
      expect(await sql(probes, ['probe'])).not.toEqual(first === undefined ? [] : [first]);
    },
    { timeout: 20_000, interval: 10 },
  );
  expect(handle.status()).toMatchObject(full);
  await freeDisk();
  await probed(handle, { state: 'ok', writable: true });
  expect(await write(store, { first: 3, count: 3 })).toMatchObject({ inserted: 3 });
  expect(await sql("SELECT to_regclass('store_probe') AS kept")).toEqual([{ kept: null }]);
});

test('a full disk that goes away is full when it is back', async () => {
  const { handle } = handleOf();
  await handle.opened;
  const store = storeOf(handle);
  await fillDisk();
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  await expect(write(store, { count: 3 })).rejects.toMatchObject({ fault: 'full' });
  await takeAway();
  await expect(store.totals()).rejects.toMatchObject({ fault: 'unavailable' });
  expect(handle.status()).toMatchObject({ state: 'degraded', writable: false });
  giveBack();
  expect(await store.series(NAME)).toBeNull();
  expect(handle.status()).toMatchObject(full);
  await freeDisk();
  await probed(handle, { state: 'ok', writable: true });
});

test('a full disk is told until the next probe where the user may make no tables', async () => {
  const { handle } = handleOf();
  await handle.opened;
  await fillDisk('42501');
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  await expect(write(storeOf(handle), { count: 3 })).rejects.toMatchObject({ fault: 'full' });
  expect(handle.status()).toMatchObject(full);
  await probed(handle, { state: 'ok', writable: true });
});
