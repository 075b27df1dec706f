// Assets as CoinMarketCap knows them: by id, since tickers are not unique.
import { type Market } from '../listings.js';
import { type MarketTruth } from '../market.js';
import { EXCHANGES } from '../listings.js';

export interface CmcAsset {
  readonly id: number;
  readonly symbol: string;
  readonly name: string;
  readonly slug: string;
  readonly rank: number;
  /** A market of the same asset; its price tree is the price. */
  readonly market: Market;
  /** Price as a multiple of the tree's: an impostor's is a tiny fraction. */
  readonly factor: number;
}

/** Ids of coinmarketcap.com. */
const KNOWN: Readonly<Record<string, readonly [id: number, name: string]>> = {
  BTC: [1, 'Bitcoin'],
  LTC: [2, 'Litecoin'],
  XRP: [52, 'XRP'],
  DOGE: [74, 'Dogecoin'],
  ETH: [1027, 'Ethereum'],
  BNB: [1839, 'BNB'],
  ADA: [2010, 'Cardano'],
  SOL: [5426, 'Solana'],
  MUSE: [7805, 'Muse DAO'],
  LUNA: [20_314, 'Terra'],
  LUNC: [4172, 'Terra Classic'],
  VEN: [1567, 'VeChain (old)'],
};
const FIRST_SYNTHETIC_ID = 100_000;

/** Tickers that a second, far smaller asset carries too, with its id. */
const IMPOSTOR_IDS: Readonly<Record<string, number>> = { SOL: 16_116, BTC: 31_469 };
const IMPOSTOR_FACTOR = 1e-5;

export function listCmcAssets(truth: MarketTruth): CmcAsset[] {
  const bases = new Map<string, Market>();
  for (const venue of EXCHANGES) {
    for (const market of truth.markets(venue)) {
      if (market.quote !== 'BTC' && !bases.has(market.base)) bases.set(market.base, market);
    }
  }
  const real = [...bases].map(([symbol, market], index): CmcAsset => {
    const [id, name] = KNOWN[symbol] ?? [FIRST_SYNTHETIC_ID + index, symbol];
    return { id, symbol, name, slug: slug(name), rank: index + 1, market, factor: 1 };
  });
  const impostors = real.flatMap((asset): CmcAsset[] => {
    const id = IMPOSTOR_IDS[asset.symbol];
    if (id === undefined) return [];
    const name = `${asset.name} Inu`;
    return [{ ...asset, id, name, slug: slug(name), rank: asset.rank + 5_000, factor: IMPOSTOR_FACTOR }];
  });
  return [...real, ...impostors];
}

const slug = (name: string): string =>
  name
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/-$/, '');
