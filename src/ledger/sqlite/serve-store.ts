/** The store's side of the port: one file, its timers, and every fault as plain data. Runs in the store's thread. */
import { createBirpc } from 'birpc';
import type { MessagePort, Transferable } from 'node:worker_threads';
import { portLog } from '../../log/port-log.js';
import type { Log } from '../../log/log.js';
import { readMigrations } from '../migrations.js';
import { loadSqlite, sqliteFault } from './driver.js';
import { CHECKPOINT_MS, OWNER_CHECK_MS, SqliteHost } from './sqlite-host.js';
import {
  STORE_EVENTS,
  type StoreReply,
  type StoreServingFunctions,
  type StoreWorkerData,
  type StoreWorkerFunctions,
} from './store-protocol.js';

const replyOf = async (work: () => Promise<unknown>): Promise<StoreReply> => {
  try {
    return { ok: true, value: await work() };
  } catch (thrown) {
    const { fault, message } = sqliteFault(thrown);
    return { ok: false, fault, message };
  }
};

/** The bytes of a read are moved to the serving thread, not copied. */
const bytesOf = (message: unknown): Transferable[] => {
  const reply = (message as { r?: { ok?: unknown; value?: { json?: unknown } | null } }).r;
  const json = reply?.value?.json;
  if (!(json instanceof Uint8Array) || json.byteLength !== json.buffer.byteLength) return [];
  // Encoded for this answer alone: no other thread shares it.
  return [json.buffer as ArrayBuffer];
};

export const serveStore = (port: MessagePort, { file, marker }: StoreWorkerData, now: () => number): Log => {
  const emit = <K extends keyof StoreServingFunctions>(
    name: K,
    ...args: Parameters<StoreServingFunctions[K]>
  ): void => {
    // birpc works the arguments out from the name, which the compiler can't follow for a name that is generic itself.
    rpc.$callEvent(name, ...(args as never)).catch(() => undefined);
  };
  const log = portLog((level, details, message) => emit('log', level, details, message));
  let host: SqliteHost | null = null;
  let timers: NodeJS.Timeout[] = [];

  const open = async (): Promise<unknown> => {
    host ??= new SqliteHost({
      file,
      marker,
      driver: loadSqlite(),
      migrations: readMigrations('sqlite'),
      log,
      now,
      onStatus: (status) => emit('status', status),
    });
    const current = host;
    const status = await current.open();
    const maintain = (): void => {
      current.maintain().catch((thrown: unknown) => log.warn({ err: thrown }, 'the store can not be opened'));
    };
    timers = [setInterval(maintain, OWNER_CHECK_MS), setInterval(() => current.checkpoint(), CHECKPOINT_MS)];
    for (const timer of timers) timer.unref();
    return status;
  };

  const functions: StoreWorkerFunctions = {
    open: () => replyOf(open),
    call: (method, args) =>
      replyOf(async () => {
        if (host === null) throw new Error('The store is not open.');
        return host.call(method, args);
      }),
    close: () => {
      for (const timer of timers) clearInterval(timer);
      host?.close();
      host = null;
      return Promise.resolve();
    },
  };
  const rpc = createBirpc<StoreServingFunctions, StoreWorkerFunctions, false>(functions, {
    proxify: false,
    eventNames: [...STORE_EVENTS],
    bind: 'functions',
    timeout: -1,
    post: (message) => port.postMessage(message, bytesOf(message)),
    on: (listener) => void port.on('message', listener),
  });
  return log;
};
