/**
 * Many tickers of one exchange at once: those that are at hand as they are, the others by one request where the venue has
 * one, else each by itself. A ticker fetched this way is kept like any other.
 */
import { AppError } from '../errors.js';
import type { CacheEntry } from '../cache/cache-entry.js';
import type { TieredCache } from '../cache/tiered-cache.js';
import type { ExchangeClient, MarketAnswer, TickerRequest } from '../exchanges/exchange-client.js';
import type { ResolvedExchange } from '../exchanges/exchange-names.js';
import { errorInWordsOf } from '../exchanges/refusals.js';
import { settleWithin } from '../lib/deadline.js';
import { createSingleFlight } from '../lib/single-flight.js';
import type { ExchangeId, Millis } from '../schemas/common.js';
import { cacheKey } from './cache-keys.js';
import type { FreshnessSettings } from './freshness.js';
import { isVenueFault } from './request-faults.js';
import type { Spellings } from './market-directory.js';
import type { CacheState, MarketQuery, ServedAnswer, TickersQuery, TickersFound } from './market-data-api.js';
import { venueSource } from './market-data-api.js';
import { entryOf } from './served-answers.js';

/** The client keeps the deadline by itself; this is for the call that never settles. */
const DEADLINE_GRACE_MS = 100;

/** Nothing but the venue's lack of such a request: each ticker is asked for by itself. */
const NO_SUCH_REQUEST: ReadonlySet<string> = new Set(['not_supported_by_exchange', 'upstream_auth_required']);

export interface BulkTickersDeps {
  readonly cache: TieredCache;
  readonly prefix: string;
  readonly exchanges: ExchangeClient;
  readonly spellings: Spellings;
  readonly ttl: FreshnessSettings;
  readonly requestTimeoutMs: Millis;
  readonly sandbox: boolean;
  readonly now: () => Millis;
  /** A monotonic clock. */
  readonly monotonic: () => Millis;
  /** What needs no venue: the tick of a running stream, a fresh entry, or the refusal of a moment ago. */
  readonly atHand: (query: MarketQuery, as: ResolvedExchange) => ServedAnswer | AppError | undefined;
  /** One ticker by itself. */
  readonly get: (query: MarketQuery, signal: AbortSignal | undefined) => Promise<ServedAnswer>;
  readonly serve: (
    entry: CacheEntry,
    cache: CacheState,
    asked: { readonly query: MarketQuery; readonly as: ResolvedExchange },
  ) => ServedAnswer;
}

type Outcome = ServedAnswer | AppError;

export type BulkTickers = (
  query: TickersQuery,
  as: ResolvedExchange,
  signal: AbortSignal | undefined,
) => Promise<TickersFound>;

export const createBulkTickers = (deps: BulkTickersDeps): BulkTickers => {
  const { cache, prefix, exchanges, spellings, ttl, sandbox, now, monotonic, atHand, serve } = deps;
  const flights = createSingleFlight<MarketAnswer>();
  /** Exchanges without a request for several tickers; bounded by those that are enabled. */
  const without = new Set<ExchangeId>();

  const requestOf = (exchange: ExchangeId, asked: string): TickerRequest => ({
    kind: 'ticker',
    exchange,
    symbol: spellings.of(exchange, asked),
  });
  const keyOf = (exchange: ExchangeId, asked: string): string => cacheKey(prefix, requestOf(exchange, asked));

  const fetchAll = (
    { client }: TickersQuery,
    exchange: ExchangeId,
    { symbols, signal }: { readonly symbols: readonly string[]; readonly signal: AbortSignal | undefined },
  ): Promise<MarketAnswer> =>
    flights.run(
      JSON.stringify([exchange, ...[...symbols].sort()]),
      (own) => {
        const deadline = monotonic() + deps.requestTimeoutMs;
        const options = { deadline, signal: own, priority: 'caller', client } as const;
        return settleWithin(exchanges.fetch({ kind: 'tickers', exchange, symbols }, options), {
          ms: deadline - monotonic() + DEADLINE_GRACE_MS,
          giveUp: () =>
            new AppError('upstream_timeout', `The exchange ${exchange} did not answer in time.`, {
              upstream: { exchange },
            }),
        });
      },
      signal,
    );

  /** Keeps what came as if it had been asked for by itself. */
  const keep = (exchange: ExchangeId, asked: string, answer: MarketAnswer): CacheEntry => {
    const request = requestOf(exchange, asked);
    const entry = entryOf(request, answer, { source: venueSource(exchange, 'rest', sandbox), ttl });
    cache.put(cacheKey(prefix, request), entry);
    if (answer.symbol === request.symbol) return entry;
    spellings.learn(exchange, request.symbol, answer.symbol);
    cache.put(cacheKey(prefix, { ...request, symbol: answer.symbol }), entry);
    return entry;
  };

  return async (query, as, signal) => {
    const { exchange } = as;
    const { stats, client } = query;
    const queryOf = (symbol: string): MarketQuery => ({
      ...{ kind: 'ticker', exchange: query.exchange, symbol, stats, client },
      fallback: false,
    });
    const found = new Map<string, Outcome>();
    const missing = (): string[] => query.symbols.filter((symbol) => !found.has(symbol));
    const serveOne = (asked: string, entry: CacheEntry, state: CacheState): void => {
      found.set(asked, serve(entry, state, { query: queryOf(asked), as }));
    };

    for (const symbol of query.symbols) {
      const known = atHand(queryOf(symbol), as);
      if (known !== undefined) found.set(symbol, known);
    }
    await Promise.all(
      missing().map(async (symbol) => {
        const entry = await cache.get(keyOf(exchange, symbol));
        if (entry !== undefined && now() < entry.freshUntil) serveOne(symbol, entry, 'HIT');
      }),
    );
    const symbols = missing();
    if (symbols.length > 1 && !without.has(exchange)) {
      try {
        const { tickers = [] } = await fetchAll(query, exchange, { symbols, signal });
        for (const { asked, answer } of tickers) serveOne(asked, keep(exchange, asked, answer), 'MISS');
      } catch (thrown) {
        const error = AppError.from(thrown);
        if (signal?.aborted === true) throw error;
        if (NO_SUCH_REQUEST.has(error.code)) without.add(exchange);
        else if (isVenueFault(error))
          for (const symbol of symbols) {
            const held = cache.peek(keyOf(exchange, symbol));
            if (held !== undefined && now() < held.staleUntil) serveOne(symbol, held, 'STALE');
            else found.set(symbol, error);
          }
      }
    }
    // The venue has no such request, refused it for the sake of one symbol, or left some out of its answer.
    await Promise.all(
      missing().map(async (symbol) => {
        const outcome = await deps
          .get(queryOf(symbol), signal)
          .catch((thrown: unknown) => AppError.from(thrown));
        found.set(symbol, outcome);
      }),
    );
    const tickers: ServedAnswer[] = [];
    const errors: { symbol: string; error: AppError }[] = [];
    for (const [symbol, outcome] of query.symbols.map((each) => [each, found.get(each)] as const))
      if (outcome instanceof AppError) errors.push({ symbol, error: errorInWordsOf(as, outcome) });
      else if (outcome !== undefined) tickers.push(outcome);
    return { tickers, errors };
  };
};
