// Binance's exchangeInfo.
// https://developers.binance.com/docs/binance-spot-api-docs/rest-api/general-endpoints#exchange-information
import { toDecimal } from '../format.js';
import { type Market } from '../listings.js';

/** Real symbols carry the names of some 150 trading groups, most of the body's 3 kB a symbol. */
const PERMISSION_SETS = [
  ['SPOT', 'MARGIN', ...Array.from({ length: 150 }, (_, i) => `TRD_GRP_${String(i + 4).padStart(3, '0')}`)],
];
const ORDER_TYPES = [
  'LIMIT',
  'LIMIT_MAKER',
  'MARKET',
  'STOP_LOSS',
  'STOP_LOSS_LIMIT',
  'TAKE_PROFIT',
  'TAKE_PROFIT_LIMIT',
];

export const binanceId = (market: Market): string => `${market.base}${market.quote}`;

const step = (decimals: number): string => toDecimal(1, decimals, 8);

const exchangeSymbol = (market: Market) => ({
  symbol: binanceId(market),
  status: market.active ? 'TRADING' : 'BREAK',
  baseAsset: market.base,
  baseAssetPrecision: 8,
  quoteAsset: market.quote,
  quotePrecision: 8,
  quoteAssetPrecision: 8,
  baseCommissionPrecision: 8,
  quoteCommissionPrecision: 8,
  orderTypes: ORDER_TYPES,
  icebergAllowed: true,
  ocoAllowed: true,
  otoAllowed: true,
  quoteOrderQtyMarketAllowed: true,
  allowTrailingStop: true,
  cancelReplaceAllowed: true,
  amendAllowed: true,
  isSpotTradingAllowed: true,
  isMarginTradingAllowed: true,
  filters: [
    {
      filterType: 'PRICE_FILTER',
      minPrice: step(market.priceDecimals),
      maxPrice: '1000000.00000000',
      tickSize: step(market.priceDecimals),
    },
    {
      filterType: 'LOT_SIZE',
      minQty: step(market.lotDecimals),
      maxQty: '9000000.00000000',
      stepSize: step(market.lotDecimals),
    },
    { filterType: 'ICEBERG_PARTS', limit: 10 },
    { filterType: 'MARKET_LOT_SIZE', minQty: '0.00000000', maxQty: '118.74469375', stepSize: '0.00000000' },
    {
      filterType: 'TRAILING_DELTA',
      minTrailingAboveDelta: 10,
      maxTrailingAboveDelta: 2000,
      minTrailingBelowDelta: 10,
      maxTrailingBelowDelta: 2000,
    },
    {
      filterType: 'PERCENT_PRICE_BY_SIDE',
      bidMultiplierUp: '5',
      bidMultiplierDown: '0.2',
      askMultiplierUp: '5',
      askMultiplierDown: '0.2',
      avgPriceMins: 5,
    },
    {
      filterType: 'NOTIONAL',
      minNotional: '5.00000000',
      applyMinToMarket: true,
      maxNotional: '9000000.00000000',
      applyMaxToMarket: false,
      avgPriceMins: 5,
    },
    { filterType: 'MAX_NUM_ORDERS', maxNumOrders: 200 },
    { filterType: 'MAX_NUM_ALGO_ORDERS', maxNumAlgoOrders: 5 },
  ],
  permissions: [],
  permissionSets: PERMISSION_SETS,
  defaultSelfTradePreventionMode: 'EXPIRE_MAKER',
  allowedSelfTradePreventionModes: ['EXPIRE_TAKER', 'EXPIRE_MAKER', 'EXPIRE_BOTH', 'DECREMENT'],
});

/** The `symbols` of exchangeInfo as JSON text. */
export const binanceSymbols = (markets: readonly Market[]): string =>
  JSON.stringify(markets.map(exchangeSymbol));

export const binanceRateLimits = (weightLimit: number) => [
  { rateLimitType: 'REQUEST_WEIGHT', interval: 'MINUTE', intervalNum: 1, limit: weightLimit },
  { rateLimitType: 'ORDERS', interval: 'SECOND', intervalNum: 10, limit: 100 },
  { rateLimitType: 'ORDERS', interval: 'DAY', intervalNum: 1, limit: 200_000 },
  { rateLimitType: 'RAW_REQUESTS', interval: 'MINUTE', intervalNum: 5, limit: 61_000 },
];
