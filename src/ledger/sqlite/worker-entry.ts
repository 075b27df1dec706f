/** The store's thread. Loaded by sqlite-store.ts. */
import { parentPort, workerData } from 'node:worker_threads';
import { serveStore } from './serve-store.js';
import type { StoreWorkerData } from './store-protocol.js';

if (parentPort === null) throw new Error('worker-entry runs in a worker thread only');

// Written by our own serving thread, in this very version.
serveStore(parentPort, workerData as StoreWorkerData, Date.now);
