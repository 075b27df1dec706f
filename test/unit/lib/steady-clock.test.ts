import { Worker } from 'node:worker_threads';
import { once } from 'node:events';
import { expect, it, vi } from 'vitest';
import { STEADY_ORIGIN, createSteadyClock, steadyNow } from '../../../src/lib/steady-clock.js';

it('does not depend on the wall clock, and begins with its time', () => {
  const before = steadyNow();
  expect(Math.abs(before - Date.now())).toBeLessThan(60_000);
  const wall = vi.spyOn(Date, 'now').mockReturnValue(0);
  const after = steadyNow();
  wall.mockRestore();
  expect(after).toBeGreaterThanOrEqual(before);
  expect(after - before).toBeLessThan(10_000);
});

it('says the same in every thread that is given its origin', async () => {
  const before = createSteadyClock(STEADY_ORIGIN)();
  const worker = new Worker(
    `const { parentPort, workerData } = require('node:worker_threads');
     const [seconds, nanoseconds] = process.hrtime();
     parentPort.postMessage(workerData + seconds * 1e3 + nanoseconds / 1e6);`,
    { eval: true, workerData: STEADY_ORIGIN },
  );
  const [told] = (await once(worker, 'message')) as [number];
  expect(told).toBeGreaterThanOrEqual(before);
  expect(told).toBeLessThanOrEqual(steadyNow());
});
