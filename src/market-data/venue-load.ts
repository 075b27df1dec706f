/** One load of one key: the shared tier, the right to load, the venue; and what its end means for later requests. */
import { AppError } from '../errors.js';
import { settleWithin } from '../lib/deadline.js';
import type { Millis, UnifiedSymbol } from '../schemas/common.js';
import type { CacheEntry } from '../cache/cache-entry.js';
import type { TieredCache } from '../cache/tiered-cache.js';
import type { ExchangeClient, MarketAnswer, MarketRequest } from '../exchanges/exchange-client.js';
import { createCandleLoad, entryOfLedger, type LedgerForLoads } from './ledger-candles.js';
import { venueSource } from './market-data-api.js';
import { entryOf } from './served-answers.js';
import type { FreshnessSettings } from './freshness.js';

export interface Loaded {
  readonly entry: CacheEntry;
  /** STALE: the shared tier holds an expired answer, and the venue was not asked. */
  readonly cache: 'HIT' | 'MISS' | 'STALE' | 'STORE';
  /** The symbol as the venue spells it, where the venue was asked. */
  readonly symbol?: UnifiedSymbol;
}

interface LoadJob {
  readonly key: string;
  readonly request: MarketRequest;
  /** Who asked first. */
  readonly client: string | undefined;
  /** Whether that caller may start backfills; callers who join the load get what was decided for the first. */
  readonly mayBackfill: boolean;
  /** Instant by which the load has settled. */
  readonly deadline: Millis;
  /** The caller holds an expired answer already: no use in finding it again. */
  readonly holdsStale: boolean;
  /** One attempt, no retries. */
  readonly once: boolean;
}

/** The client keeps the deadline by itself; this is for the call that never settles. */
const DEADLINE_GRACE_MS = 100;

export interface VenueLoadDeps {
  readonly cache: TieredCache;
  readonly exchanges: ExchangeClient;
  /** null: no candles are kept. */
  readonly ledger: LedgerForLoads | null;
  readonly ttl: FreshnessSettings;
  readonly sandbox: boolean;
  readonly now: () => Millis;
  /** A monotonic clock. */
  readonly monotonic: () => Millis;
}

/** Rejects with an AppError. */
export type VenueLoad = (job: LoadJob, signal: AbortSignal) => Promise<Loaded>;

export const createVenueLoad = ({
  cache,
  exchanges,
  ledger,
  ttl,
  sandbox,
  now,
  monotonic,
}: VenueLoadDeps): VenueLoad => {
  const loadCandles = ledger === null ? null : createCandleLoad(ledger, exchanges);

  /** A job's way to the venue, for its own request or a part of it. */
  const asking =
    ({ client, deadline, once }: LoadJob, signal: AbortSignal) =>
    (request: MarketRequest): Promise<MarketAnswer> => {
      const attempts = once ? 1 : undefined;
      const call = exchanges.fetch(request, { deadline, signal, priority: 'caller', client, attempts });
      const { exchange } = request;
      return settleWithin(call, {
        ms: deadline - monotonic() + DEADLINE_GRACE_MS,
        giveUp: () =>
          new AppError('upstream_timeout', `The exchange ${exchange} did not answer in time.`, {
            upstream: { exchange },
          }),
      });
    };

  const load = async (job: LoadJob, signal: AbortSignal): Promise<Loaded> => {
    const { key, request } = job;
    const ask = asking(job, signal);
    const loaded =
      loadCandles !== null && request.kind === 'ohlcv'
        ? await loadCandles(request, ask, job.mayBackfill)
        : { answer: await ask(request) };
    if ('answer' in loaded) {
      const source = venueSource(request.exchange, 'rest', sandbox);
      const entry = entryOf(request, loaded.answer, { source, ttl });
      cache.put(key, entry);
      return { entry, cache: 'MISS', symbol: loaded.answer.symbol };
    }
    const { request: asked, known, shared } = loaded;
    const entry = entryOfLedger(asked, known, { ttl, sandbox, now });
    if (shared) cache.put(key, entry);
    return { entry, cache: known.cache, symbol: known.symbol };
  };

  return async (job, signal) => {
    const { key, deadline, holdsStale } = job;
    const found = await cache.get(key);
    if (found !== undefined && now() < found.freshUntil) return { entry: found, cache: 'HIT' };
    if (found !== undefined && !holdsStale) return { entry: found, cache: 'STALE' };
    const claim = await cache.claim(key, { deadline, signal });
    if (claim.fresh !== undefined) return { entry: claim.fresh, cache: 'HIT' };
    try {
      return await load(job, signal);
    } catch (thrown) {
      throw AppError.from(thrown);
    } finally {
      claim.release();
    }
  };
};
