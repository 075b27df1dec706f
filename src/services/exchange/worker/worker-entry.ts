/** A worker thread's entry: the CCXT client of its exchanges, served over the thread's port. Loaded by supervisor.ts. */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { parentPort, workerData } from 'node:worker_threads';
import { createCcxtClient } from '../ccxt/ccxt-client.js';
import type { WorkerData } from './protocol.js';
import { serveWorker } from './serve-worker.js';

if (parentPort === null) throw new Error('worker-entry runs in a worker thread only');

// Written by our own supervisor, in this very version.
const { clientOptions, gates } = workerData as WorkerData;

const EVENT_LOOP_RESOLUTION_MS = 20;
const delay = monitorEventLoopDelay({ resolution: EVENT_LOOP_RESOLUTION_MS });
delay.enable();
let unhandledRejections = 0;

const { log } = serveWorker({
  port: parentPort,
  createClient: (hooks) => createCcxtClient({ ...clientOptions, ...hooks, gates }),
  vitals: () => {
    const { heapUsed, external } = process.memoryUsage();
    const p99 = delay.percentile(99) / 1e6;
    delay.reset();
    return { memoryBytes: heapUsed + external, eventLoopDelayP99Ms: p99, unhandledRejections };
  },
  now: Date.now,
});

// CCXT leaves promises behind that nobody awaits (CCXT.md 0.2); they must not end the thread, and must not go unseen.
process.on('unhandledRejection', (reason) => {
  unhandledRejections += 1;
  log.warn({ error: reason, count: unhandledRejections }, 'unhandled rejection in a worker');
});
