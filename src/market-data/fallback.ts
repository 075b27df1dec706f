/**
 * CoinMarketCap in a venue's place, and named so: a quote where the venue has no ticker to give, hourly and daily
 * candles where the plan has them. Never a substitute for a derivative, whose price is its venue's alone.
 */
import type { Candle, Gap } from '../schemas/market.js';
import type { Millis } from '../schemas/common.js';
import type { CacheEntry } from '../cache/cache-entry.js';
import { etagOf } from '../cache/etag.js';
import type { TieredCache } from '../cache/tiered-cache.js';
import type { CoinMarketCapClient, CoinMarketCapQuote } from '../coinmarketcap/coinmarketcap-api.js';
import type { OhlcvRequest } from '../exchanges/exchange-client.js';
import {
  addPeriods,
  nextPeriodStart,
  parseInterval,
  periodEnd,
  periodStart,
  type Interval,
} from '../lib/intervals.js';
import { COINMARKETCAP as NAME, coinMarketCapSource, type MarketQuery } from './market-data-api.js';
import { freshnessOf, type FreshnessSettings } from './freshness.js';

interface FallbackAnswer {
  readonly entry: CacheEntry;
  readonly cache: 'HIT' | 'MISS';
}

export interface Fallback {
  /** Whether CoinMarketCap can stand in for this query at all. */
  standsIn(query: MarketQuery): boolean;
  /** Its answer; rejects with CoinMarketCap's AppError. To be called where `standsIn` says so. */
  answer(query: MarketQuery, where: { key: string; deadline: Millis }): Promise<FallbackAnswer>;
}

export interface FallbackDeps {
  readonly coinMarketCap: CoinMarketCapClient;
  readonly cache: Pick<TieredCache, 'peek' | 'put'>;
  readonly ttl: FreshnessSettings;
  readonly sandbox: boolean;
  readonly now: () => Millis;
}

const currenciesOf = (symbol: string): { readonly base: string; readonly quote: string } => {
  const [base = '', quote = ''] = symbol.split('/');
  return { base, quote };
};

/** What of the asked-for range is missing before and between the candles. */
const gapsOf = (candles: readonly Candle[], interval: Interval, since: Millis | undefined): Gap[] => {
  const gaps: Gap[] = [];
  let expected = since === undefined ? undefined : nextPeriodStart(interval, since);
  for (const { timestamp } of candles) {
    if (expected !== undefined && timestamp > expected)
      gaps.push({ from: expected, to: timestamp, reason: 'not_available_from_exchange' });
    expected = addPeriods(interval, timestamp, 1);
  }
  return gaps;
};

export const createFallback = ({ coinMarketCap, cache, ttl, sandbox, now }: FallbackDeps): Fallback => {
  const source = coinMarketCapSource(sandbox);
  const tickers = new WeakMap<CoinMarketCapQuote, { readonly body: Buffer; readonly etag: string }>();

  const tickerOf = (quote: CoinMarketCapQuote, symbol: string): { body: Buffer; etag: string } => {
    const known = tickers.get(quote);
    if (known !== undefined) return known;
    const { last, timestamp, raw } = quote;
    const answer = { exchange: NAME, symbol, bid: null, ask: null, last, timestamp, raw };
    const body = Buffer.from(JSON.stringify(answer));
    const made = { body, etag: etagOf(body) };
    tickers.set(quote, made);
    return made;
  };

  const ticker = async (
    symbol: string,
    convert: string | undefined,
    deadline: Millis,
  ): Promise<FallbackAnswer> => {
    const { base, quote: own } = currenciesOf(symbol);
    const currency = convert ?? own;
    const askedAt = now();
    const quote = await coinMarketCap.quote({ base, convert: currency }, { deadline });
    // A price in another currency belongs to another symbol.
    const { body, etag } = tickerOf(quote, `${base}/${currency}`);
    const freshUntil = now() + ttl.tickerMs;
    const times = { receivedAt: quote.receivedAt, freshUntil, staleUntil: freshUntil, closesAt: null };
    return { entry: { body, etag, source, ...times }, cache: quote.receivedAt < askedAt ? 'HIT' : 'MISS' };
  };

  const ohlcv = async (
    request: OhlcvRequest,
    interval: Interval,
    { key, deadline }: { key: string; deadline: Millis },
  ): Promise<FallbackAnswer> => {
    const ownKey = `${key}:${NAME}`;
    const held = cache.peek(ownKey);
    if (held !== undefined && now() < held.freshUntil) return { entry: held, cache: 'HIT' };
    const { base, quote } = currenciesOf(request.symbol);
    const { symbol, since, limit } = request;
    const asked = { base, convert: quote, interval: interval.text, since, limit };
    const current = periodStart(interval, now());
    const { candles, receivedAt } = await coinMarketCap.candles(asked, { deadline });
    const gaps = gapsOf(candles, interval, since);
    const answer = { exchange: NAME, symbol, interval: interval.text, candles };
    const body = Buffer.from(JSON.stringify(gaps.length === 0 ? answer : { ...answer, gaps }));
    const open = candles.find(({ closed }) => !closed);
    // Where none is open, a range that goes on lacks the next one, which may be there from the end of the current period on.
    const goesOn = since === undefined || candles.length < limit;
    const last = open?.timestamp ?? (goesOn ? current : undefined);
    const closesAt = last === undefined ? null : periodEnd(interval, last);
    const times = { receivedAt, closesAt, ...freshnessOf(request, { receivedAt, closesAt }, ttl) };
    const entry = { body, etag: etagOf(body), source, ...times };
    cache.put(ownKey, entry);
    return { entry, cache: 'MISS' };
  };

  return {
    standsIn(query) {
      if (query.fallback === false || query.symbol.includes(':')) return false;
      if (query.kind === 'ticker') return true;
      // It has no range that ends before now.
      return (
        query.kind === 'ohlcv' && query.until === undefined && coinMarketCap.offersCandles(query.interval)
      );
    },
    answer(query, where) {
      const interval = query.kind === 'ohlcv' ? parseInterval(query.interval) : undefined;
      return query.kind === 'ohlcv' && interval !== undefined
        ? ohlcv(query, interval, where)
        : ticker(query.symbol, query.convert, where.deadline);
    },
  };
};
