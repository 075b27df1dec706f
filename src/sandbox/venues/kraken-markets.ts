// Kraken's names and its AssetPairs and Assets answers.
// https://docs.kraken.com/api/docs/rest-api/get-tradable-asset-pairs and .../get-asset-info
import { toDecimal } from '../format.js';
import { type Market } from '../listings.js';

/** Kraken's LUNA is Terra Classic, which others call LUNC; its LUNA2 is their LUNA. */
const OTHER_NAMES: Readonly<Record<string, string>> = { LUNA: 'LUNA2', LUNC: 'LUNA' };
/** Kraken's own codes: XBT for BTC, XDG for DOGE; old assets carry an X (coin) or Z (currency) in front. */
const CODES: Readonly<Record<string, string>> = { BTC: 'XBT', DOGE: 'XDG', ...OTHER_NAMES };
const LEGACY: Readonly<Record<string, string>> = {
  BTC: 'XXBT',
  ETH: 'XETH',
  LTC: 'XLTC',
  XRP: 'XXRP',
  DOGE: 'XXDG',
  USD: 'ZUSD',
  EUR: 'ZEUR',
};
/** Pairs of two legacy assets keep the long names; DOGE is the exception (XDGUSD). */
const SHORT_PAIR_BASES = new Set(['DOGE']);

const code = (asset: string): string => CODES[asset] ?? asset;
const assetId = (asset: string): string => LEGACY[asset] ?? code(asset);

/** `XBTUSD`: the name most callers use. */
export const krakenAltName = (market: Market): string => `${code(market.base)}${code(market.quote)}`;

/** `BTC/USD`, `LUNA2/USD`: the name in WebSocket v2, which writes BTC and DOGE where `wsname` has XBT and XDG. */
export const krakenFeedSymbol = (market: Market): string =>
  `${OTHER_NAMES[market.base] ?? market.base}/${market.quote}`;

/** `XXBTZUSD`: the name in answers. */
export function krakenId(market: Market): string {
  const legacy = LEGACY[market.base] !== undefined && LEGACY[market.quote] !== undefined;
  if (!legacy || SHORT_PAIR_BASES.has(market.base)) return krakenAltName(market);
  return `${assetId(market.base)}${assetId(market.quote)}`;
}

const FEES = [
  [0, 0.4],
  [10_000, 0.35],
  [50_000, 0.24],
  [100_000, 0.22],
  [250_000, 0.2],
  [500_000, 0.18],
  [1_000_000, 0.16],
  [2_500_000, 0.14],
  [5_000_000, 0.12],
  [10_000_000, 0.1],
];
const FEES_MAKER = FEES.map(([volume = 0, fee = 0]) => [volume, Math.round((fee - 0.1) * 100) / 100]);

const assetPair = (market: Market) => ({
  altname: krakenAltName(market),
  wsname: `${code(market.base)}/${code(market.quote)}`,
  aclass_base: 'currency',
  base: assetId(market.base),
  aclass_quote: 'currency',
  quote: assetId(market.quote),
  lot: 'unit',
  cost_decimals: 5,
  pair_decimals: market.priceDecimals,
  lot_decimals: 8,
  lot_multiplier: 1,
  leverage_buy: [2, 3, 4, 5],
  leverage_sell: [2, 3, 4, 5],
  fees: FEES,
  fees_maker: FEES_MAKER,
  fee_volume_currency: 'ZUSD',
  margin_call: 80,
  margin_stop: 40,
  ordermin: toDecimal(10, market.lotDecimals),
  costmin: '0.5',
  tick_size: toDecimal(1, market.priceDecimals),
  status: market.active ? 'online' : 'cancel_only',
  long_position_limit: 300,
  short_position_limit: 240,
  execution_venue: 'international',
});

export const krakenAssetPairs = (markets: readonly Market[]) =>
  Object.fromEntries(markets.map((market) => [krakenId(market), assetPair(market)]));

export function krakenAssets(markets: readonly Market[]) {
  const names = new Set(markets.flatMap((market) => [market.base, market.quote]));
  return Object.fromEntries(
    [...names].map((name) => [
      assetId(name),
      {
        aclass: 'currency',
        altname: code(name),
        decimals: 10,
        display_decimals: 5,
        collateral_value: 1,
        status: 'enabled',
        margin_rate: 0.02,
      },
    ]),
  );
}
