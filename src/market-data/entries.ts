/** From a venue's answer to what is cached, and from what is cached to what one caller is served. */
import type { Millis } from '../schemas/common.js';
import type { CacheEntry } from '../cache/cache-entry.js';
import { etagOf } from '../cache/etag.js';
import type { MarketAnswer, MarketRequest } from '../exchanges/exchange-client.js';
import type { ResolvedExchange } from '../exchanges/exchange-names.js';
import type { CacheState, ServedAnswer } from './market-data-api.js';
import { freshnessOf, type FreshnessSettings } from './freshness.js';
import { withoutOpenCandles } from './open-candles.js';

/** A view of the worker's bytes: they were transferred to this thread and belong to nobody else. */
const asBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);

export const entryOf = (
  request: MarketRequest,
  answer: MarketAnswer,
  { source, ttl }: { readonly source: string; readonly ttl: FreshnessSettings },
): CacheEntry => {
  const body = asBuffer(answer.body);
  const { receivedAt, closesAt, untimed } = answer;
  return {
    body,
    etag: etagOf(body),
    receivedAt,
    closesAt,
    source,
    ...(untimed === undefined ? {} : { untimed }),
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

export interface Servery {
  /** `at`: the instant of serving, which decides whether an open candle has closed meanwhile. */
  serve(entry: CacheEntry, as: ResolvedExchange, how: { cache: CacheState; at: Millis }): ServedAnswer;
}

/**
 * Remembers, for as long as an entry lives, what was made of it: its HIT answer, its body under an alias, and its
 * body without the candle that has closed.
 */
export const createServery = (): Servery => {
  const hits = new WeakMap<CacheEntry, ServedAnswer>();
  const aliases = new WeakMap<CacheEntry, Map<string, CacheEntry>>();
  const settled = new WeakMap<CacheEntry, CacheEntry>();

  const settle = (entry: CacheEntry, at: Millis): CacheEntry => {
    if (entry.closesAt === null || at < entry.closesAt) return entry;
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

  return {
    serve(entry, as, { cache, at }) {
      const shown = rename(settle(entry, at), as);
      const remembered = cache === 'HIT' ? hits.get(shown) : undefined;
      if (remembered !== undefined) return remembered;
      const { body, etag, receivedAt, freshUntil, source, untimed } = shown;
      const answer = { body, etag, cache, receivedAt, freshUntil, source, untimed };
      if (cache === 'HIT') hits.set(shown, answer);
      return answer;
    },
  };
};
