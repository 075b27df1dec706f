/** Calls of the store's interface that write: refused where the store is read-only. */
import type { CandleStore } from './store.js';

export const STORE_WRITES: ReadonlySet<string> = new Set<keyof CandleStore>([
  'write',
  'noteListing',
  'addJob',
  'updateJob',
  'trimJobs',
  'addDue',
  'takeDue',
  'endDue',
  'setMeta',
  'lease',
  'endLease',
  'vacuum',
  'deleteBefore',
]);
