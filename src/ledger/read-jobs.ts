/** Backfill jobs for ranges that a request did not have the time to fetch. A bounded number is open at a time. */
import type { ExchangeId, Millis } from '../schemas/common.js';
import type { Log } from '../log/log.js';
import type { Span } from './coverage.js';
import type { SeriesName } from './settle.js';
import type { StoreHandle } from './store-status.js';

/** Most open jobs of this kind; further missing ranges stay unknown. */
const MAX_OPEN = 100;

export interface ReadJobDeps {
  readonly handle: StoreHandle;
  readonly enabled: readonly ExchangeId[];
  /** A job was added. */
  readonly onAdded: () => void;
  readonly log: Log;
  readonly now: () => Millis;
}

/** Never rejects; resolves when the job is stored or was not needed. */
export const createReadJobs = ({ handle, enabled, onAdded, log, now }: ReadJobDeps) => {
  let last: Promise<void> = Promise.resolve();
  const add = async (name: SeriesName, span: Span): Promise<void> => {
    const store = handle.store();
    if (store === null || !handle.status().writable || !enabled.includes(name.exchange)) return;
    const open = (await store.openJobs()).filter(({ origin }) => origin === 'read');
    if (open.length >= MAX_OPEN) return;
    await store.addJob({ ...name, ...span, origin: 'read' }, now());
    onAdded();
  };
  return (name: SeriesName, span: Span): Promise<void> => {
    // One after the other: two concurrent calls would both count the same free place.
    last = last
      .then(() => add(name, span))
      .catch((error: unknown) => log.debug({ err: error }, 'a job could not be queued'));
    return last;
  };
};
