/** Markets that a chart's search finds, the likeliest first. */
import { AppError } from '../../errors.js';
import type { Market } from '../../schemas/market.js';
import type { UdfSearchQuery } from '../../schemas/udf.js';
import type { UdfCaller, UdfDeps } from './caller.js';
import { udfExchange } from './names.js';
import { searchResult } from './symbol-info.js';

/** Markets of one exchange that a search looks at: all that hold the text, of any exchange there is. */
const SEARCHED = 1000;
const MAX_RESULTS = 100;

/** Quote currencies by how much is traded in them; a market in another comes after these. */
const QUOTES = ['USDT', 'USD', 'USDC', 'FDUSD', 'EUR', 'BTC', 'ETH', 'GBP', 'JPY', 'KRW'];
/** Whoever types a pair means the market itself; derivatives are found by their longer symbols. */
const TYPES = ['spot', 'swap', 'future'];

const placeIn = (list: readonly string[], value: string): number => {
  const at = list.indexOf(value);
  return at < 0 ? list.length : at;
};

const bare = (text: string): string => text.replaceAll(/[^\p{L}\p{N}]/gu, '').toUpperCase();

/** What was typed: the whole symbol, the base currency, its beginning, something within. */
const matchOf = ({ symbol, base }: Market, query: string): number => {
  const name = symbol.toUpperCase();
  if (name === query) return 0;
  // BTCUSDT and BTC-USDT.
  if (query !== '' && bare(name) === bare(query)) return 1;
  if (base.toUpperCase() === query) return 2;
  return name.startsWith(query) ? 3 : 4;
};

/** Compared from the front; smaller comes first. */
const rankOf = (market: Market, query: string): readonly number[] => [
  market.active === false ? 1 : 0,
  matchOf(market, query),
  placeIn(TYPES, market.type),
  placeIn(QUOTES, market.quote.toUpperCase()),
];

const compare = (one: readonly number[], other: readonly number[]): number => {
  for (const [at, value] of one.entries()) {
    const difference = value - (other[at] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
};

/** Markets of all enabled exchanges, or of one, `query` trimmed and in upper case; what ranks alike stays in their order. */
export const rankMarkets = <T extends { readonly market: Market }>(found: readonly T[], query: string): T[] =>
  found
    .map((named) => ({ named, rank: rankOf(named.market, query) }))
    .sort((a, b) => compare(a.rank, b.rank))
    .map(({ named }) => named);

/** One exchange that fails is left out; where all do, the first fault is thrown. */
export const searchMarkets = async (
  { marketData, enabled, sandbox }: UdfDeps,
  { query, exchange, type, limit }: UdfSearchQuery,
  { requireExchange, signal }: UdfCaller,
): Promise<object> => {
  const wanted = query.trim().toUpperCase();
  const entries = await marketData.exchanges();
  const asked = entries.filter(({ id }) => exchange === '' || udfExchange(id) === udfExchange(exchange));
  if (asked.length === 0) marketData.resolveExchange(exchange.toLowerCase());
  if (type !== '' && type !== 'crypto') return [];
  const pages = await Promise.allSettled(
    asked
      .filter(({ id }) => enabled.includes(id))
      .map(async (entry) => {
        requireExchange(marketData.resolveExchange(entry.id).exchange);
        const filter = {
          exchange: entry.id,
          limit: SEARCHED,
          ...(wanted === '' ? {} : { search: wanted }),
        };
        const { page } = await marketData.markets(filter, signal);
        return page.markets.map((market) => ({ exchange: entry, market, sandbox }));
      }),
  );
  const failed = pages.find((each) => each.status === 'rejected');
  if (failed !== undefined && pages.every(({ status }) => status === 'rejected'))
    throw AppError.from(failed.reason);
  const found = pages.flatMap((each) => (each.status === 'fulfilled' ? each.value : []));
  return rankMarkets(found, wanted).slice(0, Math.min(limit, MAX_RESULTS)).map(searchResult);
};
