// What a SQLite file says of itself when it can't be written, and when it can again; its checkpoints and its room.
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { loadSqlite } from '../../../src/ledger/sqlite/driver.js';
import { NAME, T0 } from './candle-data.js';
import { count, file, hostOf, useFolder, write } from './sqlite-host-rig.js';

useFolder();

test('a full disk stops writes and is reported; reads go on, and writes resume when space is free', async () => {
  const { host } = hostOf();
  await host.open();
  await write(host);
  const pages = Number((await host.pragma('page_count'))[0]);
  await host.pragma(`max_page_count = ${pages}`);
  const writing = async () => {
    for (let first = 1000; first < 50_000; first += 1000) await write(host, first);
  };
  await expect(writing()).rejects.toMatchObject({ fault: 'full' });
  expect(host.status).toMatchObject({ state: 'degraded', detail: expect.stringContaining('full') as string });
  expect(await count(host)).toBeGreaterThanOrEqual(100);
  expect(await host.call('takeDue', [1, 10, 2])).toEqual([]);
  await host.call('setMeta', ['small', 'written']);
  expect(host.status.state).toBe('degraded');
  await host.pragma('max_page_count = 1000000');
  await write(host, 100_000);
  await host.maintain();
  expect(host.status).toMatchObject({ state: 'ok', writable: true });
});

test('a write that fails for another reason is told until one succeeds', async () => {
  const { host } = hostOf();
  await host.open();
  await host.pragma('query_only = 1');
  await expect(write(host)).rejects.toMatchObject({ fault: 'read_only' });
  expect(host.status).toMatchObject({
    ...{ state: 'degraded', writable: true },
    detail: expect.stringContaining('nothing is stored') as string,
  });
  expect(await count(host)).toBe(0);
  expect(host.status.state).toBe('degraded');
  await host.pragma('query_only = 0');
  await write(host);
  expect(host.status).toMatchObject({ state: 'ok', writable: true });
});

test('a file that another program has locked is degraded, and well again by itself when it is free', async () => {
  const { host } = hostOf();
  await host.open();
  await write(host);
  await host.pragma('busy_timeout = 0');
  const other = loadSqlite().open(file);
  other.exec('BEGIN IMMEDIATE');
  await expect(write(host, 100)).rejects.toMatchObject({ fault: 'busy' });
  const locked = { state: 'degraded', detail: expect.stringContaining('locked') as string };
  expect(host.status).toMatchObject(locked);
  await host.maintain();
  expect(host.status).toMatchObject(locked);
  expect(await count(host)).toBe(100);
  other.exec('COMMIT');
  other.close();
  await host.maintain();
  expect(host.status).toMatchObject({ state: 'ok', detail: 'SQLite file', writable: true });
  expect(await write(host, 100)).toMatchObject({ inserted: 100 });
});

test('a disk stays full for as long as more than a few bytes do not fit', async () => {
  const { host } = hostOf();
  await host.open();
  const pages = Number((await host.pragma('page_count'))[0]);
  await host.pragma(`max_page_count = ${pages + 2}`);
  await expect(write(host).then(() => write(host, 1000))).rejects.toMatchObject({ fault: 'full' });
  await host.maintain();
  expect(host.status).toMatchObject({ state: 'degraded', detail: expect.stringContaining('full') as string });
  await host.pragma('max_page_count = 1000000');
  await host.maintain();
  expect(host.status).toMatchObject({ state: 'ok' });
  const before = Number((await host.pragma('page_count'))[0]);
  await host.maintain();
  expect((await host.pragma('page_count'))[0]).toBe(before);
});

test('a reader checkpoints nothing, and a host that is not open has nothing to tell', async () => {
  const { host } = hostOf();
  host.checkpoint();
  expect(await host.pragma('user_version')).toEqual([]);
  await expect(host.call('totals', [])).rejects.toMatchObject({ fault: 'unavailable' });
  await host.open();
  await write(host);
  const before = readFileSync(`${file}-wal`).length;
  const { host: reader } = hostOf();
  await reader.open();
  reader.checkpoint();
  expect(readFileSync(`${file}-wal`)).toHaveLength(before);
  host.checkpoint();
  expect(readFileSync(`${file}-wal`)).toHaveLength(0);
});

test('a checkpoint that another reads through has to wait', async () => {
  const { host, log, asked } = hostOf();
  await host.open();
  await write(host);
  const other = loadSqlite().open(file);
  other.exec('BEGIN');
  other.prepare('SELECT COUNT(*) FROM candles').all();
  await write(host, 500);
  asked.length = 0;
  host.checkpoint();
  // A statement would wait for five seconds, and with it every answer.
  expect(asked).toEqual([
    'PRAGMA busy_timeout = 0',
    'PRAGMA wal_checkpoint(TRUNCATE)',
    'PRAGMA busy_timeout = 5000',
  ]);
  expect(readFileSync(`${file}-wal`).length).toBeGreaterThan(0);
  other.exec('COMMIT');
  host.checkpoint();
  expect(readFileSync(`${file}-wal`)).toHaveLength(0);
  other.close();
  expect(log.warnings()).toEqual([]);
});

test('space that was freed inside the file counts as free', async () => {
  const { host } = hostOf();
  await host.open();
  for (let first = 0; first < 20_000; first += 100) await write(host, first);
  host.checkpoint();
  const bytes = async () => ((await host.call('totals', [])) as { bytes: number }).bytes;
  const before = await bytes();
  await host.call('deleteBefore', [{ ...NAME, id: 1 }, T0 + 19_000 * 60_000]);
  host.checkpoint();
  expect(await bytes()).toBeLessThan(before / 4);
  expect(readFileSync(file).length).toBe(before);
});

test('a reader leaves jobs for the owner of the file and cancels them, and writes nothing else', async () => {
  const owner = hostOf().host;
  await owner.open();
  const reader = hostOf().host;
  await reader.open();
  const job = { ...NAME, from: T0, to: T0 + 60_000, origin: 'api' };
  const { id } = (await reader.call('addJob', [job, 1])) as { id: string };
  expect(await owner.call('openJobs', [])).toMatchObject([{ id, state: 'queued' }]);
  await expect(reader.call('updateJob', [id, { percent: 50 }, 2])).rejects.toMatchObject({
    fault: 'read_only',
  });
  expect(await reader.call('updateJob', [id, { state: 'cancelled' }, 2])).toMatchObject({
    state: 'cancelled',
  });
  expect(await owner.call('job', [id])).toMatchObject({ state: 'cancelled', percent: 0 });
  await expect(write(reader)).rejects.toMatchObject({ fault: 'read_only' });
  expect(await reader.pragma('query_only')).toEqual([1]);
});
