// The store of keys is gone, damaged or late: what is served meanwhile, and that it is never replaced by an empty one.
import { copyFileSync, readFileSync, renameSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { Socket } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Access } from '../../../src/access/access.js';
import { isKey, makeKey } from '../../../src/access/key-format.js';
import { openAccess, openAccessStore } from '../../../src/access/open-access.js';
import { AppError } from '../../../src/errors.js';
import { recordingLog } from '../../support/recording-log.js';
import { startTcpProxy } from '../../support/tcp-proxy.js';
import { createTestDatabase } from '../ledger/postgres.js';
import { issueTo, startAccessApp, testFolder, type AccessRig, type TestFolder } from './access-app.js';

const TICKER = '/v1/markets/ticker?exchange=binance&symbol=BTC/USDT';

let folder: TestFolder;
let open: { close(): Promise<unknown> }[] = [];
beforeEach(() => {
  folder = testFolder();
});
afterEach(async () => {
  for (const one of open.splice(0)) await one.close();
  await folder.end();
});

/** Access with clocks of the test. */
const accessOf = async (location: Parameters<typeof openAccessStore>[0]) => {
  const clock = { now: 1_700_000_000_000 };
  const log = recordingLog();
  const access: Access = await openAccess({
    ...{
      mode: 'required',
      location,
      anonymousPlan: null,
      syncIntervalMs: 1000,
      maxStaleMs: 300_000,
      ticketTtlMs: 30_000,
    },
    ...{ redis: null, log, now: () => clock.now, monotonic: () => clock.now },
  });
  open.push(access);
  return { access, clock, log };
};

/** What a request with `key` over a connection of its own gets. */
const admitted = (access: Access, key: string): string => {
  const socket = new Socket();
  const found = access.admit({ headers: { 'x-api-key': key }, socket });
  if (found === 'ask') return 'ask';
  return found instanceof AppError ? found.code : found.id;
};

const started = async (env: Record<string, string>): Promise<AccessRig> => {
  const rig = await startAccessApp(env);
  open.push(rig.app);
  return rig;
};

test('known keys are served for AUTH_MAX_STALE while the store is away, then nobody with a credential is', async () => {
  const { access, clock, log } = await accessOf({ kind: 'sqlite', file: folder.file });
  const { id, key } = await issueTo(access);
  renameSync(folder.file, `${folder.file}.away`);
  await access.refresh();
  expect(access.health()).toMatchObject({
    state: 'degraded',
    detail: 'The file of keys was moved or replaced.',
  });
  expect(admitted(access, key)).toBe(id);
  clock.now += 301_001;
  expect(admitted(access, key)).toBe('auth_unavailable');
  expect(admitted(access, makeKey())).toBe('auth_unavailable');
  await expect(issueTo(access)).rejects.toMatchObject({ code: 'auth_unavailable' });
  await access.refresh();
  renameSync(`${folder.file}.away`, folder.file);
  await access.refresh();
  expect(admitted(access, key)).toBe(id);
  expect(access.health().state).toBe('ok');
  expect(log.lines.map(({ level }) => level)).toEqual(['warn', 'info']);
});

test('a file that is taken away from a running server is not begun anew', async () => {
  const { access } = await accessOf({ kind: 'sqlite', file: folder.file });
  const { id, key } = await issueTo(access);
  for (const ending of ['', '-wal', '-shm']) rmSync(folder.file + ending, { force: true });
  await access.refresh();
  await access.refresh();
  expect(access.health()).toMatchObject({ state: 'degraded', detail: 'The file of keys is not there.' });
  expect(admitted(access, key)).toBe(id);
});

test('an older copy of the file is taken for what it is: newer keys are gone, with what they have open', async () => {
  const { access } = await accessOf({ kind: 'sqlite', file: folder.file });
  const old = await issueTo(access);
  await access.close();
  open = [];
  copyFileSync(folder.file, `${folder.file}.copy`);
  const { access: again } = await accessOf({ kind: 'sqlite', file: folder.file });
  const newer = await issueTo(again);
  for (const ending of ['-wal', '-shm']) rmSync(folder.file + ending, { force: true });
  renameSync(`${folder.file}.copy`, folder.file);
  await again.refresh();
  await again.refresh();
  expect(admitted(again, old.key)).toBe(old.id);
  expect(admitted(again, newer.key)).toBe('invalid_credentials');
});

test.each([
  [
    'overwritten',
    (file: string) =>
      writeFileSync(file, 'this is no database, and longer than a header of SQLite'.repeat(50)),
  ],
  ['cut to nothing', (file: string) => truncateSync(file, 0)],
  [
    'damaged in the middle',
    (file: string) => {
      const bytes = readFileSync(file);
      bytes.fill(0xff, 4096, bytes.length);
      writeFileSync(file, bytes);
    },
  ],
])('a file that was %s is left as it is: 503 until it is restored', async (_name, damage) => {
  const store = await openAccessStore({ kind: 'sqlite', file: folder.file }, true);
  await store.close();
  const sound = readFileSync(folder.file);
  damage(folder.file);
  const damaged = readFileSync(folder.file);
  const { app, access } = await started({ AUTH_STORE: `sqlite:${folder.file}` });
  const answer = await app.inject({ url: TICKER, headers: { 'x-api-key': makeKey() } });
  expect(answer.statusCode).toBe(503);
  expect(answer.json()).toMatchObject({ code: 'auth_unavailable', retryable: true });
  expect(answer.headers['retry-after']).toBe('1');
  expect((await app.inject(TICKER)).statusCode).toBe(401);
  expect((await app.inject('/v1/health')).statusCode).toBe(200);
  const ready = await app.inject('/v1/health/ready');
  expect(ready.statusCode).toBe(503);
  expect(ready.json()).toMatchObject({ auth: 'required', checks: { access: { state: 'degraded' } } });
  await access.refresh();
  expect(readFileSync(folder.file).equals(damaged)).toBe(true);
  writeFileSync(folder.file, sound);
  await access.refresh();
  const { key } = await issueTo(access);
  expect(isKey(key)).toBe(true);
  expect((await app.inject({ url: TICKER, headers: { 'x-api-key': key } })).statusCode).toBe(200);
  expect((await app.inject('/v1/health/ready')).json()).toMatchObject({
    checks: { access: { state: 'ok' } },
  });
});

test('a file of something else is not made a store of keys', async () => {
  const { loadSqlite } = await import('../../../src/ledger/sqlite/driver.js');
  const other = loadSqlite().open(folder.file);
  other.exec('CREATE TABLE candles (ts INTEGER)');
  other.close();
  const { access } = await accessOf({ kind: 'sqlite', file: folder.file });
  expect(access.health()).toMatchObject({ state: 'degraded' });
  expect(access.health().detail).toContain('is no store of keys');
});

test('a server that starts before its PostgreSQL serves keys once that is there', async () => {
  const database = await createTestDatabase();
  if (database === null) throw new Error('This test needs a PostgreSQL (TEST_POSTGRES_URL).');
  open.push({ close: () => database.drop() });
  const real = new URL(database.url);
  const proxy = await startTcpProxy(1);
  const url = new URL(database.url);
  url.port = String(proxy.port);
  const { app, access } = await started({ AUTH_STORE: url.href });
  open.push(proxy);
  const asked = async () =>
    (await app.inject({ url: TICKER, headers: { 'x-api-key': makeKey() } })).statusCode;
  expect(await asked()).toBe(503);
  expect(access.health().detail).not.toContain(url.host);
  proxy.targetPort = Number(real.port);
  await expect.poll(asked, { timeout: 20_000 }).toBe(401);
});
