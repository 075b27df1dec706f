import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { releaseClosed } from '../../../src/ledger/sqlite/driver.js';
import { count, file, folder, hostOf, useFile, useFolder, write } from './sqlite-host-rig.js';

useFolder();

test('a file is made with its folder, and its migrations are logged with their time', async () => {
  const { host, log } = hostOf();
  expect(await host.open()).toMatchObject({ state: 'ok', writable: true });
  expect(log.lines.map(({ message }) => message)).toContain('the store was migrated');
  await write(host);
  expect(await count(host)).toBe(100);
});

test('what was stored is there after the next start', async () => {
  const first = hostOf().host;
  await first.open();
  await write(first);
  first.close();
  const second = hostOf().host;
  await second.open();
  expect(await count(second)).toBe(100);
});

test('the second on a file reads, and owns it when the first has gone', async () => {
  const owner = hostOf().host;
  await owner.open();
  await write(owner);
  const { host: reader } = hostOf();
  const status = await reader.open();
  expect(status).toMatchObject({ state: 'ok', writable: false });
  expect(status.detail).toMatch(/another process owns/i);
  expect(await count(reader)).toBe(100);
  await expect(write(reader, 100)).rejects.toMatchObject({ fault: 'read_only' });
  await reader.maintain();
  expect(reader.status.writable).toBe(false);
  owner.close();
  await reader.maintain();
  expect(reader.status).toMatchObject({ state: 'ok', writable: true });
  await write(reader, 100);
  expect(await count(reader)).toBe(200);
});

test('a sandbox and real exchanges never share a file', async () => {
  const real = hostOf().host;
  await real.open();
  real.close();
  await expect(hostOf({ marker: 'sandbox:1' }).host.open()).rejects.toMatchObject({
    fault: 'sandbox',
    message: expect.stringContaining('sandbox') as string,
  });
});

test('a migration that fails leaves the schema and the rows as they were', async () => {
  const first = hostOf().host;
  await first.open();
  await write(first);
  first.close();
  const text = 'ALTER TABLE candles ADD COLUMN trades INTEGER; INSERT INTO nowhere VALUES (1)';
  const failing = hostOf({ newest: 900, text }).host;
  await expect(failing.open()).rejects.toMatchObject({
    message: expect.stringContaining('nowhere') as string,
  });
  failing.close();
  const { host } = hostOf();
  expect(await host.open()).toMatchObject({ state: 'ok', writable: true });
  expect(await count(host)).toBe(100);
  expect(await host.pragma('table_info(candles)')).toHaveLength(8);
});

test('the file of a newer version is only read, and that is said', async () => {
  const newer = hostOf({ newest: 900 }).host;
  await newer.open();
  await write(newer);
  newer.close();
  const { host } = hostOf();
  expect(await host.open()).toMatchObject({ state: 'degraded', writable: false });
  expect(host.status.detail).toContain('900');
  expect(await count(host)).toBe(100);
  await expect(write(host, 500)).rejects.toMatchObject({ fault: 'read_only' });
  expect(await count(host)).toBe(100);
});

test('a corrupt file is put aside with every byte, and an empty one is begun', async () => {
  const first = hostOf().host;
  await first.open();
  await write(first);
  first.close();
  const bytes = readFileSync(file);
  bytes.fill(0x5a, 100, bytes.length - 100);
  writeFileSync(file, bytes);
  const { host, log } = hostOf();
  expect(await host.open()).toMatchObject({ state: 'degraded', writable: true });
  expect(host.status.detail).toContain('corrupt');
  expect(log.lines.some(({ level, message }) => level === 'error' && message.includes('corrupt'))).toBe(true);
  const aside = join(folder, 'deep', 'candles.db.corrupt-20231103T082640Z');
  expect(readFileSync(aside).equals(bytes)).toBe(true);
  expect(await count(host)).toBe(0);
  await write(host);
  expect(host.status).toMatchObject({
    state: 'degraded',
    detail: expect.stringContaining('corrupt') as string,
  });
});

test('what a killed process left is put aside with its write-ahead log, byte by byte', async () => {
  const killed = hostOf().host;
  await killed.open();
  await write(killed);
  const living = file;
  useFile(join(folder, 'left.db'));
  killed.checkpoint();
  await write(killed, 500);
  const bytes = readFileSync(living);
  bytes.fill(0x5a, 100, bytes.length - 100);
  const log = readFileSync(`${living}-wal`);
  expect(log.length).toBeGreaterThan(0);
  writeFileSync(file, bytes);
  writeFileSync(`${file}-wal`, log);
  const { host } = hostOf();
  expect(await host.open()).toMatchObject({ state: 'degraded', writable: true });
  const aside = `${file}.corrupt-20231103T082640Z`;
  expect(readFileSync(aside).equals(bytes)).toBe(true);
  expect(readFileSync(`${aside}-wal`).equals(log)).toBe(true);
});

/** Every page of the file but the first becomes nonsense, while it is open. */
const spoil = () => {
  const bytes = readFileSync(file);
  bytes.fill(0x5a, 4096);
  writeFileSync(file, bytes);
};

test('a file that becomes corrupt while it is used is put aside too, beside the one of before', async () => {
  const { host, told } = hostOf();
  await host.open();
  for (let time = 0; time < 2; time += 1) {
    await write(host);
    host.checkpoint();
    await write(host, 500);
    await host.pragma('cache_size = 0');
    await host.pragma('shrink_memory');
    spoil();
    await expect(count(host)).rejects.toMatchObject({ fault: 'corrupt' });
    expect(host.status).toMatchObject({ state: 'degraded', writable: true });
    expect(await count(host)).toBe(0);
  }
  const aside = readdirSync(join(folder, 'deep')).filter((name) => /corrupt-[0-9TZ]+$/.test(name));
  expect(aside.sort()).toEqual([
    'candles.db.corrupt-20231103T082640Z',
    'candles.db.corrupt-20231103T082641Z',
  ]);
  expect(told).toHaveLength(2);
  // The connection to the old file is gone: it does not take the new one's log with it.
  await write(host);
  await releaseClosed();
  expect(readFileSync(`${file}-wal`).length).toBeGreaterThan(0);
});

test('a corrupt file that can not be put aside is told, and tried again', async () => {
  const { host } = hostOf();
  await host.open();
  await write(host);
  host.checkpoint();
  await host.pragma('cache_size = 0');
  spoil();
  // Its folder lets nothing be renamed: it is another one for this moment.
  const deep = join(folder, 'deep');
  renameSync(deep, join(folder, 'away'));
  await expect(count(host)).rejects.toMatchObject({ fault: 'unavailable' });
  expect(host.status).toMatchObject({ state: 'degraded', writable: false });
  await expect(write(host)).rejects.toMatchObject({ fault: 'unavailable' });
  await expect(host.maintain()).rejects.toMatchObject({ fault: 'unavailable' });
  renameSync(join(folder, 'away'), deep);
  await host.maintain();
  expect(host.status).toMatchObject({
    ...{ state: 'degraded', writable: true },
    detail: expect.stringContaining('corrupt') as string,
  });
  expect(await count(host)).toBe(0);
});

test('a reader whose file is corrupt says so, and reads the new one when the owner has put it aside', async () => {
  const owner = hostOf().host;
  await owner.open();
  await write(owner);
  owner.checkpoint();
  const { host: reader } = hostOf();
  await reader.open();
  await owner.pragma('cache_size = 0');
  spoil();
  await expect(count(reader)).rejects.toMatchObject({ fault: 'corrupt' });
  expect(reader.status).toMatchObject({ state: 'degraded', writable: false });
  await expect(count(owner)).rejects.toMatchObject({ fault: 'corrupt' });
  await write(owner, 500);
  await reader.maintain();
  expect(reader.status).toMatchObject({ state: 'ok', writable: false });
  expect(await count(reader)).toBe(100);
});

test('a file that is no database is put aside too', async () => {
  const { host } = hostOf();
  await host.open();
  host.close();
  writeFileSync(file, 'A letter to a friend, much longer than a header of SQLite is.'.repeat(20));
  await hostOf().host.open();
  expect(readdirSync(join(folder, 'deep')).some((name) => name.includes('.corrupt-'))).toBe(true);
});

test('the lock of an owner ends with its process, however that dies', async () => {
  const { host } = hostOf();
  await host.open();
  host.close();
  const script = `
    const load = () => { try { return require('node:sqlite'); } catch { return require('@photostructure/sqlite'); } };
    const db = new (load().DatabaseSync)(process.argv[1] + '-owner');
    db.exec('BEGIN EXCLUSIVE');
    process.kill(process.pid, 'SIGKILL');`;
  const { signal } = spawnSync(process.execPath, ['-e', script, file], { cwd: process.cwd() });
  expect(signal).toBe('SIGKILL');
  expect(await hostOf().host.open()).toMatchObject({ writable: true });
});

test('a reader that can not own the file when its turn comes says so, and tries again', async () => {
  const owner = hostOf().host;
  await owner.open();
  await write(owner);
  const { host: reader, log } = hostOf({ newest: 900, text: 'INSERT INTO nowhere VALUES (1)' });
  await reader.open();
  owner.close();
  await expect(reader.maintain()).rejects.toMatchObject({
    message: expect.stringContaining('nowhere') as string,
  });
  expect(reader.status).toMatchObject({ state: 'degraded', writable: false });
  await expect(count(reader)).rejects.toMatchObject({ fault: 'unavailable' });
  // Another one can own it meanwhile, and the first reads again.
  const { host: other } = hostOf();
  expect(await other.open()).toMatchObject({ writable: true });
  await reader.maintain();
  expect(reader.status).toMatchObject({ state: 'ok', writable: false });
  expect(await count(reader)).toBe(100);
  expect(log.lines.map(({ message }) => message)).not.toContain(
    'the owner of the store has gone: this process owns it now',
  );
});

test('an owner does not check for an owner', async () => {
  const { host, told } = hostOf();
  await host.open();
  await host.maintain();
  expect(host.status.writable).toBe(true);
  expect(told).toHaveLength(1);
});

test('a read that fails says nothing about the file', async () => {
  const { host } = hostOf();
  await host.open();
  await expect(host.call('rows', [{ no: 'id' }, { from: 0, to: 1 }, 1])).rejects.toMatchObject({
    fault: 'unavailable',
  });
  expect(host.status).toMatchObject({ state: 'ok', writable: true });
});

test('a folder that can not be made is told as such, and a file that is a folder too', async () => {
  writeFileSync(join(folder, 'deep'), '');
  await expect(hostOf().host.open()).rejects.toMatchObject({
    ...{ fault: 'unavailable', message: 'The folder of the store can not be made.' },
  });
  rmSync(join(folder, 'deep'));
  mkdirSync(file, { recursive: true });
  await expect(hostOf().host.open()).rejects.toMatchObject({ fault: 'unavailable' });
  rmSync(file, { recursive: true });
  rmSync(`${file}-owner`);
  mkdirSync(`${file}-owner`);
  await expect(hostOf().host.open()).rejects.toMatchObject({ fault: 'unavailable' });
});
