/** Where the store's side of the port runs: in a thread, or from sources (which a plain thread can't load) in this one. */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { MessageChannel, Worker } from 'node:worker_threads';
import type { StoreWorkerData } from './store-protocol.js';

interface Port {
  postMessage(message: unknown): void;
  on(event: 'message', listener: (message: unknown) => void): unknown;
}

export interface StoreThread {
  readonly port: Port;
  end(): Promise<unknown>;
}

const ENTRY = new URL('./worker-entry.js', import.meta.url);

/** `onDeath` may be called more than once, and is called after end() too. */
export const startStoreThread = (
  data: StoreWorkerData,
  onDeath: (reason: string) => void,
  entry = ENTRY,
): StoreThread => {
  if (!existsSync(fileURLToPath(entry))) {
    const { port1, port2 } = new MessageChannel();
    port1.unref();
    // Loaded here only: a serving thread that has a store's thread does without the store's modules.
    import('./serve-store.js').then(
      ({ serveStore }) => {
        serveStore(port2, data, Date.now);
        port2.unref();
      },
      (error: unknown) => onDeath(String(error)),
    );
    const end = (): Promise<void> => {
      port1.close();
      return Promise.resolve();
    };
    return { port: port1, end };
  }
  const worker = new Worker(entry, { workerData: data, name: 'candle store', execArgv: [] });
  worker.unref();
  worker.on('error', (error) => onDeath(error instanceof Error ? error.message : String(error)));
  worker.on('exit', (code) => onDeath(`exit code ${code}`));
  return { port: worker, end: () => worker.terminate() };
};
