/**
 * Who refreshes an expired answer, and how long a caller who already holds the old one waits for it: for one attempt,
 * and not longer than PATIENCE_MS. Once that attempt has failed, the old answer serves at once while retries go on
 * behind it: one round of them by itself, further ones as long as requests keep coming.
 */
import { LRUCache } from 'lru-cache';
import { AppError } from '../errors.js';
import type { Millis } from '../schemas/common.js';

/** A caller with a stale answer in hand gets it after this time, while the refresh goes on. */
export const PATIENCE_MS = 2_000;
/** Least and greatest pause between two refreshes behind a stale answer. */
const SHORTEST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 30_000;
/** Refreshes behind stale answers at one time; the others wait for a later request. */
const MAX_BEHIND = 64;
const MAX_FAILING = 10_000;

type Refreshed<T> =
  | { readonly outcome: 'done'; readonly value: T }
  | { readonly outcome: 'failed'; readonly error: AppError }
  | { readonly outcome: 'late' };

/** Starts (or joins) the load of one key. `once`: a single attempt, no retries. */
export type StartLoad<T> = (mode: { readonly once: boolean }) => Promise<T>;

export interface RefreshDesk<T> {
  /** Waits for one attempt, shared by all who ask. Never rejects. */
  ask(key: string, start: StartLoad<T>): Promise<Refreshed<T>>;
  /** Refreshes without anybody waiting, unless that happens already, is not due yet, or too many do. */
  behind(key: string, start: StartLoad<T>): void;
  /** The last refresh of `key` failed and none has succeeded since. */
  isFailing(key: string): boolean;
  /** To be told of every load's end, whoever asked for it. */
  succeeded(key: string): void;
  failed(key: string, error: AppError): void;
  /** Ends the waits; what is under way ends by its own deadline. */
  close(): void;
}

export const createRefreshDesk = <T>(now: () => Millis): RefreshDesk<T> => {
  const asked = new Map<string, Promise<Refreshed<T>>>();
  /** Keys being refreshed behind, or about to be (with the timer until then). */
  const behind = new Map<string, NodeJS.Timeout | null>();
  const failing = new LRUCache<string, { readonly nextAt: Millis }>({ max: MAX_FAILING });

  const pauseLeft = (key: string): Millis => (failing.get(key)?.nextAt ?? 0) - now();

  const launch = (key: string, start: StartLoad<T>): void => {
    behind.set(key, null);
    const done = (): void => void behind.delete(key);
    start({ once: false }).then(done, done);
  };
  const launchLater = (key: string, start: StartLoad<T>): void => {
    // A request that is at fault itself is not marked as failing and not tried again.
    if (!failing.has(key) || behind.has(key) || behind.size >= MAX_BEHIND) return;
    behind.set(key, setTimeout(() => launch(key, start), Math.max(0, pauseLeft(key))).unref());
  };

  const attempt = (key: string, start: StartLoad<T>): Promise<Refreshed<T>> =>
    new Promise((resolve) => {
      const patience = setTimeout(() => resolve({ outcome: 'late' }), PATIENCE_MS).unref();
      const settle = (result: Refreshed<T>): void => {
        clearTimeout(patience);
        asked.delete(key);
        resolve(result);
      };
      start({ once: true }).then(
        (value) => settle({ outcome: 'done', value }),
        (thrown: unknown) => {
          launchLater(key, start);
          settle({ outcome: 'failed', error: AppError.from(thrown) });
        },
      );
    });

  return {
    ask(key, start) {
      const running = asked.get(key);
      if (running !== undefined) return running;
      const attempted = attempt(key, start);
      asked.set(key, attempted);
      return attempted;
    },
    behind(key, start) {
      if (behind.has(key) || behind.size >= MAX_BEHIND || pauseLeft(key) > 0) return;
      launch(key, start);
    },
    isFailing: (key) => failing.has(key),
    succeeded: (key) => void failing.delete(key),
    failed(key, error) {
      const pause = Math.max(SHORTEST_PAUSE_MS, Math.min(error.retryAfterMs ?? 0, LONGEST_PAUSE_MS));
      failing.set(key, { nextAt: now() + pause });
    },
    close() {
      for (const timer of behind.values()) if (timer !== null) clearTimeout(timer);
      behind.clear();
    },
  };
};
