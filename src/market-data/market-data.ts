/**
 * What a caller asked for, from the nearest place that has it, with the truth about its age and origin:
 * live tick → memory → shared tier → one upstream call for everyone → the expired answer → CoinMarketCap → one error.
 */
import { AppError } from '../errors.js';
import type { ExchangeId, Millis, UnifiedSymbol } from '../schemas/common.js';
import type { CacheEntry } from '../cache/cache-entry.js';
import type { TieredCache } from '../cache/tiered-cache.js';
import type { CoinMarketCapClient } from '../coinmarketcap/coinmarketcap-api.js';
import type { ExchangeClient, MarketRequest } from '../exchanges/exchange-client.js';
import type { ExchangeNames, ResolvedExchange } from '../exchanges/exchange-names.js';
import { steadyNow } from '../lib/steady-clock.js';
import { errorInWordsOf } from '../exchanges/refusals.js';
import type { Log } from '../log/log.js';
import type {
  AnswersAtHand,
  CacheState,
  LiveTickers,
  ListedMarkets,
  ManyTickers,
  MarketData,
  MarketQuery,
  ServedAnswer,
} from './market-data-api.js';
import {
  type AnswerCounts,
  createAnswerCounter,
  createLiveAnswers,
  createServedAnswers,
} from './served-answers.js';
import { createBadRequests, faultOfRange, givenUp, isVenueFault } from './request-faults.js';
import { createSpellings, likelySymbol, createMarketDirectory } from './market-directory.js';
import { createKnownAnswers, entryOfLedger } from './ledger-candles.js';
import { createBulkTickers } from './bulk-tickers.js';
import { cacheKey, keyPrefix } from './cache-keys.js';
import { createExchangeEntries } from './exchange-entries.js';
import { createFallback } from './fallback.js';
import type { FreshnessSettings } from './freshness.js';
import { createRefreshes, createSharedLoads, type LoadMode, type StartLoad } from './shared-loads.js';
import { createVenueLoad, type Loaded } from './venue-load.js';
import type { Ledger } from '../ledger/ledger.js';

/** Part of a request's time, and the most of it, that is kept for CoinMarketCap when the venue hangs. */
const FALLBACK_SHARE = 0.25;
const MAX_FALLBACK_MS = 5_000;

export interface MarketDataDeps {
  readonly names: ExchangeNames;
  readonly cache: TieredCache;
  readonly exchanges: ExchangeClient;
  /** null without a key. */
  readonly coinMarketCap: CoinMarketCapClient | null;
  /** null: no candles are kept. */
  readonly ledger?: Ledger | null;
  /** null without streams. */
  readonly live: LiveTickers | null;
  readonly ttl: FreshnessSettings;
  readonly requestTimeoutMs: Millis;
  /** The venues are simulated: every answer's source says so. */
  readonly sandbox: boolean;
  readonly log: Log;
  readonly now?: () => Millis;
  /** The clock of durations and deadlines; default: `now` where that is given. */
  readonly monotonic?: () => Millis;
}

export interface MarketDataStats extends AnswerCounts {
  readonly flights: number;
}

export interface MarketDataService extends MarketData, ManyTickers, AnswersAtHand, ListedMarkets {
  stats(): MarketDataStats;
  /** Ends the refreshes that wait behind stale answers. */
  close(): void;
}

/** One request on its way: what is asked for, under which name, until when. */
interface Call {
  readonly query: MarketQuery;
  readonly as: ResolvedExchange;
  readonly request: MarketRequest;
  readonly key: string;
  readonly deadline: Millis;
  readonly signal: AbortSignal | undefined;
}

/** What the venue is asked: without the parts of a query that are ours alone. */
const requestOf = (query: MarketQuery, exchange: ExchangeId, symbol: UnifiedSymbol): MarketRequest => {
  switch (query.kind) {
    case 'ticker':
      return { kind: 'ticker', exchange, symbol };
    case 'ohlcv': {
      const { kind, interval, since, until, limit } = query;
      return { kind, exchange, symbol, interval, since, until, limit };
    }
    case 'orderbook':
    case 'trades':
      return { kind: query.kind, exchange, symbol, limit: query.limit };
  }
};

export const createMarketData = (deps: MarketDataDeps): MarketDataService => {
  const { names, cache, exchanges, coinMarketCap, live, ttl, requestTimeoutMs, sandbox, log } = deps;
  const { ledger = null } = deps;
  const now = deps.now ?? Date.now;
  const monotonic = deps.monotonic ?? deps.now ?? steadyNow;
  const prefix = keyPrefix(sandbox);
  const served = createServedAnswers();
  const liveAnswers = createLiveAnswers(sandbox);
  const badRequests = createBadRequests(monotonic);
  const refreshes = createRefreshes<Loaded>(monotonic);
  const venueLoad = createVenueLoad({ cache, exchanges, ledger, ttl, sandbox, now, monotonic });
  const known = ledger === null ? null : createKnownAnswers(ledger);
  const directory = createMarketDirectory({ exchanges, requestTimeoutMs, now: monotonic });
  const fallback =
    coinMarketCap === null ? null : createFallback({ coinMarketCap, cache, ttl, sandbox, now });
  const spellings = createSpellings();
  const loads = createSharedLoads({
    cache,
    prefix,
    venueLoad,
    refreshes,
    badRequests,
    spellings,
    requestTimeoutMs,
    now: monotonic,
  });
  const describe = createExchangeEntries({ exchanges, log, monotonic });
  const counter = createAnswerCounter();

  const serve = (
    entry: CacheEntry,
    cacheState: CacheState,
    { query, as, at = now() }: Pick<Call, 'query' | 'as'> & { readonly at?: Millis },
  ) => {
    counter.answered(query.kind, cacheState);
    return served.serve(entry, as, { cache: cacheState, at, stats: query.stats });
  };
  const isSpent = (entry: CacheEntry): boolean => served.isSpent(entry, now());

  /**
   * A load, and another one where its period ended while the only candle was on the way: that one is no longer shown, and
   * an answer without candles would say that nothing was traded.
   */
  const starter = (call: Call, mode: LoadMode): StartLoad<Loaded> => {
    const start = loads.starter(call, mode);
    const startAnew = loads.starter(call, { ...mode, holdsStale: true });
    return async (how) => {
      const loaded = await start(how);
      return isSpent(loaded.entry) ? startAnew(how) : loaded;
    };
  };

  /** Asking now would only wait: the venue cools down, or its circuit is open. */
  const isHeldBack = (exchange: ExchangeId): boolean => {
    const health = exchanges.health().find((state) => state.exchange === exchange);
    return health !== undefined && ((health.coolDownUntil ?? 0) > now() || health.circuit === 'open');
  };

  const viaFallback = async (call: Call): Promise<ServedAnswer | undefined> => {
    if (fallback?.standsIn(call.query) !== true) return undefined;
    try {
      const query = { ...call.query, symbol: likelySymbol(call.request.symbol) };
      const { entry, cache: state } = await fallback.answer(query, {
        key: call.key,
        deadline: call.deadline,
      });
      counter.stoodIn();
      return serve(entry, state, call);
    } catch (thrown) {
      const { code } = AppError.from(thrown);
      log.debug({ symbol: call.request.symbol, code }, 'CoinMarketCap could not stand in');
      return undefined;
    }
  };

  /** Nothing usable is held: the venue, with all its attempts, then CoinMarketCap. */
  const loadNew = async (call: Call): Promise<ServedAnswer> => {
    const { key, request, signal } = call;
    const standsIn = fallback?.standsIn(call.query) === true;
    if (standsIn && (refreshes.isFailing(key) || isHeldBack(request.exchange))) {
      const quote = await viaFallback(call);
      if (quote !== undefined) {
        refreshes.inBackground(key, starter(call, { deadline: null, holdsStale: false }));
        return quote;
      }
    }
    const reserve = standsIn ? Math.min(MAX_FALLBACK_MS, requestTimeoutMs * FALLBACK_SHARE) : 0;
    const start = starter(call, { deadline: call.deadline - reserve, holdsStale: false, signal });
    try {
      const { entry, cache: state } = await start({ once: false });
      return state === 'STALE' ? await refresh(call, entry) : serve(entry, state, call);
    } catch (thrown) {
      if (signal?.aborted === true) throw givenUp(signal.reason);
      const error = AppError.from(thrown);
      const quote = isVenueFault(error) ? await viaFallback(call) : undefined;
      if (quote !== undefined) return quote;
      throw error;
    }
  };

  /** An expired answer is held: one attempt at a new one, then the old one, marked. */
  const refresh = async (call: Call, stale: CacheEntry): Promise<ServedAnswer> => {
    const { key, request } = call;
    const start = starter(call, { deadline: null, holdsStale: true });
    if (refreshes.isFailing(key) || isHeldBack(request.exchange)) {
      refreshes.inBackground(key, start);
      return serve(stale, 'STALE', call);
    }
    const result = await refreshes.ask(key, start);
    if (result.outcome === 'done') return serve(result.value.entry, result.value.cache, call);
    if (result.outcome === 'failed' && !isVenueFault(result.error)) throw result.error;
    const isUsable = now() < stale.staleUntil && !isSpent(stale);
    return isUsable ? serve(stale, 'STALE', call) : loadNew(call);
  };

  /** Candles that are all known need no venue, however it fares. */
  const fromStore = async (call: Call): Promise<ServedAnswer | null> => {
    const { request, key } = call;
    if (known === null || request.kind !== 'ohlcv') return null;
    const found = await known(key, request);
    if (found === null) return null;
    const entry = entryOfLedger(request, found, { ttl, sandbox, now });
    cache.put(key, entry);
    return serve(entry, 'STORE', call);
  };

  /** Of an exchange that is not enabled: what was kept while it was. */
  const ofDisabled = async (query: MarketQuery, refusal: AppError): Promise<ServedAnswer> => {
    if (ledger !== null && query.kind === 'ohlcv' && refusal.code === 'exchange_not_enabled') {
      const as = names.resolveKnown(query.exchange);
      const request = requestOf(query, as.exchange, query.symbol);
      const found =
        request.kind === 'ohlcv' ? await ledger.partly(request, 'not_available_from_exchange') : null;
      if (request.kind === 'ohlcv' && found !== null)
        return serve(entryOfLedger(request, found, { ttl, sandbox, now }), 'STORE', { query, as });
    }
    counter.failed();
    throw refusal;
  };

  const answer = async (call: Call): Promise<ServedAnswer> => {
    try {
      const stored = known === null ? null : await fromStore(call);
      if (stored !== null) return stored;
      const remembered = badRequests.recall(call.request);
      if (remembered !== undefined) throw remembered;
      const held = cache.peek(call.key);
      return await (held === undefined || isSpent(held) ? loadNew(call) : refresh(call, held));
    } catch (thrown) {
      counter.failed();
      throw errorInWordsOf(call.as, AppError.from(thrown));
    }
  };

  /** A hit costs two look-ups and no wait. */
  const get = (query: MarketQuery, signal?: AbortSignal): Promise<ServedAnswer> => {
    let as: ResolvedExchange;
    try {
      as = names.resolve(query.exchange);
    } catch (thrown) {
      return ofDisabled(query, AppError.from(thrown));
    }
    const { exchange } = as;
    const known = spellings.of(exchange, query.symbol);
    if (known !== query.symbol || likelySymbol(known) === known)
      return getAs(query, { as, symbol: known, signal });
    return directory.spellingOf(exchange, known, signal).then((symbol) => {
      if (symbol !== known) spellings.learn(exchange, known, symbol);
      return getAs(query, { as, symbol, signal });
    });
  };

  const getAs = (
    query: MarketQuery,
    { as, symbol, signal }: { as: ResolvedExchange; symbol: UnifiedSymbol; signal?: AbortSignal | undefined },
  ): Promise<ServedAnswer> => {
    const { exchange } = as;
    if (live !== null && query.kind === 'ticker') {
      const tick = live.latest(exchange, symbol);
      if (tick !== undefined)
        return Promise.resolve(serve(liveAnswers.of(exchange, tick), 'LIVE', { query, as }));
    }
    const request = requestOf(query, exchange, symbol);
    const fault = request.kind === 'ohlcv' ? faultOfRange(request, now()) : null;
    if (fault !== null) {
      counter.failed();
      return Promise.reject(fault);
    }
    const key = cacheKey(prefix, request);
    const held = cache.peek(key);
    const at = now();
    if (held !== undefined && at < held.freshUntil)
      return Promise.resolve(serve(held, 'HIT', { query, as, at }));
    return answer({ query, as, request, key, deadline: monotonic() + requestTimeoutMs, signal });
  };

  const atHand = (query: MarketQuery, as: ResolvedExchange): ServedAnswer | undefined => {
    const { exchange } = as;
    const symbol = spellings.of(exchange, query.symbol);
    const tick = query.kind === 'ticker' ? live?.latest(exchange, symbol) : undefined;
    if (tick !== undefined) return serve(liveAnswers.of(exchange, tick), 'LIVE', { query, as });
    const held = cache.peek(cacheKey(prefix, requestOf(query, exchange, symbol)));
    const at = now();
    return held !== undefined && at < held.freshUntil ? serve(held, 'HIT', { query, as, at }) : undefined;
  };
  const withoutVenue = (query: MarketQuery, as: ResolvedExchange): ServedAnswer | AppError | undefined =>
    atHand(query, as) ??
    badRequests.recall(requestOf(query, as.exchange, spellings.of(as.exchange, query.symbol)));
  const tickers = createBulkTickers({
    ...{ cache, prefix, exchanges, spellings, ttl, requestTimeoutMs, sandbox, now, monotonic },
    ...{ atHand: withoutVenue, get, serve },
  });

  return {
    get,
    atHand,
    tickers: async (query, signal) => tickers(query, names.resolve(query.exchange), signal),
    livenessOf({ exchange: name, symbol: asked }) {
      const { exchange } = names.resolve(name);
      const symbol = spellings.of(exchange, asked);
      return () => live?.latest(exchange, symbol) !== undefined;
    },
    lists: (exchange, symbol) => directory.lists(exchange, symbol),
    async markets(filter, signal) {
      const as = names.resolve(filter.exchange);
      try {
        return await directory.page(as, filter, signal);
      } catch (thrown) {
        throw signal?.aborted === true ? givenUp(signal.reason) : errorInWordsOf(as, AppError.from(thrown));
      }
    },
    exchanges: () => Promise.all(names.enabled.map(describe)),
    resolveExchange: (name) => names.resolve(name),
    resolveStoredExchange: (name) => names.resolveKnown(name),
    listedName: (id) => names.enabled.find(({ exchange }) => exchange === id)?.name ?? id,
    stats: () => ({ ...counter.counts(), flights: loads.size }),
    close: () => refreshes.close(),
  };
};
