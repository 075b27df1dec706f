// Coinbase Exchange over REST: public market data.
// https://docs.cdp.coinbase.com/exchange/reference/exchangerestapi_getproductticker and its siblings
import { isoMicros, toDecimal, toNumber } from '../format.js';
import { fixedInterval, HOUR, SECOND, type Millis } from '../intervals.js';
import { type Market } from '../listings.js';
import { latestTrades, rawCandles, rawTicker, slotOf, slotOfTrade } from '../market-data.js';
import { type RawCandle, type RawTrade } from '../market-data.js';
import { type MarketTruth } from '../market.js';
import { bookAt, BOOK_LEVELS, QUANTITY_DECIMALS, type Level } from '../order-book.js';
import { coinbaseCurrencies, coinbaseId, coinbaseProduct } from './coinbase-exchange-markets.js';
import { BARE_ROWS, blockPage, integer, json, type RequestKind, type RestVenue } from './venue.js';
import { type VenueReply, type VenueRequest } from './venue.js';

/** Granularities in seconds. */
const COINBASE_GRANULARITIES: readonly number[] = [60, 300, 900, 3600, 21600, 86400];
const MAX_CANDLES = 300;
/** A candle is not in REST answers right from its start. */
const CANDLE_DELAY: Millis = SECOND;
const MAX_TRADES = 1000;
const DEFAULT_TRADES = 100;

const KINDS: Readonly<Record<string, RequestKind>> = {
  ticker: 'ticker',
  stats: 'ticker',
  candles: 'ohlcv',
  book: 'orderbook',
  trades: 'trades',
};

const fail = (message: string, status = 400): VenueReply => json({ message }, status);
const NOT_FOUND = fail('NotFound', 404);
const BAD_GRANULARITY = fail('Unsupported granularity');

export const coinbasePrice = (market: Market, ticks: number): string =>
  toDecimal(ticks, market.priceDecimals);
export const coinbaseSize = (market: Market, lots: number): string => toDecimal(lots, market.lotDecimals, 8);
export const coinbaseQuantity = (quantity: number): string => toDecimal(quantity, QUANTITY_DECIMALS, 8);
/** Coinbase tells the maker's side. */
export const makerSide = (trade: RawTrade): 'buy' | 'sell' => (trade.side === 'buy' ? 'sell' : 'buy');

function ticker(market: Market, now: Millis): VenueReply {
  const raw = rawTicker(market, now);
  return json({
    ask: coinbasePrice(market, raw.ask[0]),
    bid: coinbasePrice(market, raw.bid[0]),
    volume: coinbaseSize(market, raw.lots),
    trade_id: raw.trade.id,
    price: coinbasePrice(market, raw.trade.price),
    size: coinbaseSize(market, raw.trade.lots),
    time: isoMicros(raw.trade.time),
    rfq_volume: '0',
  });
}

function stats(market: Market, now: Millis): VenueReply {
  const raw = rawTicker(market, now);
  return json({
    open: coinbasePrice(market, raw.open),
    high: coinbasePrice(market, raw.high),
    low: coinbasePrice(market, raw.low),
    last: coinbasePrice(market, raw.trade.price),
    volume: coinbaseSize(market, raw.lots),
    volume_30day: coinbaseSize(market, raw.lots * 30),
    rfq_volume_24hour: '0',
    rfq_volume_30day: '0',
  });
}

/** A time as Coinbase takes it: ISO 8601 or Unix seconds. */
function parseTime(text: string | null): Millis | null {
  if (text === null || text === '') return null;
  const time = /^\d+$/.test(text) ? Number(text) * SECOND : Date.parse(text);
  return Number.isNaN(time) ? null : time;
}

/** `[time, low, high, open, close]`. */
function pricesOf(market: Market, candle: RawCandle): number[] {
  const { start, low, high, open, close } = candle;
  return [start / SECOND, ...[low, high, open, close].map((ticks) => toNumber(ticks, market.priceDecimals))];
}

function candles(market: Market, request: VenueRequest): VenueReply {
  const granularity = integer(request.query, 'granularity') ?? 60;
  if (!COINBASE_GRANULARITIES.includes(granularity)) return BAD_GRANULARITY;
  const length = granularity * SECOND;
  const interval = fixedInterval(String(granularity), length);
  // "If either one of the start or end fields are not provided then both fields will be ignored."
  const start = parseTime(request.query.get('start'));
  const end = parseTime(request.query.get('end'));
  const given = start !== null && end !== null;
  const to = given ? end : request.now;
  const from = given ? start : interval.back(interval.start(to), MAX_CANDLES - 1);
  if (to < from) return fail('start must be before end');
  if ((to - from) / length > MAX_CANDLES) {
    return fail(
      `granularity too small for the requested time range. Count of aggregations requested exceeds ${MAX_CANDLES}`,
    );
  }
  const shown = Math.min(to, request.now - CANDLE_DELAY);
  const found = rawCandles(market, { interval, from, to: shown, now: request.now }, MAX_CANDLES);
  return json(
    found.reverse().map((candle) => [...pricesOf(market, candle), toNumber(candle.lots, market.lotDecimals)]),
  );
}

function trades(market: Market, request: VenueRequest): VenueReply {
  const limit = integer(request.query, 'limit');
  const after = integer(request.query, 'after');
  if (limit === null || limit === 0 || after === null) return fail('limit must be a positive number');
  const newest = after === undefined ? slotOf(request.now) : slotOfTrade(after) - 1;
  const found = latestTrades(market, newest, Math.min(limit ?? DEFAULT_TRADES, MAX_TRADES)).reverse();
  const body = found.map((trade) => ({
    trade_id: trade.id,
    side: makerSide(trade),
    size: coinbaseSize(market, trade.lots),
    price: coinbasePrice(market, trade.price),
    time: isoMicros(trade.time),
  }));
  const headers = { 'cb-before': String(found[0]?.id ?? ''), 'cb-after': String(found.at(-1)?.id ?? '') };
  return { ...json(body), headers };
}

function book(market: Market, request: VenueRequest): VenueReply {
  const level = integer(request.query, 'level') ?? 1;
  if (level < 1 || level > 3) return fail('Invalid level');
  const slot = slotOf(request.now);
  const sides = bookAt(market, slot, level === 1 ? 1 : BOOK_LEVELS);
  const row = ([ticks, quantity]: Level): unknown[] => [
    coinbasePrice(market, ticks),
    coinbaseQuantity(quantity),
    level === 3 ? `${String(ticks).padStart(8, '0')}-0000-4000-8000-000000000000` : 1 + (quantity % 7),
  ];
  return json({
    bids: sides.bids.map(row),
    asks: sides.asks.map(row),
    sequence: slot,
    auction_mode: false,
    auction: null,
    time: isoMicros(request.now),
  });
}

/** Hourly candles of the last day, newest first, as GET /products/spark-lines gives them (undocumented). */
function sparkLine(market: Market, now: Millis): number[][] {
  const interval = fixedInterval('1h', HOUR);
  const from = interval.back(interval.start(now), 23);
  return rawCandles(market, { interval, from, to: now, now }, 24)
    .reverse()
    .map((candle) => pricesOf(market, candle));
}

export function createCoinbaseExchange({ truth }: { readonly truth: MarketTruth }): RestVenue {
  const markets = truth.markets('coinbaseexchange');
  const byId = new Map(markets.map((market) => [coinbaseId(market), market]));
  let products: string | undefined;
  let currencies: string | undefined;

  const ofProduct = (request: VenueRequest, id: string, endpoint: string): VenueReply => {
    const market = byId.get(id);
    if (!market) return NOT_FOUND;
    switch (endpoint) {
      case '':
        return json(coinbaseProduct(market));
      case 'ticker':
        return ticker(market, request.now);
      case 'stats':
        return stats(market, request.now);
      case 'candles':
        return candles(market, request);
      case 'trades':
        return trades(market, request);
      case 'book':
        return book(market, request);
      default:
        return NOT_FOUND;
    }
  };

  const answer = (request: VenueRequest): VenueReply => {
    const [, first = '', id = '', endpoint = ''] = request.path.split('/');
    if (first === 'time') {
      return json({ iso: new Date(request.now).toISOString(), epoch: request.now / SECOND });
    }
    if (first === 'currencies') {
      currencies ??= JSON.stringify(coinbaseCurrencies(markets));
      return { status: 200, body: currencies };
    }
    if (first !== 'products') return NOT_FOUND;
    if (id === '') {
      products ??= JSON.stringify(markets.map(coinbaseProduct));
      return { status: 200, body: products };
    }
    if (id === 'spark-lines') {
      return json(
        Object.fromEntries(markets.map((market) => [coinbaseId(market), sparkLine(market, request.now)])),
      );
    }
    return ofProduct(request, id, endpoint);
  };

  return {
    id: 'coinbaseexchange',
    hosts: ['api.exchange.coinbase.com'],
    kindOf: (path) => {
      const [, first = '', id = '', endpoint = ''] = path.split('/');
      if (first === 'currencies') return 'currencies';
      if (first === 'time') return 'time';
      if (first !== 'products') return 'other';
      if (id === 'spark-lines') return 'tickers';
      return endpoint === '' ? 'markets' : (KINDS[endpoint] ?? 'other');
    },
    handle: answer,
    candles: { ...BARE_ROWS, unitMs: SECOND, timesAt: [0], volumeAt: 5 },
    errors: {
      rate_limit: fail('Public rate limit exceeded', 429),
      unknown_symbol: NOT_FOUND,
      bad_interval: BAD_GRANULARITY,
      unavailable: fail('Service temporarily unavailable', 503),
      maintenance: fail('Exchange is under maintenance', 503),
      geo_block: blockPage(403, 'api.exchange.coinbase.com'),
      auth: fail('Invalid API Key', 401),
    },
  };
}
