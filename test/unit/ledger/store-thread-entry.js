// A thread that does as the test says: it sends every message back, or dies of it.
import { parentPort, workerData } from 'node:worker_threads';

parentPort?.on('message', (message) => {
  if (message === 'throw') throw new Error('as told');
  if (message === 'throw nothing') throw 'nothing';
  parentPort?.postMessage({ message, workerData });
});
