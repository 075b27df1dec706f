/** One load per key for all who want it, what its end means for those who ask later, and refreshes in the background. */
import { AppError } from '../errors.js';
import type { Millis } from '../schemas/common.js';
import { leastRecent } from '../cache/least-recent.js';
import { createSingleFlight } from '../lib/single-flight.js';
import type { TieredCache } from '../cache/tiered-cache.js';
import type { MarketRequest } from '../exchanges/exchange-client.js';
import type { MarketQuery } from './market-data-api.js';
import { type BadRequests, isVenueFault } from './request-faults.js';
import type { Spellings } from './market-directory.js';
import { cacheKey } from './cache-keys.js';
import type { Loaded, VenueLoad } from './venue-load.js';

/** A caller with a stale answer in hand gets it after this time, while the refresh goes on. */
export const PATIENCE_MS = 2_000;
/** Least and greatest pause between two refreshes of one key in the background. */
const SHORTEST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 30_000;
/** Refreshes in the background at one time; the others wait for a later request. */
const MAX_BACKGROUND = 64;
const MAX_FAILING = 10_000;

type Refreshed<T> =
  | { readonly outcome: 'done'; readonly value: T }
  | { readonly outcome: 'failed'; readonly error: AppError }
  | { readonly outcome: 'late' };

/** Starts (or joins) the load of one key. `once`: a single attempt, no retries. */
export type StartLoad<T> = (mode: { readonly once: boolean }) => Promise<T>;

/**
 * Who refreshes an expired answer, and how long a caller who already holds the old one waits for it: for one attempt, and
 * PATIENCE_MS at most. Once that attempt has failed, the old answer serves at once while retries go on in the
 * background: one round of them by itself, further ones as long as requests keep coming.
 */
export interface Refreshes<T> {
  /** Waits for one attempt, shared by all who ask. Never rejects. */
  ask(key: string, start: StartLoad<T>): Promise<Refreshed<T>>;
  /** Refreshes while no caller waits. Does nothing where that runs already, is not due yet, or too many run. */
  inBackground(key: string, start: StartLoad<T>): void;
  /** The last refresh of `key` failed and none has succeeded since. */
  isFailing(key: string): boolean;
  /** To be called at the end of every load. */
  succeeded(key: string): void;
  failed(key: string, error: AppError): void;
  /** Ends the waits; what is under way ends by its own deadline. */
  close(): void;
}

export const createRefreshes = <T>(now: () => Millis): Refreshes<T> => {
  const asked = new Map<string, Promise<Refreshed<T>>>();
  /** Keys being refreshed in the background, or about to be (with the timer until then). */
  const background = new Map<string, NodeJS.Timeout | null>();
  const failing = leastRecent<{ readonly nextAt: Millis }>(MAX_FAILING);

  const pauseLeft = (key: string): Millis => (failing.get(key)?.nextAt ?? 0) - now();

  const launch = (key: string, start: StartLoad<T>): void => {
    background.set(key, null);
    const done = (): void => void background.delete(key);
    start({ once: false }).then(done, done);
  };
  const launchLater = (key: string, start: StartLoad<T>): void => {
    // A request that is at fault itself is not marked as failing and not tried again.
    if (!failing.has(key) || background.has(key) || background.size >= MAX_BACKGROUND) return;
    background.set(key, setTimeout(() => launch(key, start), Math.max(0, pauseLeft(key))).unref());
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
    inBackground(key, start) {
      if (background.has(key) || background.size >= MAX_BACKGROUND || pauseLeft(key) > 0) return;
      launch(key, start);
    },
    isFailing: (key) => failing.has(key),
    succeeded: (key) => failing.delete(key),
    failed(key, error) {
      const pause = Math.max(SHORTEST_PAUSE_MS, Math.min(error.retryAfterMs ?? 0, LONGEST_PAUSE_MS));
      failing.set(key, { nextAt: now() + pause });
    },
    close() {
      for (const timer of background.values()) if (timer !== null) clearTimeout(timer);
      background.clear();
    },
  };
};

export interface SharedLoadsDeps {
  readonly cache: TieredCache;
  readonly prefix: string;
  readonly venueLoad: VenueLoad;
  readonly refreshes: Refreshes<Loaded>;
  readonly badRequests: BadRequests;
  readonly spellings: Spellings;
  readonly requestTimeoutMs: Millis;
  readonly now: () => Millis;
}

export interface LoadMode {
  /** Instant by which it has settled; null: a whole request's time from its start. */
  readonly deadline: Millis | null;
  /** The caller holds an expired answer already. */
  readonly holdsStale: boolean;
  /** Of the caller: the load goes on while anybody else wants it. */
  readonly signal?: AbortSignal | undefined;
}

export interface SharedLoads {
  /** Starts the load, or joins the one that runs. Rejects with AppErrors. */
  starter(
    wanted: {
      readonly key: string;
      readonly request: MarketRequest;
      readonly query: Pick<MarketQuery, 'client' | 'mayBackfill'>;
    },
    mode: LoadMode,
  ): StartLoad<Loaded>;
  readonly size: number;
}

export const createSharedLoads = (deps: SharedLoadsDeps): SharedLoads => {
  const { cache, prefix, venueLoad, refreshes, badRequests, spellings, requestTimeoutMs, now } = deps;
  const flights = createSingleFlight<Loaded>();

  const learnSpelling = (request: MarketRequest, { symbol, entry }: Loaded): void => {
    if (symbol === undefined || symbol === request.symbol) return;
    spellings.learn(request.exchange, request.symbol, symbol);
    cache.put(cacheKey(prefix, { ...request, symbol }), entry);
  };

  return {
    starter:
      ({ key, request, query: { client, mayBackfill = true } }, mode) =>
      ({ once }) =>
        flights.run(
          key,
          async (signal) => {
            const deadline = mode.deadline ?? now() + requestTimeoutMs;
            const { holdsStale } = mode;
            const job = { key, request, client, mayBackfill, deadline, holdsStale, once };
            try {
              const loaded = await venueLoad(job, signal);
              if (loaded.cache !== 'STALE') refreshes.succeeded(key);
              learnSpelling(request, loaded);
              return loaded;
            } catch (thrown) {
              const error = AppError.from(thrown);
              badRequests.note(request, error);
              if (isVenueFault(error) && !signal.aborted) refreshes.failed(key, error);
              throw error;
            }
          },
          mode.signal,
        ),
    get size() {
      return flights.size;
    },
  };
};
