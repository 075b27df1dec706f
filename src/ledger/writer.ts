/**
 * Writes pages to the store one after the other, from a bounded queue. A dropped page loses nothing but time: its range
 * stays unknown and is fetched again when it is needed.
 */
import type { Log } from '../log/log.js';
import type { ExchangeId, Millis } from '../schemas/common.js';
import type { StorageSpace } from './storage-space.js';
import { settlePage, type PageEvidence, type SeriesName } from './settle.js';
import { StoreError } from './store-error.js';
import type { StoreHandle } from './store-status.js';
import type { StoreTimes } from './store-times.js';
import type { JobUpdate, Written } from './store.js';

const MAX_QUEUED_PAGES = 500;

/** What came of the pages of one exchange beside their candles. */
interface Corrections {
  readonly revised: number;
  readonly disputed: number;
  readonly suspect: number;
}

export interface WriterCounts {
  /** Candles by the source of their page. */
  readonly rest: number;
  readonly websocket: number;
  /** Pages. */
  readonly dropped: number;
  readonly queued: number;
  readonly corrections: ReadonlyMap<ExchangeId, Corrections>;
}

export interface WriterDeps {
  readonly handle: StoreHandle;
  readonly space: StorageSpace;
  readonly settleMs: Millis;
  /** true: the series is in BACKFILL or has a live feed, so it is written also while space is short. */
  readonly isWanted: (name: SeriesName) => boolean;
  readonly onWritten: (name: SeriesName, written: Written) => void;
  readonly times: StoreTimes;
  /** Of the leases under which this process works on jobs. */
  readonly owner: string;
  readonly log: Log;
  /** The wall clock. */
  readonly now: () => Millis;
}

interface Queued {
  readonly page: PageEvidence;
  readonly job: JobProgress | undefined;
  readonly done: (written: Written | null) => void;
  readonly failed: (error: unknown) => void;
}

interface JobProgress {
  readonly id: string;
  readonly update: JobUpdate;
}

export interface Writer {
  /** Resolves when the page is stored, with null where nothing of it was; never rejects. */
  add(page: PageEvidence): Promise<Written | null>;
  /** Rejects with a StoreError where the page could not be stored. */
  addForJob(page: PageEvidence, job: JobProgress): Promise<Written | null>;
  counts(): WriterCounts;
  /** Resolves when everything queued has been written. */
  idle(): Promise<void>;
}

/** Lease names: a shared store lets one server at a time work on the jobs of an exchange. */
export const exchangeLease = (exchange: string): string => `exchange ${exchange}`;

export const createWriter = (deps: WriterDeps): Writer => {
  const { handle, space, settleMs, isWanted, onWritten, times, owner, log, now } = deps;
  const queue: Queued[] = [];
  const counts = { rest: 0, websocket: 0, dropped: 0 };
  const corrections = new Map<ExchangeId, Corrections>();
  let running: Promise<void> = Promise.resolve();
  let busy = false;

  const write = async ({ page, job }: Queued): Promise<Written | null> => {
    const store = handle.store();
    const { writable, detail } = handle.status();
    if (store === null) throw new StoreError('unavailable', detail);
    if (!writable) throw new StoreError('read_only', detail);
    const level = await space.level(store);
    if (level === 'none') throw new StoreError('full', space.reason() ?? 'There is no space.');
    if (level === 'low' && job === undefined && !isWanted(page)) return null;
    // Both clocks must agree: a candle that is open by either clock is not settled.
    const settled = settlePage({ ...page, askedAt: Math.min(page.askedAt, now()) }, settleMs);
    if (settled === null) return null;
    const lease = handle.shared ? { name: exchangeLease(page.exchange), owner } : undefined;
    const written = await store.write(settled, job === undefined ? undefined : { ...job, lease });
    counts[page.source] += settled.rows.length;
    const { exchange, symbol, interval } = page;
    const before = corrections.get(exchange) ?? { revised: 0, disputed: 0, suspect: 0 };
    corrections.set(exchange, {
      revised: before.revised + written.revised,
      disputed: before.disputed + written.disputed,
      suspect: before.suspect + written.suspect,
    });
    if (written.revised > 0)
      log.info({ exchange, symbol, interval, ...written }, 'the exchange has corrected candles');
    if (written.begun === 'moved' || written.begun === 'relisted')
      log.warn({ exchange, symbol, interval, begun: written.begun }, 'a new series was begun for the symbol');
    onWritten(page, written);
    return written;
  };

  const drain = async (): Promise<void> => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      try {
        next.done(await times.timed('write', () => write(next)));
      } catch (error) {
        next.failed(error);
      }
    }
    busy = false;
  };

  const enqueue = (item: Queued): void => {
    queue.push(item);
    if (busy) return;
    busy = true;
    running = drain();
  };

  /** Drops a queued page of a feed, or else of a caller; false: there is none to drop. */
  const dropOne = (): boolean => {
    const victim = [
      queue.findIndex(({ page, job }) => job === undefined && page.source === 'websocket'),
      queue.findIndex(({ job }) => job === undefined),
    ].find((index) => index >= 0);
    if (victim === undefined) return false;
    queue.splice(victim, 1)[0]?.done(null);
    counts.dropped += 1;
    return true;
  };

  const add = (page: PageEvidence, job?: JobProgress): Promise<Written | null> =>
    new Promise((resolve, reject) => {
      if (queue.length >= MAX_QUEUED_PAGES && !dropOne()) {
        counts.dropped += 1;
        resolve(null);
        return;
      }
      enqueue({ page, job, done: resolve, failed: reject });
    });

  return {
    add: (page) =>
      add(page).catch((thrown: unknown) => {
        log.debug({ err: thrown }, 'a page could not be stored');
        return null;
      }),
    addForJob: add,
    counts: () => ({ ...counts, corrections, queued: queue.length }),
    idle: () => running,
  };
};
