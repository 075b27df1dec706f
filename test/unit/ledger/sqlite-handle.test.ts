import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { openSqliteStore, type SqliteStoreOptions } from '../../../src/ledger/sqlite/sqlite-store.js';
import { startStoreThread } from '../../../src/ledger/sqlite/store-thread.js';
import type { StoreHandle } from '../../../src/ledger/store-status.js';
import { recordingLog } from '../../support/recording-log.js';
import { MINUTE, NAME, T0 } from './candle-data.js';
import { write } from './ledger-rig.js';

let folder: string;
let file: string;
let handles: StoreHandle[];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'candles-'));
  file = join(folder, 'deep', 'candles.db');
  handles = [];
});
afterEach(async () => {
  vi.useRealTimers();
  for (const handle of handles) await handle.close();
  rmSync(folder, { recursive: true });
});

const handleOf = (given: Partial<SqliteStoreOptions> = {}) => {
  const log = recordingLog();
  const handle = openSqliteStore({ file, marker: 'real', log, now: Date.now, ...given });
  handles.push(handle);
  return { handle, log };
};
const storeOf = (handle: StoreHandle) => {
  const store = handle.store();
  if (store === null) throw new Error('not open');
  return store;
};

test('a file is served through its port: calls, faults and status', async () => {
  const { handle, log } = handleOf();
  expect(handle).toMatchObject({ shared: false, file });
  expect(handle.status()).toMatchObject({ state: 'degraded', detail: 'Not open yet.', writable: false });
  await handle.opened;
  expect(handle.status()).toMatchObject({ state: 'ok', writable: true });
  const store = storeOf(handle);
  expect(await write(store, { count: 3 })).toMatchObject({ inserted: 3 });
  const range = { ...NAME, from: T0, to: T0 + 9 * MINUTE, limit: 5, newest: false };
  const found = await store.read(range);
  expect(JSON.parse(`[${Buffer.from(found?.json ?? []).toString()}]`)).toHaveLength(3);
  expect(await store.read({ ...range, to: T0 })).toMatchObject({ count: 0, first: null, last: null });
  const odd = { no: 'number' } as unknown as number;
  await expect(store.rows(odd, { from: 0, to: 1 }, 1)).rejects.toMatchObject({
    name: 'StoreError',
    fault: 'unavailable',
  });
  await store.close();
  expect(log.lines.map(({ message }) => message)).toContain('the store was migrated');
});

test('after its end there is no store, and what is asked of the old one is refused', async () => {
  const { handle } = handleOf();
  await handle.opened;
  const store = storeOf(handle);
  await handle.close();
  await handle.close();
  expect(handle.store()).toBeNull();
  await expect(store.totals()).rejects.toThrow();
});

test('a file that can not be opened is told, and opened as soon as it can be', async () => {
  writeFileSync(join(folder, 'deep'), 'in the way');
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  const { handle, log } = handleOf();
  await handle.opened;
  expect(handle.store()).toBeNull();
  expect(handle.status()).toMatchObject({
    ...{ state: 'degraded', writable: false, detail: 'The folder of the store can not be made.' },
  });
  expect(log.warnings()).toEqual(['the candle store can not be opened: nothing is kept']);
  rmSync(join(folder, 'deep'));
  vi.advanceTimersByTime(5_000);
  vi.useRealTimers();
  await vi.waitFor(() => expect(handle.store()).not.toBeNull(), 10_000);
  expect(handle.status()).toMatchObject({ state: 'ok', writable: true });
});

test('simulated and real data: the handle rejects at the start, and stays closed where it is found out later', async () => {
  const real = handleOf().handle;
  await real.opened;
  await real.close();
  await expect(handleOf({ marker: 'sandbox' }).handle.opened).rejects.toMatchObject({ fault: 'sandbox' });
  const aside = join(folder, 'aside');
  renameSync(join(folder, 'deep'), aside);
  writeFileSync(join(folder, 'deep'), 'in the way');
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  const { handle, log } = handleOf({ marker: 'sandbox' });
  await handle.opened;
  rmSync(join(folder, 'deep'));
  renameSync(aside, join(folder, 'deep'));
  vi.advanceTimersByTime(5_000);
  vi.useRealTimers();
  await vi.waitFor(
    () => expect(log.lines.map(({ message }) => message)).toContain('the store stays closed'),
    10_000,
  );
  expect(handle.status()).toMatchObject({
    ...{ state: 'degraded', writable: false, detail: expect.stringContaining('sandbox') as string },
  });
});

test('a second handle on one file reads, and owns it when the first has gone', async () => {
  const first = handleOf().handle;
  await first.opened;
  await write(storeOf(first), { count: 3 });
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
  const second = handleOf().handle;
  await second.opened;
  expect(second.status()).toMatchObject({ state: 'ok', writable: false });
  expect(await storeOf(second).series(NAME)).toMatchObject({ candles: 3 });
  await expect(write(storeOf(second), { count: 3 })).rejects.toMatchObject({ fault: 'read_only' });
  await first.close();
  vi.advanceTimersByTime(60_000);
  vi.useRealTimers();
  await vi.waitFor(() => expect(second.status().writable).toBe(true), 10_000);
  expect(await write(storeOf(second), { first: 3, count: 3 })).toMatchObject({ inserted: 3 });
});

test('a file that can not be owned when its turn comes is told in the log', async () => {
  const first = handleOf().handle;
  await first.opened;
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
  const { handle, log } = handleOf();
  await handle.opened;
  await first.close();
  rmSync(`${file}-owner`);
  mkdirSync(`${file}-owner`);
  vi.advanceTimersByTime(5_000);
  vi.useRealTimers();
  await vi.waitFor(() => expect(log.warnings()).toEqual(['the store can not be opened']), 10_000);
});

describe('a thread that dies', () => {
  /** The store in this thread, whose death the test tells. */
  const mortal = () => {
    const threads: { die: (reason: string) => void; mute: boolean }[] = [];
    const startThread: typeof startStoreThread = (data, onDeath) => {
      const thread = startStoreThread(data, onDeath);
      const own = { die: onDeath, mute: false };
      threads.push(own);
      const { port } = thread;
      return {
        ...thread,
        port: {
          postMessage: (message) => {
            if (!own.mute) port.postMessage(message);
          },
          on: (event, listener) => port.on(event, listener),
        },
      };
    };
    return { threads, startThread };
  };

  test('what it was asked for is refused, and another one serves the file', async () => {
    const { threads, startThread } = mortal();
    const { handle, log } = handleOf({ startThread });
    await handle.opened;
    const store = storeOf(handle);
    const [first] = threads;
    if (first === undefined) throw new Error('no thread');
    first.mute = true;
    const pending = store.totals();
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    first.die('exit code 1');
    first.die('exit code 1');
    await expect(pending).rejects.toMatchObject({ message: 'The thread of the store has ended.' });
    expect(handle.store()).toBeNull();
    expect(handle.status()).toMatchObject({ state: 'degraded', writable: false });
    expect(log.lines.filter(({ level }) => level === 'error')).toHaveLength(1);
    vi.advanceTimersByTime(5_000);
    vi.useRealTimers();
    await vi.waitFor(() => expect(handle.store()).not.toBeNull(), 10_000);
    expect(threads).toHaveLength(2);
  });

  test('while it opens the file: told once, tried again once', async () => {
    const { threads, startThread } = mortal();
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const { handle } = handleOf({ startThread });
    threads[0]?.die('exit code 1');
    await handle.opened;
    expect(handle.status()).toMatchObject({
      state: 'degraded',
      detail: 'The thread of the store has ended.',
    });
    vi.advanceTimersByTime(20_000);
    vi.useRealTimers();
    await vi.waitFor(() => expect(handle.store()).not.toBeNull(), 10_000);
    expect(threads).toHaveLength(2);
  });

  test('a handle that is closed while it opens says nothing and tries nothing', async () => {
    const { threads, startThread } = mortal();
    const { handle, log } = handleOf({ startThread });
    await handle.close();
    await handle.opened;
    expect(log.warnings()).toEqual([]);
    expect(handle.store()).toBeNull();
    expect(threads).toHaveLength(1);
  });

  test('a handle whose thread never opens the file is closed in time, and says nothing', async () => {
    const startThread: typeof startStoreThread = (data, onDeath) => ({
      ...startStoreThread(data, onDeath),
      port: { postMessage: () => undefined, on: () => undefined },
    });
    const { handle, log } = handleOf({ startThread });
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const closed = handle.close();
    vi.advanceTimersByTime(3_000);
    await closed;
    await handle.opened;
    expect(log.lines).toEqual([]);
    vi.advanceTimersByTime(60_000);
    expect(handle.status().detail).toBe('Not open yet.');
  });

  test('a thread that can not be spoken to is told as a store that can not be used', async () => {
    const startThread: typeof startStoreThread = (data, onDeath) => ({
      ...startStoreThread(data, onDeath),
      port: {
        postMessage: () => {
          throw new Error('no port');
        },
        on: () => undefined,
      },
    });
    const { handle } = handleOf({ startThread });
    await handle.opened;
    expect(handle.status()).toMatchObject({
      ...{ state: 'degraded', writable: false, detail: expect.stringContaining('no port') as string },
    });
  });

  test('one that does not end in time is ended', async () => {
    const { threads, startThread } = mortal();
    const { handle } = handleOf({ startThread });
    await handle.opened;
    const [first] = threads;
    if (first === undefined) throw new Error('no thread');
    first.mute = true;
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const closed = handle.close();
    vi.advanceTimersByTime(3_000);
    await closed;
    expect(handle.store()).toBeNull();
  });
});

describe('the thread', () => {
  const ENTRY = new URL('./store-thread-entry.js', import.meta.url);
  const data = { file: 'x', marker: 'real' };

  test('gets its data, and is ended', async () => {
    const deaths: string[] = [];
    const thread = startStoreThread(data, (reason) => deaths.push(reason), ENTRY);
    const answer = new Promise((resolve) => thread.port.on('message', resolve));
    thread.port.postMessage('hello');
    expect(await answer).toEqual({ message: 'hello', workerData: data });
    await thread.end();
    expect(deaths).toEqual(['exit code 1']);
  });

  test.each([
    ['throw', 'as told'],
    ['throw nothing', 'nothing'],
  ])('tells why it died: %s', async (message, reason) => {
    const deaths: string[] = [];
    const dead = new Promise<void>((resolve) => {
      const thread = startStoreThread(
        data,
        (why) => {
          deaths.push(why);
          if (deaths.length === 2) resolve();
        },
        ENTRY,
      );
      thread.port.postMessage(message);
    });
    await dead;
    expect(deaths).toEqual([reason, 'exit code 1']);
  });
});
