/**
 * A SQLite file as the candle store of this process: in a thread of its own, since the driver is synchronous and the
 * serving thread may block for no more than a few milliseconds.
 */
import { createBirpc } from 'birpc';
import type { Log } from '../../log/log.js';
import type { Millis } from '../../schemas/common.js';
import { StoreError } from '../store-error.js';
import type { StoreHandle, StoreMarker, StoreStatus } from '../store-status.js';
import type { CandleStore } from '../store.js';
import {
  storeOver,
  unwrapStoreReply,
  type StoreServingFunctions,
  type StoreWorkerFunctions,
} from './store-protocol.js';
import { startStoreThread, type StoreThread } from './store-thread.js';

const RETRY_MS: Millis = 5_000;
const CLOSE_GRACE_MS: Millis = 3_000;

export interface SqliteStoreOptions {
  readonly file: string;
  readonly marker: StoreMarker;
  readonly log: Log;
  readonly now: () => Millis;
  /** Default: a thread of its own. */
  readonly startThread?: typeof startStoreThread;
}

const DEAD = 'The thread of the store has ended.';

class SqliteStore implements StoreHandle {
  readonly shared = false;
  readonly file: string;
  readonly opened: Promise<void>;
  readonly #options: SqliteStoreOptions;
  #started: StoreThread | null = null;
  #store: CandleStore | null = null;
  #status: StoreStatus;
  #retry: NodeJS.Timeout | undefined;
  #closed = false;
  /** Ends the store on the other side, and what it was asked for. */
  #closing: (() => Promise<void>) | null = null;
  /** Rejects what a thread was asked for that has died. */
  #abandon: (() => void) | null = null;

  constructor(options: SqliteStoreOptions) {
    this.#options = options;
    this.file = options.file;
    this.#status = { state: 'degraded', detail: 'Not open yet.', since: options.now(), writable: false };
    this.opened = this.#open();
  }

  store(): CandleStore | null {
    return this.#store;
  }

  status(): StoreStatus {
    return this.#status;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#retry);
    await this.#stop();
  }

  async #stop(): Promise<void> {
    const [started, closing] = [this.#started, this.#closing];
    this.#started = null;
    this.#store = null;
    this.#closing = null;
    this.#abandon = null;
    if (closing !== null) await closing();
    await started?.end();
  }

  /** Rejects with `sandbox` only; any other fault is reported as health, and opening is tried again. */
  async #open(): Promise<void> {
    const { file, marker, log, startThread = startStoreThread } = this.#options;
    const started = startThread({ file, marker }, (reason) => {
      if (this.#started === started) this.#lost(reason);
    });
    this.#started = started;
    const functions: StoreServingFunctions = {
      status: (status) => (this.#status = status),
      log: (level, details, message) => log[level](details, message),
    };
    const rpc = createBirpc<StoreWorkerFunctions, StoreServingFunctions, false>(functions, {
      proxify: false,
      bind: 'functions',
      timeout: -1,
      post: (message) => started.port.postMessage(message),
      on: (listener) => void started.port.on('message', listener),
    });
    this.#closing = async () => {
      const closed = rpc.$call('close').catch(() => undefined);
      const late = new Promise<void>((resolve) => setTimeout(resolve, CLOSE_GRACE_MS).unref());
      await Promise.race([closed, late]);
      rpc.$close(new StoreError('unavailable', 'The store has ended.'));
    };
    this.#abandon = () => {
      rpc.$close(new StoreError('unavailable', DEAD));
    };
    try {
      unwrapStoreReply(await rpc.$call('open'));
      if (this.#closed) return;
      this.#store = storeOver((method, args) => rpc.$call('call', method, args));
    } catch (thrown) {
      const fault = thrown instanceof StoreError ? thrown : new StoreError('unavailable', String(thrown));
      await this.#stop();
      if (this.#closed) return;
      this.#tellUnusable(fault.message);
      if (fault.fault === 'sandbox') throw fault;
      log.warn({ reason: fault.message }, 'the candle store can not be opened: nothing is kept');
      this.#later();
    }
  }

  #lost(reason: string): void {
    const { log } = this.#options;
    log.error({ reason }, 'the thread of the candle store has ended; another one is started');
    const wasOpen = this.#store !== null;
    this.#closing = null;
    this.#abandon?.();
    if (!wasOpen) return;
    void this.#stop();
    this.#tellUnusable(DEAD);
    this.#later();
  }

  #later(): void {
    this.#retry = setTimeout(() => {
      this.#open().catch((error: unknown) =>
        this.#options.log.error({ err: error }, 'the store stays closed'),
      );
    }, RETRY_MS);
    this.#retry.unref();
  }

  #tellUnusable(detail: string): void {
    this.#status = { state: 'degraded', detail, since: this.#options.now(), writable: false };
  }
}

export const openSqliteStore = (options: SqliteStoreOptions): StoreHandle => new SqliteStore(options);
