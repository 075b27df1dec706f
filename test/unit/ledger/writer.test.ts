import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { SpaceLevel, StorageSpace } from '../../../src/ledger/storage-space.js';
import type { CandleStore } from '../../../src/ledger/store.js';
import { createWriter, type WriterDeps } from '../../../src/ledger/writer.js';
import { createStoreTimes } from '../../../src/ledger/store-times.js';
import { recordingLog } from '../../support/recording-log.js';
import { candleAt, DAY, MINUTE, NAME, pageOf, T0 } from './candle-data.js';
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

const spaceOf = (level: SpaceLevel): StorageSpace => ({
  level: () => Promise.resolve(level),
  totals: () => null,
  freeBytes: () => null,
  isLow: () => level === 'low',
  reason: () => (level === 'none' ? 'It is full.' : null),
});

const writerOf = (given: Partial<WriterDeps> = {}) => {
  const log = recordingLog();
  const written = vi.fn();
  const times = createStoreTimes(() => 0);
  const writer = createWriter({
    handle,
    space: spaceOf('free'),
    settleMs: 10_000,
    isWanted: () => false,
    onWritten: written,
    times,
    owner: 'me',
    log,
    now: () => T0 + 400 * DAY,
    ...given,
  });
  return { writer, log, written, times };
};
const candles = async (symbol: string = NAME.symbol) =>
  (await store.series({ ...NAME, symbol }))?.candles ?? 0;
const JOB = { id: 'none', update: {} };

test('pages are written one after the other, and counted by their source', async () => {
  const { writer, written } = writerOf();
  const [rest, feed] = await Promise.all([
    writer.add(pageOf({ count: 5 })),
    writer.add(pageOf({ first: 5, count: 2, source: 'websocket' })),
  ]);
  expect(rest).toMatchObject({ inserted: 5, begun: 'first' });
  expect(feed).toMatchObject({ inserted: 2, begun: null });
  expect(writer.counts()).toMatchObject({ rest: 5, websocket: 2, dropped: 0, queued: 0 });
  expect(written).toHaveBeenCalledTimes(2);
});

test('a page of which nothing is settled is not written', async () => {
  const { writer, written } = writerOf();
  expect(await writer.add(pageOf({ count: 1, askedAt: T0 + MINUTE + 9_999 }))).toBeNull();
  expect(written).not.toHaveBeenCalled();
});

test.each([
  ['an hour ahead', 60 * MINUTE],
  ['an hour behind', -60 * MINUTE],
  ['right', 0],
])('a candle that is open by one of two clocks is not stored: the venue is %s', async (_name, venueAhead) => {
  // Eight and a half periods have passed by the clock of this machine.
  const at = T0 + 8.5 * MINUTE;
  const { writer } = writerOf({ now: () => at });
  const rows = Array.from({ length: 9 }, (_, index) => candleAt(index));
  await writer.add(pageOf({ rows, askedAt: at + venueAhead }));
  expect(await candles()).toBe(venueAhead < 0 ? 0 : 8);
});

test('corrections and disputes are counted, and corrections are told in the log', async () => {
  const { writer, log } = writerOf();
  for (const [index, close] of [10, 20, 10].entries())
    await writer.add(pageOf({ rows: [candleAt(0, close)], askedAt: T0 + DAY + index * MINUTE }));
  expect([...writer.counts().corrections]).toEqual([['binance', { revised: 2, disputed: 1, suspect: 0 }]]);
  expect(log.lines.filter(({ message }) => message === 'the exchange has corrected candles')).toHaveLength(2);
});

test('an empty page counts as suspect', async () => {
  const { writer } = writerOf();
  await writer.add(pageOf({ count: 0, limit: 3 }));
  expect(writer.counts().corrections.get('binance')).toMatchObject({ suspect: 1 });
});

test('a series that begins anew is told as a warning', async () => {
  const { writer, log } = writerOf();
  const days = (offset: number) => ({
    interval: '1d',
    rows: [0, 1].map((index) => ({ ...candleAt(0), timestamp: T0 - (T0 % DAY) + offset + index * DAY })),
    askedAt: T0 + 30 * DAY,
  });
  await writer.add(pageOf(days(0)));
  expect(log.warnings()).toEqual([]);
  await writer.add(pageOf(days(16 * 60 * MINUTE)));
  await writer.add(pageOf({ ...days(16 * 60 * MINUTE), marketId: 'OTHER' }));
  const told = log.lines.filter(({ level }) => level === 'warn').map(({ details }) => details);
  expect(told).toMatchObject([
    { ...NAME, interval: '1d', begun: 'moved' },
    { ...NAME, interval: '1d', begun: 'relisted' },
  ]);
});

test('where space is low only what somebody keeps is written, and what a job fetches', async () => {
  const { writer } = writerOf({
    space: spaceOf('low'),
    isWanted: ({ symbol }) => symbol === 'KE/PT',
  });
  expect(await writer.add(pageOf({}))).toBeNull();
  expect(await writer.add(pageOf({ symbol: 'KE/PT' }))).toMatchObject({ inserted: 5 });
  expect(await writer.addForJob(pageOf({ symbol: 'JO/B' }), JOB)).toMatchObject({ inserted: 5 });
  expect(await candles()).toBe(0);
});

test.each([
  ['there is no space', { space: spaceOf('none') }, { fault: 'full', message: 'It is full.' }],
  ['nobody says why', { space: { ...spaceOf('none'), reason: () => null } }, { fault: 'full' }],
])('nothing is written where %s: jobs learn it, others do not wait', async (_name, given, fault) => {
  const { writer, log, times } = writerOf(given);
  expect(await writer.add(pageOf({}))).toBeNull();
  await expect(writer.addForJob(pageOf({}), JOB)).rejects.toMatchObject(fault);
  expect(times.counts().write).toMatchObject({ calls: 2, failures: { full: 2, other: 0 } });
  expect(writer.counts().rest).toBe(0);
  expect(log.lines.map(({ message }) => message)).toEqual(['a page could not be stored']);
});

test('without a store, or one that another process writes, nothing is written', async () => {
  const { writer } = writerOf();
  handle.told = { state: 'ok', detail: 'Only read.', since: 0, writable: false };
  await expect(writer.addForJob(pageOf({}), JOB)).rejects.toMatchObject({
    fault: 'read_only',
    message: 'Only read.',
  });
  handle.current = null;
  handle.told = { ...handle.told, writable: true };
  await expect(writer.addForJob(pageOf({}), JOB)).rejects.toMatchObject({ fault: 'unavailable' });
  expect(await candles()).toBe(0);
});

test('in a shared store a job is written only under the lease of this process', async () => {
  handle.shared = true;
  const { writer } = writerOf();
  await store.lease('exchange binance', 'another', 60_000);
  await expect(writer.addForJob(pageOf({}), JOB)).rejects.toMatchObject({ fault: 'busy' });
  expect(await candles()).toBe(0);
  await store.endLease('exchange binance', 'another');
  await store.lease('exchange binance', 'me', 60_000);
  expect(await writer.addForJob(pageOf({}), JOB)).toMatchObject({ inserted: 5 });
});

test('a full queue drops what feeds said first, then what callers brought, and never what a job fetched', async () => {
  let open: () => void = () => undefined;
  const gate = new Promise<void>((resolve) => (open = resolve));
  const space = spaceOf('free');
  const { writer } = writerOf({
    space: { ...space, level: () => gate.then((): SpaceLevel => 'free') },
  });
  // One is being written, 500 wait behind it.
  const first = writer.add(pageOf({ symbol: 'FI/RST' }));
  const feed = writer.add(pageOf({ symbol: 'FE/ED', source: 'websocket' }));
  const caller = writer.add(pageOf({ symbol: 'CALL/ER' }));
  const jobs = Array.from({ length: 498 }, () => writer.addForJob(pageOf({ symbol: 'JO/B' }), JOB));
  expect(writer.counts().queued).toBe(500);
  jobs.push(writer.addForJob(pageOf({ symbol: 'JO/B' }), JOB));
  expect(await feed).toBeNull();
  jobs.push(writer.addForJob(pageOf({ symbol: 'JO/B' }), JOB));
  expect(await caller).toBeNull();
  expect(await writer.add(pageOf({ symbol: 'LA/TE' }))).toBeNull();
  expect(writer.counts()).toMatchObject({ dropped: 3, queued: 500 });
  open();
  expect(await first).toMatchObject({ inserted: 5 });
  await Promise.all(jobs);
  await writer.idle();
  expect([await candles('JO/B'), await candles('FE/ED'), await candles('CALL/ER')]).toEqual([5, 0, 0]);
});
