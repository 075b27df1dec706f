// Binance's rows and objects, made from the market's candles, tickers and trades.
// https://developers.binance.com/docs/binance-spot-api-docs/rest-api/market-data-endpoints
import { toDecimal } from '../format.js';
import { itemAt } from '../item-at.js';
import { type Market } from '../listings.js';
import { type RawCandle, type RawTicker, type RawTrade } from '../market-data.js';
import { QUANTITY_DECIMALS, type Level } from '../order-book.js';
import { binanceId } from './binance-markets.js';

/** Prices and amounts have eight decimals on Binance's wire. */
export const binancePrice = (market: Market, ticks: number): string =>
  toDecimal(ticks, market.priceDecimals, 8);
export const binanceAmount = (market: Market, lots: number): string => toDecimal(lots, market.lotDecimals, 8);
export const binanceLevel = (market: Market, [price, quantity]: Level): [string, string] => [
  binancePrice(market, price),
  toDecimal(quantity, QUANTITY_DECIMALS, 8),
];
/** The average of a candle's four prices times its volume: the sandbox keeps no turnover of its own. */
export const turnover = (market: Market, candle: RawCandle): string => {
  const average = (candle.open + candle.high + candle.low + candle.close) / 4;
  return ((average / 10 ** market.priceDecimals) * (candle.lots / 10 ** market.lotDecimals)).toFixed(8);
};

/** 24 h statistics as in GET /api/v3/ticker/24hr. */
export function ticker24h(market: Market, raw: RawTicker) {
  const price = (ticks: number): string => binancePrice(market, ticks);
  const change = raw.trade.price - raw.open;
  return {
    symbol: binanceId(market),
    priceChange: price(change),
    priceChangePercent: ((change / raw.open) * 100).toFixed(3),
    weightedAvgPrice: price(Math.round((raw.open + raw.high + raw.low + raw.close) / 4)),
    prevClosePrice: price(raw.open),
    lastPrice: price(raw.trade.price),
    lastQty: binanceAmount(market, raw.trade.lots),
    bidPrice: binanceLevel(market, raw.bid)[0],
    bidQty: binanceLevel(market, raw.bid)[1],
    askPrice: binanceLevel(market, raw.ask)[0],
    askQty: binanceLevel(market, raw.ask)[1],
    openPrice: price(raw.open),
    highPrice: price(raw.high),
    lowPrice: price(raw.low),
    volume: binanceAmount(market, raw.lots),
    quoteVolume: turnover(market, raw),
    openTime: raw.start,
    closeTime: raw.time,
    firstId: raw.trade.id - raw.trades + 1,
    lastId: raw.trade.id,
    count: raw.trades,
  };
}

/** The twelve fields of a kline. */
export function klineRow(market: Market, candle: RawCandle): unknown[] {
  const half = { ...candle, lots: Math.floor(candle.lots / 2) };
  return [
    candle.start,
    binancePrice(market, candle.open),
    binancePrice(market, candle.high),
    binancePrice(market, candle.low),
    binancePrice(market, candle.close),
    binanceAmount(market, candle.lots),
    candle.end - 1,
    turnover(market, candle),
    candle.trades,
    binanceAmount(market, half.lots),
    turnover(market, half),
    '0',
  ];
}

interface Fill {
  readonly id: number;
  readonly lots: number;
}

/**
 * The fills that Binance joins in one aggregate trade. They are numbered in an id space of their own, so that an
 * aggregate's `a` never equals the `t` of its fills; every third aggregate consists of two.
 */
export const fillsOf = ({ id, lots }: RawTrade): readonly Fill[] => {
  const first = { id: 2 * id, lots: Math.ceil(lots / 2) };
  if (id % 3 !== 0 || lots < 2) return [{ id: first.id, lots }];
  return [first, { id: first.id + 1, lots: lots - first.lots }];
};

const fillIds = (trade: RawTrade): { readonly f: number; readonly l: number } => {
  const fills = fillsOf(trade);
  return { f: itemAt(fills, 0).id, l: itemAt(fills, fills.length - 1).id };
};

export const aggTrade = (market: Market, trade: RawTrade) => ({
  a: trade.id,
  p: binancePrice(market, trade.price),
  q: binanceAmount(market, trade.lots),
  ...fillIds(trade),
  T: trade.time,
  m: trade.side === 'sell',
  M: true,
});

/** One row a fill, oldest first. */
export const fillRows = (market: Market, trade: RawTrade) =>
  fillsOf(trade).map(({ id, lots }) => ({
    id,
    price: binancePrice(market, trade.price),
    qty: binanceAmount(market, lots),
    quoteQty: ((trade.price / 10 ** market.priceDecimals) * (lots / 10 ** market.lotDecimals)).toFixed(8),
    time: trade.time,
    isBuyerMaker: trade.side === 'sell',
    isBestMatch: true,
  }));
