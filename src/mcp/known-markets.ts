/** Resources of well-known markets, listed by name for clients that list resources before they read one. */
import type { ListResourcesResult } from '@modelcontextprotocol/server';
import { settleWithin } from '../lib/deadline.js';
import { AppError } from '../errors.js';
import type { MarketData } from '../market-data/market-data-api.js';

/** Exchanges that are considered, and bases that are listed of each. */
const MAX_EXCHANGES = 5;
const BASES = ['BTC', 'ETH'];
/** The first of these against which an exchange trades a base is listed. */
const QUOTES = ['USDT', 'USD', 'USDC', 'EUR'];
/** Markets of one base that are considered. */
const LIMIT = 1000;
/** An exchange whose markets are not known by then is left out: a list must not wait for a venue. */
const WAIT_MS = 2_500;

type Directory = Pick<MarketData, 'markets' | 'exchanges'>;

const symbolsOf = async (marketData: Directory, exchange: string): Promise<string[]> => {
  const bestOf = async (base: string): Promise<string[]> => {
    const { page } = await marketData.markets({ exchange, base, limit: LIMIT });
    const spot = new Set(page.markets.filter(({ type }) => type === 'spot').map(({ symbol }) => symbol));
    const best = QUOTES.map((quote) => `${base}/${quote}`).find((symbol) => spot.has(symbol));
    return best === undefined ? [] : [best];
  };
  return (await Promise.all(BASES.map(bestOf))).flat();
};

/** Never rejects. */
export const listKnownMarkets = async ({
  marketData,
}: {
  readonly marketData: Directory;
}): Promise<ListResourcesResult> => {
  const entries = await marketData.exchanges().catch(() => []);
  const giveUp = (): AppError => new AppError('upstream_timeout', 'The markets did not come in time.');
  const listed = await Promise.all(
    entries.slice(0, MAX_EXCHANGES).map(async ({ id, name }) => {
      const symbols = await settleWithin(symbolsOf(marketData, id), { ms: WAIT_MS, giveUp }).catch(() => []);
      return symbols.map((symbol) => ({
        uri: `market://${id}/${encodeURIComponent(symbol)}/ticker`,
        name: `${symbol} on ${id}`,
        description: `Bid, ask and last price of ${symbol} on ${name}`,
        mimeType: 'application/json',
      }));
    }),
  );
  return { resources: listed.flat() };
};
