// A venue worker that can be told to misbehave: the real entry, and a port of its own beside the protocol's. Tests only.
import { setTimeout } from 'node:timers';
import { workerData } from 'node:worker_threads';

const hoard = [];
const faults = {
  /** The thread ends, as after an exception that nobody caught. */
  die: () => process.exit(3),
  /** An endless loop: no message is taken any more. */
  hang: () => {
    for (;;);
  },
  /** Memory grows until somebody does something about it. */
  grow: () => {
    hoard.push(Array.from({ length: 500_000 }, (_, i) => ({ i })));
    setTimeout(faults.grow, 20);
  },
  /** The same without ever giving the loop a turn: V8's own limit ends the thread. */
  explode: () => {
    for (;;) hoard.push(Array.from({ length: 100_000 }, (_, i) => ({ i })));
  },
  /** A promise that nobody awaits fails, as CCXT's do. */
  reject: () => void Promise.reject(new Error('nobody awaits this')),
};

const { faultPort } = workerData;
faultPort.on('message', (name) => faults[name]());
faultPort.unref();

await import('../../dist/exchanges/worker/worker-entry.js');
