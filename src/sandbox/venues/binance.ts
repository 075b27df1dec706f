// Binance spot over REST: public market data.
// https://developers.binance.com/docs/binance-spot-api-docs/rest-api/market-data-endpoints
import { parseInterval, type Millis } from '../intervals.js';
import { type Market } from '../listings.js';
import { latestTrades, rawCandles, rawTicker, rawTrades, slotOf, slotOfTrade } from '../market-data.js';
import { type RawTicker, type RawTrade } from '../market-data.js';
import { type MarketTruth } from '../market.js';
import { bookAt } from '../order-book.js';
import { SLOT } from '../price-path.js';
import { binanceId, binanceRateLimits, binanceSymbols } from './binance-markets.js';
import { aggTrade, binanceLevel, binancePrice, fillRows, klineRow, ticker24h } from './binance-rows.js';
import { binanceWeight, createWeightMeter, tooMuch } from './binance-weights.js';
import { BARE_ROWS, blockPage, integer, json, type RequestKind, type RestVenue } from './venue.js';
import { type VenueReply, type VenueRequest } from './venue.js';

export const BINANCE_INTERVALS: readonly string[] =
  '1s 1m 3m 5m 15m 30m 1h 2h 4h 6h 8h 12h 1d 3d 1w 1M'.split(' ');
const MAX_ROWS = 1000;
const DEFAULT_ROWS = 500;

const KINDS: Readonly<Record<string, RequestKind>> = {
  klines: 'ohlcv',
  depth: 'orderbook',
  aggTrades: 'trades',
  trades: 'trades',
  exchangeInfo: 'markets',
  time: 'time',
};

const error = (code: number, msg: string, status = 400): VenueReply => json({ code, msg }, status);
const INVALID_SYMBOL = error(-1121, 'Invalid symbol.');
const missing = (name: string): VenueReply =>
  error(-1102, `Mandatory parameter '${name}' was not sent, was empty/null, or malformed.`);
const illegal = (name: string): VenueReply =>
  error(-1100, `Illegal characters found in parameter '${name}'; legal range is '^[0-9]{1,20}$'.`);

/** `startTime`, `endTime` and `limit` of a request, or the reply that refuses them. */
function windowOf(query: URLSearchParams): { start?: Millis; end?: Millis; limit: number } | VenueReply {
  const start = integer(query, 'startTime');
  const end = integer(query, 'endTime');
  const limit = integer(query, 'limit');
  if (start === null) return illegal('startTime');
  if (end === null) return illegal('endTime');
  if (limit === null) return illegal('limit');
  if (limit === 0) return error(-1130, "Data sent for parameter 'limit' is not valid.");
  return {
    ...(start === undefined ? {} : { start }),
    ...(end === undefined ? {} : { end }),
    limit: Math.min(limit ?? DEFAULT_ROWS, MAX_ROWS),
  };
}

function klines(market: Market, request: VenueRequest): VenueReply {
  const name = request.query.get('interval');
  if (name === null) return missing('interval');
  const interval = BINANCE_INTERVALS.includes(name) ? parseInterval(name) : null;
  if (!interval) return error(-1120, 'Invalid interval.');
  const asked = windowOf(request.query);
  if ('status' in asked) return asked;
  const to = Math.min(asked.end ?? request.now, request.now);
  const from = asked.start ?? interval.back(interval.start(to), asked.limit - 1);
  const candles = rawCandles(market, { interval, from, to, now: request.now }, asked.limit);
  return json(candles.map((candle) => klineRow(market, candle)));
}

function aggTrades(market: Market, request: VenueRequest): VenueReply {
  const asked = windowOf(request.query);
  if ('status' in asked) return asked;
  const fromId = integer(request.query, 'fromId');
  if (fromId === null) return illegal('fromId');
  const now = slotOf(request.now);
  const to = asked.end === undefined ? now : Math.min(now, slotOf(asked.end));
  let trades: RawTrade[];
  if (fromId !== undefined) trades = rawTrades(market, { from: slotOfTrade(fromId), to: now }, asked.limit);
  else if (asked.start === undefined) trades = latestTrades(market, to, asked.limit);
  else trades = rawTrades(market, { from: Math.ceil(asked.start / SLOT), to }, asked.limit);
  return json(trades.map((trade) => aggTrade(market, trade)));
}

function depth(market: Market, request: VenueRequest): VenueReply {
  const limit = integer(request.query, 'limit');
  if (limit === null || limit === 0) return illegal('limit');
  const slot = slotOf(request.now);
  const book = bookAt(market, slot, Math.min(limit ?? 100, 5000));
  return json({
    lastUpdateId: slot,
    bids: book.bids.map((level) => binanceLevel(market, level)),
    asks: book.asks.map((level) => binanceLevel(market, level)),
  });
}

export interface BinanceOptions {
  readonly truth: MarketTruth;
  /** Request weight a minute; beyond it 429, then 418. */
  readonly weightLimit: number;
}

export function createBinance({ truth, weightLimit }: BinanceOptions): RestVenue {
  const markets = truth.markets('binance');
  const byId = new Map(markets.map((market) => [binanceId(market), market]));
  const meter = createWeightMeter(weightLimit);
  let symbols: string | undefined;

  const one = (request: VenueRequest, answer: (market: Market, request: VenueRequest) => VenueReply) => {
    const id = request.query.get('symbol');
    if (!id) return missing('symbol');
    const market = byId.get(id);
    return market ? answer(market, request) : INVALID_SYMBOL;
  };

  /** One object for `symbol`, an array for `symbols` or for none. */
  const several = (request: VenueRequest, shape: (market: Market) => unknown): VenueReply => {
    if (request.query.has('symbol')) return one(request, (market) => json(shape(market)));
    const list = request.query.get('symbols');
    if (list === null) return json(markets.filter((market) => market.active).map(shape));
    const ids = parseList(list);
    if (!ids) return error(-1100, "Illegal characters found in parameter 'symbols'.");
    const found = ids.map((id) => byId.get(id));
    if (found.includes(undefined)) return INVALID_SYMBOL;
    return json(found.map((market) => market && shape(market)));
  };

  const exchangeInfo = (request: VenueRequest): VenueReply => {
    const id = request.query.get('symbol');
    const single = id === null ? undefined : byId.get(id);
    if (id !== null && !single) return INVALID_SYMBOL;
    symbols ??= binanceSymbols(markets);
    const head = JSON.stringify({
      timezone: 'UTC',
      serverTime: request.now,
      rateLimits: binanceRateLimits(Number.isFinite(weightLimit) ? weightLimit : 6000),
      exchangeFilters: [],
    });
    return {
      status: 200,
      body: `${head.slice(0, -1)},"symbols":${single ? binanceSymbols([single]) : symbols}}`,
    };
  };

  const answer = (endpoint: string, request: VenueRequest): VenueReply => {
    const raw = (market: Market): RawTicker => rawTicker(market, request.now);
    switch (endpoint) {
      case 'ping':
        return json({});
      case 'time':
        return json({ serverTime: request.now });
      case 'exchangeInfo':
        return exchangeInfo(request);
      case 'klines':
        return one(request, klines);
      case 'aggTrades':
        return one(request, aggTrades);
      case 'trades':
        return one(request, (market) => {
          const asked = windowOf(request.query);
          if ('status' in asked) return asked;
          const trades = latestTrades(market, slotOf(request.now), asked.limit);
          return json(trades.flatMap((trade) => fillRows(market, trade)).slice(-asked.limit));
        });
      case 'depth':
        return one(request, depth);
      case 'ticker/24hr':
        return several(request, (market) => ticker24h(market, raw(market)));
      case 'ticker/price':
        return several(request, (market) => ({
          symbol: binanceId(market),
          price: binancePrice(market, raw(market).trade.price),
        }));
      case 'ticker/bookTicker':
        return several(request, (market) => {
          const { symbol, bidPrice, bidQty, askPrice, askQty } = ticker24h(market, raw(market));
          return { symbol, bidPrice, bidQty, askPrice, askQty };
        });
      default:
        return { status: 404, body: '<html><body><h2>404 Not found</h2></body></html>' };
    }
  };

  return {
    id: 'binance',
    hosts: ['api.binance.com', 'fapi.binance.com', 'dapi.binance.com', 'eapi.binance.com'],
    kindOf: (path, query) => {
      const endpoint = path.split('/').slice(3).join('/');
      if (endpoint.startsWith('ticker')) return query.has('symbol') ? 'ticker' : 'tickers';
      return KINDS[endpoint] ?? 'other';
    },
    candles: { ...BARE_ROWS, unitMs: 1, timesAt: [0, 6], volumeAt: 5 },
    handle: (request) => {
      // Derivatives hosts answer with no markets, so that a client that loads every kind gets through.
      if (/^\/[fde]api\//.test(request.path)) return noContracts(request);
      const endpoint = /^\/api\/v[13]\/(.+)$/.exec(request.path)?.[1] ?? '';
      const refusal = meter.spend(binanceWeight(endpoint, request.query), request.now);
      const reply = refusal ?? answer(endpoint, request);
      const used = String(meter.used(request.now));
      return {
        ...reply,
        headers: { 'x-mbx-used-weight': used, 'x-mbx-used-weight-1m': used, ...reply.headers },
      };
    },
    errors: {
      rate_limit: { ...error(-1003, tooMuch(6000), 429), headers: { 'retry-after': '30' } },
      unknown_symbol: INVALID_SYMBOL,
      bad_interval: error(-1120, 'Invalid interval.'),
      unavailable: error(-1001, 'Internal error; unable to process your request. Please try again.', 503),
      maintenance: error(-1, 'System is under maintenance.', 503),
      geo_block: json(
        {
          code: 0,
          msg: "Service unavailable from a restricted location according to 'b. Eligibility' in https://www.binance.com/en/terms. Please contact customer service if you believe you received this message in error.",
        },
        451,
      ),
      auth: blockPage(403, 'api.binance.com'),
    },
  };
}

function noContracts(request: VenueRequest): VenueReply {
  if (!request.path.endsWith('/exchangeInfo')) return error(-1121, 'Invalid symbol.');
  return json({
    timezone: 'UTC',
    serverTime: request.now,
    rateLimits: [],
    exchangeFilters: [],
    symbols: [],
    optionSymbols: [],
  });
}

function parseList(text: string): string[] | null {
  try {
    const list: unknown = JSON.parse(text);
    return Array.isArray(list) && list.every((item) => typeof item === 'string') ? list : null;
  } catch {
    return null;
  }
}
