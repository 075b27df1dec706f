/** One load per key for all who want it, and what its end means for those who ask later. */
import { AppError } from '../errors.js';
import { createSingleFlight } from '../lib/single-flight.js';
import type { Millis } from '../schemas/common.js';
import type { TieredCache } from '../cache/tiered-cache.js';
import type { MarketRequest } from '../exchanges/exchange-client.js';
import type { MarketQuery } from './market-data-api.js';
import type { BadRequests } from './bad-requests.js';
import { cacheKey } from './cache-keys.js';
import type { RefreshDesk, StartLoad } from './refresh-desk.js';
import { isVenueFault } from './request-faults.js';
import type { Spellings } from './spellings.js';
import type { Loaded, VenueLoad } from './venue-load.js';

export interface SharedLoadsDeps {
  readonly cache: TieredCache;
  readonly prefix: string;
  readonly venueLoad: VenueLoad;
  readonly desk: RefreshDesk<Loaded>;
  readonly badRequests: BadRequests;
  readonly spellings: Spellings;
  readonly requestTimeoutMs: Millis;
  readonly now: () => Millis;
}

interface LoadMode {
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
      readonly query: Pick<MarketQuery, 'client'>;
    },
    mode: LoadMode,
  ): StartLoad<Loaded>;
  readonly size: number;
}

export const createSharedLoads = (deps: SharedLoadsDeps): SharedLoads => {
  const { cache, prefix, venueLoad, desk, badRequests, spellings, requestTimeoutMs, now } = deps;
  const flights = createSingleFlight<Loaded>();

  const learnSpelling = (request: MarketRequest, { symbol, entry }: Loaded): void => {
    if (symbol === undefined || symbol === request.symbol) return;
    spellings.learn(request.exchange, request.symbol, symbol);
    cache.put(cacheKey(prefix, { ...request, symbol }), entry);
  };

  return {
    starter:
      ({ key, request, query: { client } }, mode) =>
      ({ once }) =>
        flights.run(
          key,
          async (signal) => {
            const deadline = mode.deadline ?? now() + requestTimeoutMs;
            const job = { key, request, client, deadline, holdsStale: mode.holdsStale, once };
            try {
              const loaded = await venueLoad(job, signal);
              if (loaded.cache !== 'STALE') desk.succeeded(key);
              learnSpelling(request, loaded);
              return loaded;
            } catch (thrown) {
              const error = AppError.from(thrown);
              badRequests.note(request, error);
              if (isVenueFault(error) && !signal.aborted) desk.failed(key, error);
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
