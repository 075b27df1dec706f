/** One load of one key: the shared tier, the right to load, the venue; and what its end means for later requests. */
import { AppError } from '../errors.js';
import { settleWithin } from '../lib/deadline.js';
import type { Millis, UnifiedSymbol } from '../schemas/common.js';
import type { CacheEntry } from '../cache/cache-entry.js';
import type { TieredCache } from '../cache/tiered-cache.js';
import type {
  ExchangeClient,
  MarketAnswer,
  MarketRequest,
  OhlcvRequest,
} from '../exchanges/exchange-client.js';
import { venueSource } from './data-source.js';
import { entryOf } from './entries.js';
import type { Ledger } from '../ledger/ledger.js';
import { entryOfLedger } from './ledger-answers.js';
import { isVenueFault } from './request-faults.js';
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
  /** Instant by which the load has settled. */
  readonly deadline: Millis;
  /** The caller holds an expired answer already: no use in finding it again. */
  readonly holdsStale: boolean;
  /** One attempt, no retries. */
  readonly once: boolean;
}

const seriesOf = ({ exchange, symbol, interval }: OhlcvRequest) => ({ exchange, symbol, interval });

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
  /** The clock of durations and deadlines; nobody sets it. */
  readonly monotonic: () => Millis;
}

/** What a load needs of the candle ledger. */
type LedgerForLoads = Pick<Ledger, 'load' | 'partly' | 'record'>;

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
  const ask = ({ request, client, deadline, once }: LoadJob, signal: AbortSignal): Promise<MarketAnswer> => {
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

  const fromLedger = async (job: LoadJob, signal: AbortSignal) => {
    const { request } = job;
    if (ledger === null || request.kind !== 'ohlcv') return null;
    const answer = await ledger.load(request, (part) => ask({ ...job, request: part }, signal));
    if (answer === null) return null;
    const entry = entryOfLedger(request, answer, { ttl, sandbox, now });
    const loaded: Loaded = { entry, cache: answer.cache, symbol: answer.symbol };
    return { complete: answer.complete, loaded };
  };

  /** Candles that come by are kept; nobody waits for that. */
  const askAndKeep = async (job: LoadJob, signal: AbortSignal): Promise<MarketAnswer> => {
    const { request } = job;
    if (ledger === null || request.kind !== 'ohlcv') return ask(job, signal);
    const answer = await ask({ ...job, request: { ...request, evidence: true } }, signal);
    const { evidence, symbol } = answer;
    if (evidence !== undefined) void ledger.record({ ...seriesOf(request), symbol }, evidence);
    return answer;
  };

  /** The venue has not answered: what the ledger knows, however slow it is; null: nothing, or the caller is at fault. */
  const afterFault = async (
    job: LoadJob,
    { signal, error }: { readonly signal: AbortSignal; readonly error: AppError },
  ): Promise<Loaded | null> => {
    const { request } = job;
    if (ledger === null || request.kind !== 'ohlcv') return null;
    const tooLong = error.code === 'invalid_request' && error.errors?.[0]?.parameter === 'limit';
    if (!tooLong && !isVenueFault(error)) return null;
    if (tooLong) await keepWhatFits({ ...job, request }, signal);
    const answer = await ledger.partly(request, 'not_loaded_yet');
    if (answer === null) return null;
    return {
      entry: entryOfLedger(request, answer, { ttl, sandbox, now }),
      cache: 'STORE',
      symbol: answer.symbol,
    };
  };

  /** More pages are asked for than the budget ever has room for: those that fit, so that there is something to answer. */
  const keepWhatFits = async (
    job: LoadJob & { readonly request: OhlcvRequest },
    signal: AbortSignal,
  ): Promise<void> => {
    const { request } = job;
    const { candles } = await exchanges.describe(request.exchange);
    const traits = request.symbol.includes(':') ? candles?.contract : candles?.spot;
    const limit = Math.min(request.limit, traits?.page ?? 100);
    const answer = await ask({ ...job, request: { ...request, limit, evidence: true } }, signal);
    if (answer.evidence !== undefined)
      await ledger?.record({ ...seriesOf(request), symbol: answer.symbol }, answer.evidence);
  };

  return async (job, signal) => {
    const { key, request, deadline, holdsStale } = job;
    const found = await cache.get(key);
    if (found !== undefined && now() < found.freshUntil) return { entry: found, cache: 'HIT' };
    if (found !== undefined && !holdsStale) return { entry: found, cache: 'STALE' };
    const claim = await cache.claim(key, { deadline, signal });
    if (claim.fresh !== undefined) return { entry: claim.fresh, cache: 'HIT' };
    try {
      const stored = ledger === null ? null : await fromLedger(job, signal);
      if (stored !== null) {
        if (stored.complete) cache.put(key, stored.loaded.entry);
        return stored.loaded;
      }
      const answer = await (ledger === null ? ask(job, signal) : askAndKeep(job, signal)).catch(
        async (thrown: unknown) => {
          const rest = await afterFault(job, { signal, error: AppError.from(thrown) });
          if (rest === null) throw thrown;
          return rest;
        },
      );
      if ('entry' in answer) return answer;
      const source = venueSource(request.exchange, 'rest', sandbox);
      const entry = entryOf(request, answer, { source, ttl });
      cache.put(key, entry);
      return { entry, cache: 'MISS', symbol: answer.symbol };
    } catch (thrown) {
      throw AppError.from(thrown);
    } finally {
      claim.release();
    }
  };
};
