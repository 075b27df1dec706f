// The truth of the simulated market as numbers: pure functions of (seed, venue, symbol, time). Tests compare with these,
// field by field, what a client received.
import { toNumber } from './format.js';
import { parseInterval, type Millis } from './intervals.js';
import { listMarkets, type ExchangeId, type ListingOptions, type Market } from './listings.js';
import { rawCandles, rawTicker, rawTrades, slotOf } from './market-data.js';
import { bookAt, QUANTITY_DECIMALS, type Level } from './order-book.js';
import { SLOT } from './price-path.js';

interface Candle {
  readonly timestamp: Millis;
  readonly open: number;
  readonly high: number;
  readonly low: number;
  readonly close: number;
  readonly volume: number;
  readonly closed: boolean;
}

interface Trade {
  readonly id: string;
  readonly timestamp: Millis;
  readonly price: number;
  readonly amount: number;
  readonly side: 'buy' | 'sell';
}

interface Ticker {
  readonly timestamp: Millis;
  readonly bid: number;
  readonly bidSize: number;
  readonly ask: number;
  readonly askSize: number;
  readonly last: number;
  readonly open: number;
  readonly high: number;
  readonly low: number;
  readonly volume: number;
  readonly tradeId: string;
}

interface Book {
  readonly bids: readonly (readonly [price: number, amount: number])[];
  readonly asks: readonly (readonly [price: number, amount: number])[];
}

/** The simulated market as numbers, for comparison with what a client received. */
export interface MarketTruth {
  readonly markets: (venue: ExchangeId) => readonly Market[];
  /** Undefined for a symbol the venue does not list. */
  readonly find: (venue: ExchangeId, symbol: string) => Market | undefined;
  readonly ticker: (venue: ExchangeId, symbol: string, time: Millis) => Ticker;
  readonly candles: (venue: ExchangeId, symbol: string, range: TruthRange) => Candle[];
  readonly book: (venue: ExchangeId, symbol: string, at: { time: Millis; depth: number }) => Book;
  /** Trades with from <= timestamp <= to, oldest first. */
  readonly trades: (venue: ExchangeId, symbol: string, range: { from: Millis; to: Millis }) => Trade[];
}

interface TruthRange {
  /** `1m`, `1d`, ...; weeks begin on Monday. */
  readonly interval: string;
  /** The candles that begin within [from, to]. */
  readonly from: Millis;
  readonly to: Millis;
  /** The time as of which the last candle is told. */
  readonly now: Millis;
}

/** @throws RangeError from its functions for an unknown symbol or interval */
export function createMarketTruth(options: ListingOptions): MarketTruth {
  const all = listMarkets(options);
  const byName = new Map(all.map((market) => [`${market.venue} ${market.symbol}`, market]));
  const find = (venue: ExchangeId, symbol: string): Market | undefined => byName.get(`${venue} ${symbol}`);
  const need = (venue: ExchangeId, symbol: string): Market => {
    const market = find(venue, symbol);
    if (!market) throw new RangeError(`${venue} does not list ${symbol}`);
    return market;
  };
  return {
    markets: (venue) => all.filter((market) => market.venue === venue),
    find,
    ticker: (venue, symbol, time) => toTicker(need(venue, symbol), time),
    candles: (venue, symbol, range) => toCandles(need(venue, symbol), range),
    book: (venue, symbol, at) => {
      const market = need(venue, symbol);
      const sides = bookAt(market, slotOf(at.time), at.depth);
      const numbers = ([price, amount]: Level) =>
        [toNumber(price, market.priceDecimals), toNumber(amount, QUANTITY_DECIMALS)] as const;
      return { bids: sides.bids.map(numbers), asks: sides.asks.map(numbers) };
    },
    trades: (venue, symbol, range) => {
      const market = need(venue, symbol);
      const slots = { from: Math.ceil(range.from / SLOT), to: slotOf(range.to) };
      return rawTrades(market, slots, Infinity).map((trade) => ({
        id: String(trade.id),
        timestamp: trade.time,
        price: toNumber(trade.price, market.priceDecimals),
        amount: toNumber(trade.lots, market.lotDecimals),
        side: trade.side,
      }));
    },
  };
}

function toTicker(market: Market, time: Millis): Ticker {
  const raw = rawTicker(market, time);
  const price = (ticks: number): number => toNumber(ticks, market.priceDecimals);
  return {
    timestamp: time,
    bid: price(raw.bid[0]),
    bidSize: toNumber(raw.bid[1], QUANTITY_DECIMALS),
    ask: price(raw.ask[0]),
    askSize: toNumber(raw.ask[1], QUANTITY_DECIMALS),
    last: price(raw.trade.price),
    open: price(raw.open),
    high: price(raw.high),
    low: price(raw.low),
    volume: toNumber(raw.lots, market.lotDecimals),
    tradeId: String(raw.trade.id),
  };
}

function toCandles(market: Market, range: TruthRange): Candle[] {
  const interval = parseInterval(range.interval);
  if (!interval) throw new RangeError(`no interval ${range.interval}`);
  const price = (ticks: number): number => toNumber(ticks, market.priceDecimals);
  return rawCandles(market, { ...range, interval }, Infinity).map((candle) => ({
    timestamp: candle.start,
    open: price(candle.open),
    high: price(candle.high),
    low: price(candle.low),
    close: price(candle.close),
    volume: toNumber(candle.lots, market.lotDecimals),
    closed: candle.end <= range.now,
  }));
}
