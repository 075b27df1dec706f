/**
 * Keeps what this process knows of keys in step with their store: at once where a notice comes, else by asking for the
 * store's version twice an interval. What is known is believed for a while when the store does not answer.
 */
import { StoreError } from '../ledger/store-error.js';
import type { Log } from '../log/log.js';
import { createOutage } from '../log/outage.js';
import type { Millis } from '../schemas/common.js';
import type { AccessHealth } from './access.js';
import { unavailable } from './admit.js';
import type { AccessStore, Changes } from './store/store.js';

export interface SyncDeps {
  /** `create` false: a store that was there and is gone is not begun anew. */
  readonly open: (create: boolean) => Promise<AccessStore>;
  /** Whether a store that failed is opened anew; else it recovers by itself. */
  readonly reopens: boolean;
  readonly apply: (changes: Changes, whole: boolean) => void;
  readonly intervalMs: Millis;
  readonly maxStaleMs: Millis;
  readonly now: () => Millis;
  readonly monotonic: () => Millis;
  readonly log: Log;
}

export interface Sync {
  /** Throws `auth_unavailable`. */
  store(): AccessStore;
  /** Whether what is known may be believed. */
  isServing(): boolean;
  /** Resolves when everything that was committed before the call is known, or cannot be read. Never rejects. */
  refresh(): Promise<void>;
  health(): AccessHealth;
  close(): Promise<void>;
}

const wordsOf = (thrown: unknown): string =>
  thrown instanceof StoreError ? thrown.message : 'The store of keys could not be read.';

export const createSync = (deps: SyncDeps): Sync => {
  const { open, reopens, apply, intervalMs, maxStaleMs, now, monotonic, log } = deps;
  const outage = createOutage({
    log,
    now,
    warning: 'the store of keys does not answer; known keys are served for AUTH_MAX_STALE',
    recovery: 'the store of keys answers again',
  });
  let store: AccessStore | null = null;
  let version: number | null = null;
  let readAt = -Infinity;
  let detail = 'The store of keys has not been read yet.';
  let closed = false;

  const take = (changes: Changes, whole: boolean): void => {
    apply(changes, whole);
    version = changes.version;
  };

  const read = async (): Promise<void> => {
    store ??= await open(version === null);
    const askedAt = monotonic();
    const current = version === null ? null : await store.version();
    if (version === null || current === null) take(await store.changesSince(0), true);
    // Of a restored copy, or another store under the same name.
    else if (current < version) take(await store.changesSince(0), true);
    else if (current > version) take(await store.changesSince(version), false);
    readAt = askedAt;
    detail = 'The store of keys answers.';
    outage.end();
  };

  const fail = (thrown: unknown): void => {
    detail = wordsOf(thrown);
    outage.begin({ reason: detail });
    if (!reopens || store === null) return;
    store.close().catch(() => undefined);
    store = null;
  };

  let running: Promise<void> | null = null;
  let queued: Promise<void> | null = null;
  const turn = async (): Promise<void> => {
    try {
      if (!closed) await read();
    } catch (thrown) {
      fail(thrown);
    }
  };
  /** One at a time; who comes while one runs shares the next, since that one may have begun too early. */
  const refresh = (): Promise<void> => {
    if (running === null) {
      running = turn().finally(() => (running = null));
      return running;
    }
    queued ??= running.then(() => {
      queued = null;
      return refresh();
    });
    return queued;
  };

  const timer = setInterval(() => {
    if (running === null) void refresh();
  }, intervalMs / 2).unref();

  return {
    refresh,
    store() {
      if (store === null) throw unavailable();
      return store;
    },
    isServing: () => monotonic() - readAt <= maxStaleMs + intervalMs,
    health: () => ({
      state: outage.active || version === null ? 'degraded' : 'ok',
      since: outage.since,
      detail,
    }),
    async close() {
      closed = true;
      clearInterval(timer);
      await running;
      await store?.close();
    },
  };
};
