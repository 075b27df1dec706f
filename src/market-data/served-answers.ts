/** What is cached, and what one caller is served of it: the bytes under the name that was asked for, and what was counted. */
import type { Millis, ExchangeId } from '../schemas/common.js';
import type { CacheEntry } from '../cache/cache-entry.js';
import { etagOf } from '../cache/etag.js';
import type { MarketAnswer, MarketRequest } from '../exchanges/exchange-client.js';
import type { ResolvedExchange } from '../exchanges/exchange-names.js';
import { type CacheState, type LiveTicker, type ServedAnswer, venueSource } from './market-data-api.js';
import { freshnessOf, type FreshnessSettings } from './freshness.js';
import { z } from 'zod';
import { LRUCache } from 'lru-cache';
import { NO_STATS, type MarketKind } from '../schemas/market.js';

/** A view of the worker's bytes, which were transferred to this thread: nothing else refers to them. */
const asBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);

export const entryOf = (
  request: MarketRequest,
  answer: MarketAnswer,
  { source, ttl }: { readonly source: string; readonly ttl: FreshnessSettings },
): CacheEntry => {
  const body = asBuffer(answer.body);
  const { receivedAt, closesAt, untimed, stats } = answer;
  return {
    body,
    etag: etagOf(body),
    receivedAt,
    closesAt,
    source,
    ...(untimed === undefined ? {} : { untimed }),
    ...(stats === undefined ? {} : { stats }),
    ...freshnessOf(request, answer, ttl),
  };
};

const nameMember = (name: string): string => `{"exchange":"${name}"`;

/** The same answer under the name that was asked for: other bytes, hence another validator. */
const renamed = (entry: CacheEntry, { name, exchange }: ResolvedExchange): CacheEntry => {
  const own = nameMember(exchange);
  // A body that names another source (CoinMarketCap) keeps that name.
  if (entry.body.toString('latin1', 0, own.length) !== own) return entry;
  const body = Buffer.concat([Buffer.from(nameMember(name)), entry.body.subarray(own.length)]);
  return { ...entry, body, etag: etagOf(body) };
};

/** A ticker with the venue's last 24 hours as its last member: other bytes, hence another validator. */
const withStats = (entry: CacheEntry): CacheEntry => {
  const { body, stats = NO_STATS } = entry;
  const rest = Buffer.from(`,"stats":${JSON.stringify(stats)}}`);
  const longer = Buffer.concat([body.subarray(0, body.length - 1), rest]);
  return { ...entry, body: longer, etag: etagOf(longer) };
};

interface Serving {
  readonly cache: CacheState;
  /** The instant of serving, which decides whether an open candle has closed meanwhile. */
  readonly at: Millis;
  /** Of a ticker: with the venue's last 24 hours. */
  readonly stats?: boolean | undefined;
}

export interface ServedAnswers {
  /** Candles of which none can be shown: they were all open, and their period has ended since. */
  isSpent(entry: CacheEntry, at: Millis): boolean;
  serve(entry: CacheEntry, as: ResolvedExchange, how: Serving): ServedAnswer;
}

/**
 * Remembers, for as long as an entry lives, what was made of it: its HIT answer, its body under an alias, its body without
 * the candle that has closed, and its body with the last 24 hours.
 */
export const createServedAnswers = (): ServedAnswers => {
  const hits = new WeakMap<CacheEntry, ServedAnswer>();
  const aliases = new WeakMap<CacheEntry, Map<string, CacheEntry>>();
  const settled = new WeakMap<CacheEntry, Settled>();
  const longer = new WeakMap<CacheEntry, CacheEntry>();

  const settle = (entry: CacheEntry, at: Millis): Settled => {
    if (entry.closesAt === null || at < entry.closesAt) return { entry, isSpent: false };
    const known = settled.get(entry) ?? withoutOpenCandles(entry);
    settled.set(entry, known);
    return known;
  };
  const rename = (entry: CacheEntry, as: ResolvedExchange): CacheEntry => {
    if (as.name === as.exchange) return entry;
    const names = aliases.get(entry) ?? new Map<string, CacheEntry>();
    const known = names.get(as.name) ?? renamed(entry, as);
    names.set(as.name, known);
    aliases.set(entry, names);
    return known;
  };

  const lengthen = (entry: CacheEntry): CacheEntry => {
    const known = longer.get(entry) ?? withStats(entry);
    longer.set(entry, known);
    return known;
  };

  return {
    isSpent: (entry, at) => settle(entry, at).isSpent,
    serve(entry, as, { cache, at, stats: isWanted = false }) {
      const named = rename(settle(entry, at).entry, as);
      const shown = isWanted ? lengthen(named) : named;
      const remembered = cache === 'HIT' ? hits.get(shown) : undefined;
      if (remembered !== undefined) return remembered;
      const { body, etag, receivedAt, freshUntil, source, untimed, stats } = shown;
      const answer = { body, etag, cache, receivedAt, freshUntil, source, untimed, stats };
      if (cache === 'HIT') hits.set(shown, answer);
      return answer;
    },
  };
};

/** Members are checked here and kept as they came: the first one, the exchange's name, has to stay the first. */
const candleList = z.looseObject({ candles: z.array(z.looseObject({ closed: z.boolean() })) });

interface Settled {
  readonly entry: CacheEntry;
  /** Nothing but open candles was in it. */
  readonly isSpent: boolean;
}

/**
 * An OHLCV answer that outlived its open candle: the candle is left out, since its last state before the close is not
 * known. The entry itself where no candle is open. Costs a parse of the body.
 */
const withoutOpenCandles = (entry: CacheEntry): Settled => {
  const parsed: unknown = JSON.parse(entry.body.toString());
  const answer = candleList.parse(parsed);
  const candles = answer.candles.filter(({ closed }) => closed);
  if (candles.length === answer.candles.length) return { entry, isSpent: false };
  const body = Buffer.from(JSON.stringify({ ...Object(parsed), candles }));
  const rest = { ...entry, body, etag: etagOf(body), closesAt: null };
  return { entry: rest, isSpent: candles.length === 0 };
};

/** Bodies kept: one per symbol that is streamed and asked for over REST at the same time. */
const MAX_BODIES = 2_000;

const bodyOf = (exchange: ExchangeId, tick: LiveTicker): Buffer => {
  const { symbol, bid, ask, last, timestamp } = tick;
  const head = JSON.stringify({ exchange, symbol, bid, ask, last, timestamp });
  return Buffer.from(`${head.slice(0, -1)},"raw":${tick.rawJson}}`);
};

export interface LiveAnswers {
  /** The tick as an entry; the same object for as long as it is the same tick. Not to be cached further. */
  of(exchange: ExchangeId, tick: LiveTicker): CacheEntry;
}

/** REST answers made of a running stream's last tick. `sandbox`: the venues are simulated, which the Data-Source says. */
export const createLiveAnswers = (sandbox: boolean): LiveAnswers => {
  const made = new LRUCache<string, { readonly tick: LiveTicker; readonly entry: CacheEntry }>({
    max: MAX_BODIES,
  });
  const sameTick = (a: LiveTicker, b: LiveTicker): boolean =>
    a === b || (a.receivedAt === b.receivedAt && a.timestamp === b.timestamp && a.rawJson === b.rawJson);
  return {
    of(exchange, tick) {
      const key = `${exchange} ${tick.symbol}`;
      const known = made.get(key);
      if (known !== undefined && sameTick(known.tick, tick)) return known.entry;
      const body = bodyOf(exchange, tick);
      const { receivedAt } = tick;
      const source = venueSource(exchange, 'websocket', sandbox);
      // The next tick may come at any moment: fresh for no time at all.
      const times = { receivedAt, freshUntil: receivedAt, staleUntil: receivedAt, closesAt: null };
      const entry = { body, etag: etagOf(body), source, ...times, stats: tick.stats };
      made.set(key, { tick, entry });
      return entry;
    },
  };
};

/** Answers by kind and X-Cache, those that CoinMarketCap gave, and failures; since the start. */
export interface AnswerCounts {
  readonly answers: Readonly<Record<MarketKind, Readonly<Record<CacheState, number>>>>;
  readonly fallbacks: number;
  readonly failures: number;
}

export interface AnswerCounter {
  answered(kind: MarketKind, cache: CacheState): void;
  /** CoinMarketCap stood in. */
  stoodIn(): void;
  failed(): void;
  counts(): AnswerCounts;
}

const zeroes = (): Record<CacheState, number> => ({ HIT: 0, MISS: 0, STALE: 0, LIVE: 0, STORE: 0 });

export const createAnswerCounter = (): AnswerCounter => {
  const answers = { ticker: zeroes(), ohlcv: zeroes(), orderbook: zeroes(), trades: zeroes() };
  let fallbacks = 0;
  let failures = 0;
  return {
    answered: (kind, cache) => {
      answers[kind][cache] += 1;
    },
    stoodIn: () => {
      fallbacks += 1;
    },
    failed: () => {
      failures += 1;
    },
    counts: () => ({ answers, fallbacks, failures }),
  };
};
