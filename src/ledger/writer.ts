/**
 * The way into the store: one page after the other, from a bounded queue. What is dropped is only not known, and is asked
 * for again some day.
 */
import type { Log } from '../log/log.js';
import type { Millis } from '../schemas/common.js';
import type { RoomWatch } from './room.js';
import { settlePage, type PageEvidence, type SeriesName } from './settle.js';
import { StoreError } from './store-error.js';
import type { StoreHandle } from './store-status.js';
import type { JobUpdate, Written } from './store.js';

const MAX_QUEUED_PAGES = 500;

export interface WriterCounts {
  readonly rest: number;
  readonly websocket: number;
  readonly dropped: number;
  readonly failed: number;
  readonly revised: number;
  readonly disputed: number;
  readonly suspect: number;
  readonly queued: number;
}

export interface WriterDeps {
  readonly handle: StoreHandle;
  readonly room: RoomWatch;
  readonly settleMs: Millis;
  /** Is the series to be kept even where room is scarce: in BACKFILL, or with a live feed? */
  readonly isWanted: (name: SeriesName) => boolean;
  readonly onWritten: (name: SeriesName, written: Written) => void;
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

/** Under which a shared store lets one server at a time work on an exchange's jobs. */
export const exchangeLease = (exchange: string): string => `exchange ${exchange}`;

export const createWriter = (deps: WriterDeps): Writer => {
  const { handle, room, settleMs, isWanted, onWritten, owner, log, now } = deps;
  const queue: Queued[] = [];
  const counts = { rest: 0, websocket: 0, dropped: 0, failed: 0, revised: 0, disputed: 0, suspect: 0 };
  let running: Promise<void> = Promise.resolve();
  let busy = false;

  const write = async ({ page, job }: Queued): Promise<Written | null> => {
    const store = handle.store();
    if (store === null || !handle.status().writable)
      throw new StoreError('unavailable', handle.status().detail);
    const left = await room.state(store);
    if (left === 'none') throw new StoreError('full', room.reason() ?? 'There is no room.');
    if (left === 'scarce' && job === undefined && !isWanted(page)) return null;
    // Whichever clock is ahead: a candle that is open by the other one is not settled.
    const settled = settlePage({ ...page, askedAt: Math.min(page.askedAt, now()) }, settleMs);
    if (settled === null) return null;
    const lease = handle.shared ? { name: exchangeLease(page.exchange), owner } : undefined;
    const written = await store.write(settled, job === undefined ? undefined : { ...job, lease });
    counts[page.source] += settled.rows.length;
    counts.revised += written.revised;
    counts.disputed += written.disputed;
    counts.suspect += written.suspect;
    const { exchange, symbol, interval } = page;
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
        next.done(await write(next));
      } catch (error) {
        counts.failed += 1;
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

  /** Makes room by dropping what feeds said first, then what callers' pages said; false: there is nothing to drop. */
  const makeRoom = (): boolean => {
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
      if (queue.length >= MAX_QUEUED_PAGES && !makeRoom()) {
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
    counts: () => ({ ...counts, queued: queue.length }),
    idle: () => running,
  };
};
