// CoinMarketCap's records of assets with their quotes.
// https://coinmarketcap.com/api/documentation/v1/#operation/getV2CryptocurrencyQuotesLatest
import { MINUTE, type Millis } from '../intervals.js';
import { quoteValue } from '../listings.js';
import { slotOf } from '../market-data.js';
import { type CmcAsset } from './coinmarketcap-assets.js';

/** Ids of the currencies that prices can be converted to. */
export const CONVERSION_IDS: Readonly<Record<string, number>> = {
  USD: 2781,
  EUR: 2790,
  USDT: 825,
  USDC: 3408,
  BTC: 1,
};

export interface CmcPrice {
  readonly price: number;
  readonly updatedAt: Millis;
}

/** What CoinMarketCap last published: it does so once a minute. */
export function cmcPrice(asset: CmcAsset, convert: string, now: Millis): CmcPrice {
  const updatedAt = Math.floor(now / MINUTE) * MINUTE;
  const reference = asset.market.tree.slot(slotOf(updatedAt)).price * asset.factor;
  return { price: reference / quoteValue(convert), updatedAt };
}

function quote(asset: CmcAsset, convert: string, now: Millis) {
  const { price, updatedAt } = cmcPrice(asset, convert, now);
  const yesterday = cmcPrice(asset, convert, now - 24 * 60 * MINUTE).price;
  return {
    price,
    volume_24h: price * 1_000_000 * asset.factor,
    volume_change_24h: 1.5,
    percent_change_1h: 0,
    percent_change_24h: ((price - yesterday) / yesterday) * 100,
    percent_change_7d: 0,
    market_cap: price * 19_000_000,
    market_cap_dominance: 0,
    fully_diluted_market_cap: price * 21_000_000,
    tvl: null,
    last_updated: new Date(updatedAt).toISOString(),
  };
}

export type Version = 'v1' | 'v2' | 'v3';

export function record(asset: CmcAsset, converts: readonly string[], at: { version: Version; now: Millis }) {
  const { version, now } = at;
  const quotes =
    version === 'v3'
      ? converts.map((name) => ({ id: CONVERSION_IDS[name], symbol: name, ...quote(asset, name, now) }))
      : Object.fromEntries(converts.map((name) => [name, quote(asset, name, now)]));
  return {
    id: asset.id,
    name: asset.name,
    symbol: asset.symbol,
    slug: asset.slug,
    num_market_pairs: 100,
    date_added: new Date(asset.market.listedAt).toISOString(),
    tags: [],
    max_supply: 21_000_000,
    circulating_supply: 19_000_000,
    total_supply: 19_000_000,
    is_active: 1,
    infinite_supply: false,
    platform: null,
    cmc_rank: asset.rank,
    is_fiat: 0,
    last_updated: new Date(Math.floor(now / MINUTE) * MINUTE).toISOString(),
    quote: quotes,
  };
}
