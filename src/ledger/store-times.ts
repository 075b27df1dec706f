/** Counts calls of the store, their durations and errors. */
import type { Millis } from '../schemas/common.js';
import { StoreError, type StoreFault } from './store-error.js';

/** read: for a caller's answer. write: one page with all that it proves. */
export const STORE_CALLS = ['read', 'write'] as const;
export type StoreCall = (typeof STORE_CALLS)[number];

/** other: an internal error. */
export const STORE_FAILURES = [
  ...['full', 'corrupt', 'busy', 'read_only', 'sandbox', 'unavailable'],
  'other',
] as const satisfies readonly (StoreFault | 'other')[];
type Failure = (typeof STORE_FAILURES)[number];

export interface StoreCallCounts {
  readonly calls: number;
  readonly ms: Millis;
  readonly failures: Readonly<Record<Failure, number>>;
}

export interface StoreTimes {
  /** Settles as `work` does. */
  timed<T>(call: StoreCall, work: () => Promise<T>): Promise<T>;
  counts(): Readonly<Record<StoreCall, StoreCallCounts>>;
}

const nothing = () => ({
  calls: 0,
  ms: 0,
  failures: { full: 0, corrupt: 0, busy: 0, read_only: 0, sandbox: 0, unavailable: 0, other: 0 },
});

/** `monotonic`: the clock of durations. */
export const createStoreTimes = (monotonic: () => Millis): StoreTimes => {
  const counts = { read: nothing(), write: nothing() };
  return {
    async timed(call, work) {
      const own = counts[call];
      const startedAt = monotonic();
      own.calls += 1;
      try {
        return await work();
      } catch (thrown) {
        own.failures[thrown instanceof StoreError ? thrown.fault : 'other'] += 1;
        throw thrown;
      } finally {
        own.ms += monotonic() - startedAt;
      }
    },
    counts: () => counts,
  };
};
