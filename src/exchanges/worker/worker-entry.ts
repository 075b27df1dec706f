/** A worker thread's entry: the CCXT client of its exchanges, served over the thread's port. Loaded by supervisor.ts. */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { parentPort, workerData } from 'node:worker_threads';
import { createCcxtClient } from '../ccxt/ccxt-client.js';
import { createSteadyClock } from '../../lib/steady-clock.js';
import { watchHeldMemory } from './held-memory.js';
import type { WorkerData } from './protocol.js';
import { serveWorker } from './serve-worker.js';

if (parentPort === null) throw new Error('worker-entry runs in a worker thread only');

// Written by our own supervisor, in this very version.
const { clientOptions, gates, clockOrigin } = workerData as WorkerData;

const monotonic = createSteadyClock(clockOrigin);
const { bus = null, exchanges, budget } = clientOptions;
// A server that counts alone does not load the driver.
const driver = bus === null ? null : await import('../../cluster/redis-budget.js');

/** Each reading wakes the thread: often enough to see a blocked one, rarely enough to cost next to nothing. */
const EVENT_LOOP_RESOLUTION_MS = 100;
const delay = monitorEventLoopDelay({ resolution: EVENT_LOOP_RESOLUTION_MS });
delay.enable();
const memory = watchHeldMemory();
let unhandledRejections = 0;

const { log } = serveWorker({
  port: parentPort,
  createClient: (hooks) => {
    const shared =
      bus === null
        ? undefined
        : driver?.createRedisBudget({ settings: bus, exchanges, budget, log: hooks.log, now: monotonic });
    return createCcxtClient({ ...clientOptions, ...hooks, gates, monotonic, shared });
  },
  threadStats: () => {
    const p99 = delay.percentile(99) / 1e6;
    delay.reset();
    return { memoryBytes: memory.bytes(), eventLoopDelayP99Ms: p99, unhandledRejections };
  },
  monotonic,
});

// CCXT leaves promises behind that nothing awaits (docs/ccxt.md#unhandled-rejections). They must not end
// the thread, and are logged and counted.
process.on('unhandledRejection', (reason) => {
  unhandledRejections += 1;
  log.warn({ error: reason, count: unhandledRejections }, 'unhandled rejection in a worker');
});
