/**
 * The file of a store over its whole life: who owns it, what is done when it is corrupt, full, or of a newer schema. Runs
 * in the store's thread.
 */
import { existsSync, mkdirSync, renameSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Log } from '../../log/log.js';
import type { Millis } from '../../schemas/common.js';
import type { Migration } from '../migrations.js';
import { createSqlStore } from '../sql-store.js';
import { StoreError } from '../store-error.js';
import { isOtherData, MARKER_KEY, tellsMore, type StoreMarker, type StoreStatus } from '../store-status.js';
import { probeStore } from '../store-probe.js';
import { STORE_WRITES } from '../store-writes.js';
import type { CandleStore, JobUpdate } from '../store.js';
import { releaseClosed, sqliteFault, type SqliteDriver } from './driver.js';
import { takeOwnerLock, type OwnerLock } from './owner-lock.js';
import { openSqliteFile, SQLITE_NOW, type SqliteFile } from './sqlite-database.js';

/** How often a reader checks whether the owner has gone, and an owner whether it can write again. */
export const OWNER_CHECK_MS: Millis = 5_000;
export const CHECKPOINT_MS: Millis = 60_000;

export interface SqliteHostOptions {
  readonly file: string;
  readonly marker: StoreMarker;
  readonly driver: SqliteDriver;
  readonly migrations: readonly Migration[];
  readonly log: Log;
  readonly now: () => Millis;
  readonly onStatus: (status: StoreStatus) => void;
}

const stampOf = (at: Millis): string =>
  new Date(at)
    .toISOString()
    .replace(/[-:]/g, '')
    .replace(/\.\d+Z$/, 'Z');

/** What a reader may write: a job for the owner of the file, and the end of one. */
const tellsOwner = (method: keyof CandleStore, [, update]: readonly unknown[]): boolean =>
  method === 'addJob' ||
  (method === 'updateJob' && (update as Partial<JobUpdate> | undefined)?.state === 'cancelled');

const READER = 'Another process owns this file: it is only read here.';

export class SqliteHost {
  readonly #options: SqliteHostOptions;
  #lock: OwnerLock | null = null;
  #file: SqliteFile | null = null;
  #store: CandleStore | null = null;
  #status: StoreStatus;
  /** Details that readiness shows until the next start. */
  #warning: string | null = null;
  /** Why the last write has failed; null: it has not. */
  #unwritten: StoreError['fault'] | null = null;

  constructor(options: SqliteHostOptions) {
    this.#options = options;
    this.#status = { state: 'degraded', detail: 'Not open yet.', since: options.now(), writable: false };
  }

  get status(): StoreStatus {
    return this.#status;
  }

  /** Throws StoreErrors. */
  async open(): Promise<StoreStatus> {
    const { file, driver } = this.#options;
    try {
      mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    } catch {
      throw new StoreError('unavailable', 'The folder of the store can not be made.');
    }
    this.#lock = takeOwnerLock(driver, file);
    await this.#openFile();
    return this.#status;
  }

  /** One call of the store's interface. */
  async call(method: keyof CandleStore, args: readonly unknown[]): Promise<unknown> {
    const store = this.#store;
    if (store === null) throw new StoreError('unavailable', 'The store is not open.');
    const writes = STORE_WRITES.has(method);
    if (this.#lock === null && tellsOwner(method, args)) return this.#writeForOwner(store, method, args);
    if (writes && !this.#status.writable) throw new StoreError('read_only', this.#status.detail);
    try {
      const value = await this.#invoke(store, method, args);
      // A small write may fit on a full disk, and some calls write nothing: a probe alone shows that there is space again.
      if (writes && this.#unwritten !== 'full') this.#wrote();
      return value;
    } catch (thrown) {
      const fault = sqliteFault(thrown);
      await this.#failed(fault, writes);
      throw fault;
    }
  }

  /**
   * Every few seconds: a reader becomes the owner when the owner has gone, a file that could not be opened again is tried
   * anew, and one that could not be written is tried with a write. Throws StoreErrors.
   */
  async maintain(): Promise<void> {
    const { file, driver, log } = this.#options;
    const reads = this.#file !== null;
    if (reads && this.#lock !== null) return this.#probe();
    this.#lock ??= takeOwnerLock(driver, file);
    if (reads && this.#lock === null) return;
    this.#closeFile();
    await this.#openAgain();
    if (reads) log.info({}, 'the owner of the store has gone: this process owns it now');
  }

  async #probe(): Promise<void> {
    const [file, store] = [this.#file, this.#store];
    if (this.#unwritten === null || file === null || store === null) return;
    try {
      await file.withoutWaiting(() => probeStore(store));
      this.#wrote();
    } catch (thrown) {
      await this.#failed(sqliteFault(thrown), true);
    }
  }

  /**
   * Every minute: the write-ahead log goes into the file, and starts anew. Where another process reads (a backup may take
   * minutes) the next one does it: waiting would hold up every answer.
   */
  checkpoint(): void {
    const file = this.#file;
    if (this.#lock === null || file === null) return;
    try {
      file.withoutWaiting(() => file.session.all('PRAGMA wal_checkpoint(TRUNCATE)'));
    } catch (thrown) {
      this.#options.log.debug({ err: thrown }, 'a checkpoint of the store has to wait');
    }
  }

  /** A pragma's values, for looking into the file. */
  pragma(text: string): Promise<unknown[]> {
    const rows = this.#file?.session.all(`PRAGMA ${text}`) ?? [];
    return Promise.resolve(rows.map((row) => Object.values(row)[0]));
  }

  close(): void {
    this.checkpoint();
    this.#closeFile();
    this.#lock?.release();
    this.#lock = null;
  }

  /** The owner of the file finds it there. */
  async #writeForOwner(
    store: CandleStore,
    method: keyof CandleStore,
    args: readonly unknown[],
  ): Promise<unknown> {
    const session = this.#file?.session;
    session?.exec('PRAGMA query_only = 0');
    try {
      return await this.#invoke(store, method, args);
    } finally {
      session?.exec('PRAGMA query_only = 1');
    }
  }

  #invoke(store: CandleStore, method: keyof CandleStore, args: readonly unknown[]): Promise<unknown> {
    // The caller is our own proxy of the same interface: its types have been checked there.
    const call = store[method].bind(store) as (...given: readonly unknown[]) => Promise<unknown>;
    return call(...args);
  }

  #tell(status: Omit<StoreStatus, 'since'>): void {
    const { state, detail, writable } = status;
    const same = this.#status.state === state && this.#status.detail === detail;
    if (same && this.#status.writable === writable) return;
    this.#status = { ...status, since: this.#options.now() };
    this.#options.onStatus(this.#status);
  }

  /** A store that was open and can't be opened any more is reported as failed; maintain() tries again. */
  async #openAgain(open = () => this.#openFile()): Promise<void> {
    try {
      await open();
    } catch (thrown) {
      this.close();
      const fault = sqliteFault(thrown);
      this.#tell({ state: 'degraded', detail: fault.message, writable: false });
      throw fault;
    }
  }

  async #openFile(): Promise<void> {
    const { file, driver, migrations, log } = this.#options;
    const owner = this.#lock !== null;
    try {
      this.#file = openSqliteFile(driver, { file, owner, migrations });
    } catch (thrown) {
      const fault = sqliteFault(thrown);
      if (fault.fault === 'corrupt' && owner) return this.#replaceCorrupt(fault);
      if (fault.fault !== 'read_only' || !owner) throw fault;
      // Of a newer version: what it holds can be read.
      this.#file = openSqliteFile(driver, { file, owner: false, migrations });
      this.#warning = fault.message;
      log.warn({}, fault.message);
    }
    for (const { name, ms } of this.#file.migrated)
      log.info({ migration: name, ms }, 'the store was migrated');
    this.#store = createSqlStore({ database: this.#file.database, databaseNow: SQLITE_NOW });
    await this.#requireMarker(this.#store);
    this.#tellUsual();
  }

  #tellUsual(): void {
    const owner = this.#lock !== null;
    const newer = owner && this.#file?.readOnly === true;
    if (this.#warning !== null)
      this.#tell({ state: 'degraded', detail: this.#warning, writable: owner && !newer });
    else if (owner) this.#tell({ state: 'ok', detail: 'SQLite file', writable: true });
    else this.#tell({ state: 'ok', detail: READER, writable: false });
    if (!owner) this.#options.log.info({}, READER);
  }

  async #requireMarker(store: CandleStore): Promise<void> {
    const { marker } = this.#options;
    const found = await store.meta(MARKER_KEY);
    const news = found === null || tellsMore(found, marker);
    if (news && this.#lock !== null && this.#file?.readOnly !== true)
      return store.setMeta(MARKER_KEY, marker);
    if (found === null || !isOtherData(found, marker)) return;
    this.close();
    throw new StoreError(
      'sandbox',
      `The store holds ${found.startsWith('sandbox') ? 'simulated data of a sandbox' : 'real data'}, this server ` +
        `${marker.startsWith('sandbox') ? 'runs on a sandbox' : 'on real exchanges'} (${found} and ${marker}).`,
    );
  }

  #wrote(): void {
    if (this.#unwritten === null) return;
    this.#unwritten = null;
    this.#tellUsual();
  }

  async #failed(fault: StoreError, writing: boolean): Promise<void> {
    if (fault.fault === 'corrupt') {
      this.#closeFile();
      const owner = this.#lock !== null;
      if (owner) await this.#openAgain(() => this.#replaceCorrupt(fault));
      else this.#tell({ state: 'degraded', detail: 'The file is corrupt.', writable: false });
    } else if (writing) {
      this.#unwritten = this.#unwritten === 'full' ? 'full' : fault.fault;
      const why =
        fault.fault === 'full' ? 'The disk is full' : `The file can not be written (${fault.message})`;
      this.#tell({ state: 'degraded', detail: `${why}: nothing is stored.`, writable: true });
    }
  }

  async #replaceCorrupt(fault: StoreError): Promise<void> {
    const { file, log, now } = this.#options;
    await releaseClosed();
    let at = now();
    while (existsSync(`${file}.corrupt-${stampOf(at)}`)) at += 1000;
    const away = `${file}.corrupt-${stampOf(at)}`;
    for (const part of ['', '-wal', '-shm'])
      if (existsSync(`${file}${part}`)) renameSync(`${file}${part}`, `${away}${part}`);
    this.#warning = 'The file was corrupt: it was put aside and an empty one was begun.';
    log.error(
      { fault: fault.message },
      'the store is corrupt: its file was put aside, an empty one was begun',
    );
    await this.#openFile();
  }

  #closeFile(): void {
    try {
      this.#file?.session.close();
    } catch (thrown) {
      this.#options.log.debug({ err: thrown }, 'the file of the store did not close cleanly');
    }
    this.#file = null;
    this.#store = null;
    this.#unwritten = null;
  }
}
