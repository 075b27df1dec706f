import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { readMigrations } from '../../../src/ledger/migrations.js';
import { settlePage } from '../../../src/ledger/settle.js';
import { loadSqlite } from '../../../src/ledger/sqlite/driver.js';
import { SqliteHost } from '../../../src/ledger/sqlite/sqlite-host.js';
import type { StoreStatus } from '../../../src/ledger/store-status.js';
import { recordingLog } from '../../support/recording-log.js';
import { DAY, NAME, pageOf, T0 } from './contract.js';

let folder: string;
let file: string;
let hosts: SqliteHost[];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'candles-'));
  file = join(folder, 'deep', 'candles.db');
  hosts = [];
});
afterEach(() => {
  for (const host of hosts) host.close();
  rmSync(folder, { recursive: true });
});

/** 2023-11-03T08:26:40Z. */
const NOW = 1_699_000_000_000;

const hostOf = (given: { marker?: string; newest?: number } = {}) => {
  const log = recordingLog();
  const told: StoreStatus[] = [];
  const migrations = [
    ...readMigrations('sqlite'),
    ...(given.newest === undefined ? [] : [{ version: given.newest, name: 'later.sql', text: 'SELECT 1' }]),
  ];
  const host = new SqliteHost({
    file,
    marker: given.marker ?? 'real',
    driver: loadSqlite(),
    migrations,
    log,
    now: () => NOW,
    onStatus: (status) => told.push(status),
  });
  hosts.push(host);
  return { host, log, told };
};

const write = (host: SqliteHost, first = 0) =>
  host.call('write', [settlePage(pageOf({ first, count: 100, askedAt: T0 + 100 * DAY }), 0)]);
const count = async (host: SqliteHost) => {
  const range = { ...NAME, from: 0, to: T0 * 2, limit: 10_000, newest: false };
  const found = await host.call('read', [range]);
  return found === null ? 0 : (found as { count: number }).count;
};

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
  await reader.checkOwner();
  expect(reader.status.writable).toBe(false);
  owner.close();
  await reader.checkOwner();
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

test('the file of a newer version is only read, and that is said', async () => {
  const newer = hostOf({ newest: 900 }).host;
  await newer.open();
  await write(newer);
  newer.close();
  const { host } = hostOf();
  expect(await host.open()).toMatchObject({ state: 'degraded', writable: false });
  expect(host.status.detail).toContain('900');
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

test('a file that is no database is put aside too', async () => {
  const { host } = hostOf();
  await host.open();
  host.close();
  writeFileSync(file, 'A letter to a friend, much longer than a header of SQLite is.'.repeat(20));
  await hostOf().host.open();
  expect(readdirSync(join(folder, 'deep')).some((name) => name.includes('.corrupt-'))).toBe(true);
});

test('a full disk stops writing and is told; reading goes on, and so does writing when there is room again', async () => {
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
  await host.pragma('max_page_count = 1000000');
  await write(host, 100_000);
  expect(host.status).toMatchObject({ state: 'ok', writable: true });
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
