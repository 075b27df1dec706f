// Hours, in the long form a day, in which workers keep dying in every way there is, under calls and feeds.
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { AppError } from '../../../../src/errors.js';
import { createSupervisor } from '../../../../src/exchanges/worker/supervisor.js';
import { HEARTBEAT_MS } from '../../../../src/exchanges/worker/venue-worker.js';
import { MAX_MISSED, MAX_WORKER_BYTES } from '../../../../src/exchanges/worker/worker-health.js';
import { silentLog } from '../../../../src/log/log.js';
import { extent } from '../../../support/extent.js';
import { CLIENT_OPTIONS, fakeThreads, recordingSink, tickerItem, turns } from './fake-venue.js';

/** A death every two minutes. */
const HOURS = extent({ short: 4, long: 24 });
const DEATHS = HOURS * 30;
const BETWEEN_MS = 120_000;

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;
const heap = (): number => {
  collectGarbage();
  return process.memoryUsage().heapUsed;
};
const ports = (): number => process.getActiveResourcesInfo().filter((kind) => kind === 'MessagePort').length;

beforeEach(() => {
  vi.useFakeTimers({
    now: 1_700_000_000_000,
    toFake: ['Date', 'setTimeout', 'clearTimeout', 'setInterval', 'clearInterval'],
  });
});
afterEach(() => {
  vi.useRealTimers();
});

it(`leaves no port, no timer and no memory behind after ${HOURS} hours of dying workers`, async () => {
  const portsBefore = ports();
  const { threads, spawn } = fakeThreads();
  const supervisor = createSupervisor({
    workers: 1,
    exchanges: ['binance'],
    clientOptions: CLIENT_OPTIONS,
    log: silentLog,
    now: Date.now,
    spawn,
  });
  supervisor.start();
  let ends = 0;
  let answers = 0;
  const failures = new Set<string>();
  const beat = async (count = 1): Promise<void> => {
    for (let i = 0; i < count; i += 1) {
      vi.advanceTimersByTime(HEARTBEAT_MS);
      await turns(4);
    }
  };
  const fetch = async (): Promise<void> => {
    try {
      await supervisor.fetch(
        { kind: 'ticker', exchange: 'binance', symbol: 'BTC/USDT' },
        { deadline: Date.now() + 10_000, priority: 'caller' },
      );
      answers += 1;
    } catch (error) {
      failures.add(error instanceof AppError ? error.code : 'not an AppError');
    }
  };

  const live = async (deaths: number): Promise<void> => {
    for (let death = 0; death < deaths; death += 1) {
      vi.setSystemTime(Date.now() + BETWEEN_MS);
      await beat(2);
      const sink = recordingSink();
      const handle = supervisor.watch({ channel: 'ticker', exchange: 'binance', symbol: 'BTC/USDT' }, sink);
      await fetch();
      const thread = threads.at(-1)!;
      thread.venue.watches.at(-1)?.sink.onItem(tickerItem(death));
      await turns(4);
      expect(sink.items).toHaveLength(1);
      if (death % 4 === 0) thread.die();
      if (death % 4 === 1) thread.die(new Error('boom'));
      if (death % 4 === 2) thread.threadStats = { ...thread.threadStats, memoryBytes: MAX_WORKER_BYTES * 2 };
      if (death % 4 === 3) thread.hang();
      const caught = fetch();
      await beat(MAX_MISSED + 3);
      await caught;
      expect(sink.ends).toHaveLength(1);
      ends += sink.ends.length;
      handle.close();
      await beat(2);
      expect(supervisor.health()[0]).toMatchObject({ worker: 'running' });
      threads.splice(0, threads.length - 1);
    }
  };

  await live(40);
  const before = heap();
  await live(DEATHS);
  expect(ends).toBe(40 + DEATHS);
  expect(answers).toBeGreaterThanOrEqual(40 + DEATHS);
  expect([...failures].filter((code) => code !== 'upstream_unavailable')).toEqual([]);
  expect(supervisor.stats()[0]).toMatchObject({ restarts: 40 + DEATHS, inFlight: 0, watches: 0 });
  expect(heap() - before).toBeLessThan(4 * 1024 * 1024);
  await supervisor.close();
  threads.length = 0;
  await turns();
  expect(vi.getTimerCount()).toBe(0);
  expect(ports()).toBe(portsBefore);
}, 60_000);
