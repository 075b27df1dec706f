/** Each venue's list of markets: kept, filtered, searched and handed out in pages; and symbols that callers write otherwise. */
import type { ExchangeId, UnifiedSymbol, Millis } from '../schemas/common.js';
import { AppError } from '../errors.js';
import { leastRecent } from '../cache/least-recent.js';
import { createSingleFlight } from '../lib/single-flight.js';
import type { Market, MarketsPage } from '../schemas/market.js';
import type { ExchangeClient } from '../exchanges/exchange-client.js';
import type { ResolvedExchange } from '../exchanges/exchange-names.js';
import type { MarketsFilter } from './market-data-api.js';

/**
 * What a text most likely means before a list of markets is there to say it: for CoinMarketCap, and for events of a
 * venue that can not be asked.
 */
export const likelySymbol = (text: string): UnifiedSymbol => {
  const [pair = '', ...settle] = text.trim().toUpperCase().split(':');
  return [pair.includes('/') ? pair : pair.replace(/[-_ ]/, '/'), ...settle].join(':');
};

const MAX_SPELLINGS = 10_000;

export interface Spellings {
  /** The symbol as the venue spells it, where that is known to differ; else as it came. */
  of(exchange: ExchangeId, symbol: string): string;
  learn(exchange: ExchangeId, symbol: string, spelling: UnifiedSymbol): void;
}

export const createSpellings = (): Spellings => {
  const known = leastRecent<UnifiedSymbol>(MAX_SPELLINGS);
  return {
    of: (exchange, symbol) => (known.size === 0 ? symbol : (known.get(`${exchange} ${symbol}`) ?? symbol)),
    learn: (exchange, symbol, spelling) => {
      known.set(`${exchange} ${symbol}`, spelling);
    },
  };
};

/** The venue's client refreshes its markets by itself; this is how often its list is fetched from there. */
const FRESH_MS = 60_000;
/** After a failed look, the copy in hand serves this long before the next. */
const RETRY_MS = 5_000;

interface Listing {
  readonly markets: readonly Market[];
  /** `markets[i].symbol`, its pair and its id in upper case, for searching. */
  readonly upper: readonly string[];
  readonly loadedAt: Millis;
  readonly nextLookAt: Millis;
  /** The `marketsLoadedAt` for which a newer copy was last fetched. */
  readonly triedFor: Millis | null;
}

export interface MarketDirectory {
  /**
   * One page, sorted by symbol. A venue that fails leaves its last good copy in service. Throws AppError
   * `invalid_request` for a foreign cursor, and the venue's error where its markets were never loaded.
   */
  page(
    exchange: ResolvedExchange,
    filter: Omit<MarketsFilter, 'exchange'>,
    signal?: AbortSignal,
  ): Promise<{ readonly page: MarketsPage; readonly loadedAt: Millis }>;
  /**
   * The symbol that a text most likely means, where the venue lists it and nothing as the text is written; else the
   * text, for the venue to judge. Makes no request for a list that is not loaded; never rejects.
   */
  spellingOf(exchange: ExchangeId, text: string, signal?: AbortSignal): Promise<UnifiedSymbol>;
  /** Whether the venue's list has exactly this symbol. Makes no request for a list that is not loaded; never rejects. */
  lists(exchange: ExchangeId, symbol: string): Promise<boolean>;
}

const CURSOR_VERSION = '1:';

/** Names the last symbol of a page; opaque, so that its form may change. */
export const cursorAfter = (symbol: string): string =>
  Buffer.from(CURSOR_VERSION + symbol).toString('base64url');

const decodeCursor = (cursor: string): string => {
  const bytes = Buffer.from(cursor, 'base64url');
  const text = bytes.toString();
  // Decoding is lenient: only what encodes back to the same text came from here.
  if (!text.startsWith(CURSOR_VERSION) || Buffer.from(text).toString('base64url') !== cursor)
    throw new AppError('invalid_request', 'The cursor is not one that this server gave.', {
      errors: [{ parameter: 'cursor', reason: 'must be the next_cursor of the page before' }],
    });
  return text.slice(CURSOR_VERSION.length);
};

const bySymbol = (a: Market, b: Market): number => (a.symbol < b.symbol ? -1 : a.symbol > b.symbol ? 1 : 0);

const sameText = (a: string, b: string): boolean => a.toUpperCase() === b.trim().toUpperCase();

/** Index of the first market after `symbol`; `markets` is sorted by code units. */
const firstAfter = (markets: readonly Market[], symbol: string): number => {
  let low = 0;
  let high = markets.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((markets[middle]?.symbol ?? '') > symbol) high = middle;
    else low = middle + 1;
  }
  return low;
};

export const createMarketDirectory = ({
  exchanges,
  requestTimeoutMs,
  now,
}: {
  readonly exchanges: Pick<ExchangeClient, 'markets' | 'health'>;
  readonly requestTimeoutMs: Millis;
  /** A monotonic clock. */
  readonly now: () => Millis;
}): MarketDirectory => {
  const listings = new Map<ExchangeId, Listing>();
  const flights = createSingleFlight<Listing>();

  /** When the venue last loaded its markets; known here a moment later. */
  const reloadedAt = (exchange: ExchangeId): Millis | null =>
    exchanges.health().find((state) => state.exchange === exchange)?.marketsLoadedAt ?? null;

  const load = async (exchange: ExchangeId, signal: AbortSignal): Promise<Listing> => {
    const deadline = now() + requestTimeoutMs;
    const triedFor = reloadedAt(exchange);
    // Without a client: the list serves all, and must not queue behind what else its first caller wants.
    const { markets, loadedAt } = await exchanges.markets(exchange, { deadline, signal, priority: 'caller' });
    const sorted = markets.toSorted(bySymbol);
    const upper = sorted.map(({ symbol, id, base, quote }) =>
      `${symbol} ${base}/${quote} ${id}`.toUpperCase(),
    );
    const listing = { markets: sorted, upper, loadedAt, nextLookAt: now() + FRESH_MS, triedFor };
    listings.set(exchange, listing);
    return listing;
  };
  const fly = (exchange: ExchangeId, signal?: AbortSignal): Promise<Listing> =>
    flights.run(exchange, (shared) => load(exchange, shared), signal);

  /** The venue's markets were loaded again since: a new one may be among them, a halted one says so. */
  const wasReloaded = (exchange: ExchangeId, { loadedAt, triedFor }: Listing): boolean => {
    const latest = reloadedAt(exchange);
    return latest !== null && latest !== loadedAt && latest !== triedFor;
  };

  /** A copy in hand is always good enough to answer with; its age is stated. */
  const listingOf = async (exchange: ExchangeId, signal?: AbortSignal): Promise<Listing> => {
    const held = listings.get(exchange);
    if (held === undefined) return fly(exchange, signal);
    if (now() >= held.nextLookAt || wasReloaded(exchange, held)) {
      const triedFor = reloadedAt(exchange);
      const reloaded = wasReloaded(exchange, held);
      listings.set(exchange, { ...held, nextLookAt: now() + RETRY_MS, triedFor });
      const newer = fly(exchange);
      // A reload that is known of is waited for; a look that may find nothing new is not.
      if (reloaded) return newer.catch(() => held);
      newer.catch(() => undefined);
    }
    return held;
  };

  const lists = ({ markets }: Listing, symbol: string): boolean =>
    markets[firstAfter(markets, symbol) - 1]?.symbol === symbol;

  return {
    async spellingOf(exchange, text, signal) {
      const likely = likelySymbol(text);
      if (likely === text || reloadedAt(exchange) === null) return text;
      const listing = await listingOf(exchange, signal).catch(() => undefined);
      return listing !== undefined && !lists(listing, text) && lists(listing, likely) ? likely : text;
    },
    async lists(exchange, symbol) {
      if (reloadedAt(exchange) === null) return false;
      const listing = await listingOf(exchange).catch(() => undefined);
      return listing !== undefined && lists(listing, symbol);
    },
    async page({ name, exchange }, { base, quote, search, limit, cursor }, signal) {
      const after = cursor === undefined ? undefined : decodeCursor(cursor);
      const { markets, upper, loadedAt } = await listingOf(exchange, signal);
      const wanted = search?.toUpperCase();
      const found: Market[] = [];
      let more = false;
      for (let i = after === undefined ? 0 : firstAfter(markets, after); i < markets.length; i++) {
        const market = markets[i];
        if (market === undefined) break;
        if (base !== undefined && !sameText(market.base, base)) continue;
        if (quote !== undefined && !sameText(market.quote, quote)) continue;
        if (wanted !== undefined && upper[i]?.includes(wanted) !== true) continue;
        more = found.length === limit;
        if (more) break;
        found.push(market);
      }
      const last = found.at(-1);
      const next_cursor = more && last !== undefined ? cursorAfter(last.symbol) : null;
      return { page: { exchange: name, markets: found, next_cursor }, loadedAt };
    },
  };
};
