/** PostgreSQL as the candle store of this process: opened again while it is away. */
import type { Log } from '../../log/log.js';
import type { Millis } from '../../schemas/common.js';
import { createSqlStore } from '../sql-store.js';
import type { Migration } from '../migrations.js';
import { StoreError } from '../store-error.js';
import { PROBE_EVERY_MS, probeStore } from '../store-probe.js';
import { STORE_WRITES } from '../store-writes.js';
import {
  isOtherData,
  MARKER_KEY,
  tellsMore,
  type StoreHandle,
  type StoreMarker,
  type StoreStatus,
} from '../store-status.js';
import type { CandleStore } from '../store.js';
import { openPostgres, POSTGRES_NOW, type PostgresFile } from './postgres-database.js';

const RETRY_MS: Millis = 5_000;

export interface PostgresStoreOptions {
  readonly url: string;
  readonly marker: StoreMarker;
  readonly log: Log;
  readonly now: () => Millis;
  /** Default: those of this program. */
  readonly migrations?: readonly Migration[];
}

const faultOf = (thrown: unknown): StoreError =>
  thrown instanceof StoreError ? thrown : new StoreError('unavailable', 'PostgreSQL did not answer.');

class PostgresStore implements StoreHandle {
  readonly shared = true;
  readonly file = null;
  readonly opened: Promise<void>;
  readonly #options: PostgresStoreOptions;
  #raw: CandleStore | null = null;
  #probeSpace: PostgresFile['probeSpace'] = () => Promise.resolve();
  #store: CandleStore | null = null;
  #status: StoreStatus;
  #retry: NodeJS.Timeout | undefined;
  /** From a failure until a call has shown that it is over. */
  #probe: NodeJS.Timeout | undefined;
  #closed = false;
  /** Why it is only read. */
  #readOnly: string | null = null;
  /** The store's fault besides `#full`; null: none. */
  #fault: StoreError | null = null;
  /** Its disk is full; null: it is not. A small write may succeed all the same: a probe alone shows that it is over. */
  #full: StoreError | null = null;

  constructor(options: PostgresStoreOptions) {
    this.#options = options;
    this.#status = { state: 'degraded', detail: 'Not connected yet.', since: options.now(), writable: false };
    this.opened = this.#open();
  }

  store(): CandleStore | null {
    return this.#store;
  }

  status(): StoreStatus {
    return this.#status;
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#retry);
    clearTimeout(this.#probe);
    this.#store = null;
    await this.#raw?.close();
    this.#raw = null;
  }

  async #open(): Promise<void> {
    const { url, migrations, log } = this.#options;
    try {
      const { database, probeSpace, migrated, readOnly, chunks } = await openPostgres(url, migrations);
      for (const { name, ms } of migrated) log.info({ migration: name, ms }, 'the store was migrated');
      if (chunks !== null && chunks.kind !== 'none')
        log.info(
          { chunks: chunks.kind, ...(chunks.uncompressed !== null && { reason: chunks.uncompressed }) },
          'TimescaleDB: candles lie in monthly chunks',
        );
      const raw = createSqlStore({ database, databaseNow: POSTGRES_NOW });
      this.#raw = raw;
      this.#probeSpace = probeSpace;
      if (this.#closed) {
        await this.close();
        return;
      }
      await this.#requireMarker(raw);
      this.#readOnly = readOnly;
      this.#store = this.#watched(raw);
      this.#tellUsual();
    } catch (thrown) {
      const fault = faultOf(thrown);
      this.#tell({ state: 'degraded', detail: fault.message, writable: false });
      await this.#raw?.close();
      this.#raw = null;
      if (fault.fault === 'sandbox') throw fault;
      log.warn({ reason: fault.message }, 'the candle store can not be opened: nothing is kept');
      this.#later();
    }
  }

  async #requireMarker(store: CandleStore): Promise<void> {
    const { marker } = this.#options;
    const found = await store.meta(MARKER_KEY);
    if (found === null || tellsMore(found, marker)) return store.setMeta(MARKER_KEY, marker);
    if (isOtherData(found, marker))
      throw new StoreError(
        'sandbox',
        `The store belongs to ${found}, this server to ${marker}: a sandbox's data stays apart.`,
      );
  }

  /** The same calls; their outcomes update the health of PostgreSQL. */
  #watched(store: CandleStore): CandleStore {
    const watch = <A extends readonly unknown[], T>(name: string, call: (...args: A) => Promise<T>) => {
      const writes = STORE_WRITES.has(name);
      return async (...args: A): Promise<T> => {
        if (writes && this.#readOnly !== null) throw new StoreError('read_only', this.#readOnly);
        try {
          const value = await call(...args);
          this.#succeeded(writes);
          return value;
        } catch (thrown) {
          const fault = faultOf(thrown);
          this.#failed(fault);
          throw fault;
        }
      };
    };
    const calls = Object.entries(store).map(([name, call]) => [
      name,
      watch(name, call as (...args: readonly unknown[]) => Promise<unknown>),
    ]);
    // Each call stands where it stood.
    return Object.fromEntries(calls) as CandleStore;
  }

  /** One that is gone is back with the first answer, one that refuses writes with the first write. */
  #succeeded(writes: boolean): void {
    if (this.#fault === null || (this.#fault.fault !== 'unavailable' && !writes)) return;
    this.#fault = null;
    if (this.#full === null) {
      clearTimeout(this.#probe);
      this.#probe = undefined;
    }
    this.#tellUsual();
  }

  /** A call may be late for its own reasons, such as a lock: a probe decides whether PostgreSQL answers. */
  #failed(fault: StoreError): void {
    const busy = fault.fault === 'busy';
    if (!busy) this.#note(fault);
    this.#probeIn(busy ? 0 : PROBE_EVERY_MS);
  }

  /** One whose disk is full has answered, and takes writes. */
  #note(fault: StoreError): void {
    const full = fault.fault === 'full';
    if (full) this.#full = fault;
    this.#fault = full ? null : fault;
    this.#tellUsual();
  }

  #probeIn(ms: Millis): void {
    if (this.#closed || this.#probe !== undefined) return;
    const probe = setTimeout(() => void this.#runProbe(probe), ms).unref();
    this.#probe = probe;
  }

  /** `probe`: of this run; another call may have shown meanwhile that it is not needed any more. */
  async #runProbe(probe: NodeJS.Timeout): Promise<void> {
    const raw = this.#raw;
    if (raw === null) return;
    try {
      if (this.#readOnly === null) await probeStore(raw);
      else await raw.meta(MARKER_KEY);
      this.#succeeded(true);
      if (this.#full !== null) await this.#checkSpace();
    } catch (thrown) {
      if (this.#probe !== probe) return;
      this.#note(faultOf(thrown));
    }
    if (this.#probe !== probe) return;
    this.#probe = undefined;
    if (this.#fault !== null || this.#full !== null) this.#probeIn(PROBE_EVERY_MS);
  }

  async #checkSpace(): Promise<void> {
    await this.#probeSpace();
    this.#full = null;
    this.#tellUsual();
  }

  #tellUsual(): void {
    const { fault, message } = this.#fault ?? this.#full ?? {};
    if (fault === 'full')
      this.#tell({ state: 'degraded', detail: `${message} Nothing is stored.`, writable: true });
    else if (message !== undefined) this.#tell({ state: 'degraded', detail: message, writable: false });
    else if (this.#readOnly !== null)
      this.#tell({ state: 'degraded', detail: this.#readOnly, writable: false });
    else this.#tell({ state: 'ok', detail: 'PostgreSQL', writable: true });
  }

  #tell(status: Omit<StoreStatus, 'since'>): void {
    const same = this.#status.state === status.state && this.#status.detail === status.detail;
    if (!same) this.#status = { ...status, since: this.#options.now() };
  }

  #later(): void {
    if (this.#closed) return;
    this.#retry = setTimeout(() => {
      this.#open().catch((error: unknown) =>
        this.#options.log.error({ err: error }, 'the store stays closed'),
      );
    }, RETRY_MS);
    this.#retry.unref();
  }
}

export const openPostgresStore = (options: PostgresStoreOptions): StoreHandle => new PostgresStore(options);
