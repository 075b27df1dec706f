/** The calls between the serving thread and the store's thread, over birpc. */
import type { LogLevel } from '../../log/port-log.js';
import { StoreError, type StoreFault } from '../store-error.js';
import type { StoreStatus } from '../store-status.js';
import type { CandleStore } from '../store.js';

export type StoreMethod = Exclude<keyof CandleStore, 'close'>;

/** Every call of the interface; a proxy is made of them. */
const STORE_METHODS = [
  ...['write', 'series', 'allSeries', 'spelling', 'read', 'rows', 'coverage', 'revisions', 'noteListing'],
  ...[
    'addJob',
    'job',
    'jobs',
    'openJobs',
    'jobCounts',
    'updateJob',
    'trimJobs',
    'addDue',
    'takeDue',
    'endDue',
    'meta',
    'setMeta',
  ],
  ...['lease', 'endLease', 'totals', 'check', 'vacuum', 'deleteBefore'],
] as readonly StoreMethod[];

export type StoreReply =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly fault: StoreFault; readonly message: string };

/** The value, or the StoreError thrown. */
export const unwrapStoreReply = (reply: StoreReply): unknown => {
  if (reply.ok) return reply.value;
  throw new StoreError(reply.fault, reply.message);
};

/** The store's interface whose every call goes to another thread or process. */
export const storeOver = (
  call: (method: StoreMethod, args: readonly unknown[]) => Promise<StoreReply>,
): CandleStore => {
  const calls = STORE_METHODS.map((method) => [
    method,
    async (...args: readonly unknown[]) => unwrapStoreReply(await call(method, args)),
  ]);
  // STORE_METHODS lists the interface, and the other side is the same version of it.
  const store = Object.fromEntries(calls) as Omit<CandleStore, 'close'>;
  return { ...store, close: () => Promise.resolve() };
};

/** Served by the store's thread. */
export interface StoreWorkerFunctions {
  open(): Promise<StoreReply>;
  call(method: StoreMethod, args: readonly unknown[]): Promise<StoreReply>;
  close(): Promise<void>;
}

/** Served by the serving thread; events. */
export interface StoreServingFunctions {
  status(status: StoreStatus): void;
  log(level: LogLevel, details: Readonly<Record<string, unknown>>, message: string): void;
}
export const STORE_EVENTS = ['status', 'log'] as const;

export interface StoreWorkerData {
  readonly file: string;
  readonly marker: string;
}
