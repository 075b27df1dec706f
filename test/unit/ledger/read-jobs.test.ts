import { afterEach, beforeEach, expect, test } from 'vitest';
import { createReadJobs } from '../../../src/ledger/read-jobs.js';
import type { CandleStore } from '../../../src/ledger/store.js';
import { recordingLog } from '../../support/recording-log.js';
import { NAME } from './candle-data.js';
import { FakeHandle, openTestStore } from './ledger-rig.js';

let opened: ReturnType<typeof openTestStore>;
let store: CandleStore;
let handle: FakeHandle;
beforeEach(() => {
  opened = openTestStore();
  ({ store } = opened);
  handle = new FakeHandle(store);
});
afterEach(() => opened.end());

const jobsOf = () => {
  const log = recordingLog();
  const added = { count: 0 };
  const queue = createReadJobs({
    handle,
    enabled: ['binance'],
    onAdded: () => void (added.count += 1),
    log,
    now: () => 5,
  });
  return { queue, log, added };
};

test('what a request met is queued as a job of its own origin, and whoever works on jobs is told', async () => {
  const { queue, added } = jobsOf();
  await queue(NAME, { from: 1, to: 9 });
  expect(await store.openJobs()).toMatchObject([
    { ...NAME, from: 1, to: 9, origin: 'read', state: 'queued', createdAt: 5 },
  ]);
  expect(added.count).toBe(1);
});

test('at most 100 jobs of requests are open, however many come at once; others do not count', async () => {
  const { queue, added } = jobsOf();
  for (let from = 0; from < 5; from += 1)
    await store.addJob({ ...NAME, from: 1000 + from, to: 2000, origin: 'api' }, 1);
  await Promise.all(Array.from({ length: 103 }, (_, from) => queue(NAME, { from, to: 500 })));
  const open = await store.openJobs();
  expect(open.filter(({ origin }) => origin === 'read')).toHaveLength(100);
  expect(added.count).toBe(100);
  await store.updateJob(open.find(({ origin }) => origin === 'read')?.id ?? '', { state: 'done' }, 1);
  await queue(NAME, { from: 400, to: 500 });
  expect(added.count).toBe(101);
});

test('none is queued of an exchange that is not enabled, without a store, or where nobody can write', async () => {
  const { queue, added } = jobsOf();
  await queue({ ...NAME, exchange: 'kraken' }, { from: 1, to: 9 });
  handle.told = { ...handle.told, writable: false };
  await queue(NAME, { from: 1, to: 9 });
  handle.told = { ...handle.told, writable: true };
  handle.current = null;
  await queue(NAME, { from: 1, to: 9 });
  expect(await store.openJobs()).toEqual([]);
  expect(added.count).toBe(0);
});

test('a store that fails is told in the log, and the next job is queued all the same', async () => {
  const { queue, log } = jobsOf();
  handle.current = { ...store, openJobs: () => Promise.reject(new Error('gone')) };
  await queue(NAME, { from: 1, to: 9 });
  expect(log.lines).toMatchObject([{ level: 'debug', message: 'a job could not be queued' }]);
  handle.current = store;
  await queue(NAME, { from: 1, to: 9 });
  expect(await store.openJobs()).toHaveLength(1);
});
