// Kraken spot over REST: public market data. Faults come with status 200 and an `error` list.
// https://docs.kraken.com/api/docs/category/rest-api/market-data
import { toDecimal } from '../format.js';
import { DAY, fixedInterval, MINUTE, SECOND, type Millis } from '../intervals.js';
import { type Market } from '../listings.js';
import { latestTrades, rawCandle, rawCandles, rawTicker, rawTrades, slotOf } from '../market-data.js';
import { type RawCandle } from '../market-data.js';
import { type MarketTruth } from '../market.js';
import { bookAt, QUANTITY_DECIMALS, type Level } from '../order-book.js';
import { SLOT } from '../price-path.js';
import {
  krakenAltName,
  krakenAssetPairs,
  krakenAssets,
  krakenFeedSymbol,
  krakenId,
} from './kraken-markets.js';
import { blockPage, integer, json, type CandleShape, type RequestKind, type RestVenue } from './venue.js';
import { type VenueReply, type VenueRequest } from './venue.js';

/** In minutes. */
export const KRAKEN_INTERVALS: readonly number[] = [1, 5, 15, 30, 60, 240, 1440, 10080, 21600];
/** All that Kraken keeps: the latest 720 candles, whatever `since` says. */
const MAX_CANDLES = 720;
const MAX_TRADES = 1000;
const MAX_BOOK = 500;

const KINDS: Readonly<Record<string, RequestKind>> = {
  OHLC: 'ohlcv',
  Depth: 'orderbook',
  Trades: 'trades',
  AssetPairs: 'markets',
  Assets: 'currencies',
  Time: 'time',
};

const ok = (result: unknown): VenueReply => json({ error: [], result });
const fail = (message: string): VenueReply => json({ error: [message] });
const UNKNOWN_PAIR = fail('EQuery:Unknown asset pair');
const INVALID = fail('EGeneral:Invalid arguments');

const price = (market: Market, ticks: number): string => toDecimal(ticks, market.priceDecimals);
const volume = (market: Market, lots: number): string => toDecimal(lots, market.lotDecimals, 8);
/** The sandbox keeps no turnover: the average of a candle's four prices stands for its volume-weighted one. */
export const krakenVwap = (candle: RawCandle): number =>
  Math.round((candle.open + candle.high + candle.low + candle.close) / 4);

function ticker(market: Market, now: Millis) {
  const raw = rawTicker(market, now);
  const midnight = fixedInterval('1d', DAY).start(now);
  const today = rawCandle(market, { start: midnight, end: midnight + DAY }, now) ?? raw;
  const level = ([ticks, quantity]: Level): string[] => {
    const amount = toDecimal(quantity, QUANTITY_DECIMALS);
    return [price(market, ticks), String(Math.ceil(Number(amount))), amount];
  };
  return {
    a: level(raw.ask),
    b: level(raw.bid),
    c: [price(market, raw.trade.price), volume(market, raw.trade.lots)],
    v: [volume(market, today.lots), volume(market, raw.lots)],
    p: [price(market, krakenVwap(today)), price(market, krakenVwap(raw))],
    t: [today.trades, raw.trades],
    l: [price(market, today.low), price(market, raw.low)],
    h: [price(market, today.high), price(market, raw.high)],
    o: price(market, today.open),
  };
}

const candleRow = (market: Market, candle: RawCandle): unknown[] => [
  candle.start / SECOND,
  price(market, candle.open),
  price(market, candle.high),
  price(market, candle.low),
  price(market, candle.close),
  price(market, krakenVwap(candle)),
  volume(market, candle.lots),
  candle.trades,
];

function ohlc(market: Market, request: VenueRequest): VenueReply {
  const minutes = integer(request.query, 'interval') ?? 1;
  const since = integer(request.query, 'since');
  if (!KRAKEN_INTERVALS.includes(minutes) || since === null) return INVALID;
  const interval = fixedInterval(`${minutes}m`, minutes * MINUTE);
  const oldest = interval.back(interval.start(request.now), MAX_CANDLES - 1);
  const candles = rawCandles(
    market,
    { interval, from: oldest, to: request.now, now: request.now },
    MAX_CANDLES,
  );
  // `since` is exclusive; `last` is the latest committed candle, to be sent as the next `since`.
  const rows = candles.filter((candle) => since === undefined || candle.start > since * SECOND);
  const last = candles.at(-2)?.start ?? 0;
  return ok({ [krakenId(market)]: rows.map((candle) => candleRow(market, candle)), last: last / SECOND });
}

const isAnswer = (body: unknown): body is { error: unknown; result: Record<string, unknown> } =>
  typeof body === 'object' && body !== null && 'result' in body;

/** Beside the pair's rows stands `last`. */
const CANDLES: CandleShape = {
  unitMs: SECOND,
  timesAt: [0],
  volumeAt: 6,
  rows: (body) =>
    isAnswer(body) ? (Object.values(body.result).find(Array.isArray) as unknown[][] | undefined) : undefined,
  withRows: (body, rows) => {
    if (!isAnswer(body)) return body;
    const result = Object.entries(body.result).map(([name, value]) => [
      name,
      Array.isArray(value) ? rows : value,
    ]);
    return { ...body, result: Object.fromEntries(result) as unknown };
  },
};

function trades(market: Market, request: VenueRequest): VenueReply {
  const since = sinceMillis(request.query.get('since'));
  const count = integer(request.query, 'count');
  if (since === null || count === null || count === 0 || (count ?? 1) > MAX_TRADES) return INVALID;
  const to = slotOf(request.now);
  const limit = count ?? MAX_TRADES;
  const found =
    since === undefined
      ? latestTrades(market, to, limit)
      : rawTrades(market, { from: Math.floor(since / SLOT) + 1, to }, limit);
  const rows = found.map((trade) => [
    price(market, trade.price),
    volume(market, trade.lots),
    trade.time / SECOND,
    trade.side === 'buy' ? 'b' : 's',
    trade.id % 3 === 0 ? 'l' : 'm',
    '',
    trade.id,
  ]);
  const last = found.at(-1)?.time ?? since ?? request.now;
  return ok({ [krakenId(market)]: rows, last: `${last}000000` });
}

/** `since` in seconds, with or without a fraction, or in nanoseconds. */
function sinceMillis(text: string | null): Millis | null | undefined {
  if (text === null) return undefined;
  const value = Number(text);
  if (!Number.isFinite(value) || value < 0) return null;
  return value > 1e14 ? value / 1e6 : value * SECOND;
}

function depth(market: Market, request: VenueRequest): VenueReply {
  const count = integer(request.query, 'count') ?? 100;
  if (count < 1 || count > MAX_BOOK) return INVALID;
  const book = bookAt(market, slotOf(request.now), count);
  const row = ([ticks, quantity]: Level): unknown[] => [
    price(market, ticks),
    toDecimal(quantity, QUANTITY_DECIMALS),
    Math.floor(request.now / SECOND),
  ];
  return ok({ [krakenId(market)]: { asks: book.asks.map(row), bids: book.bids.map(row) } });
}

export function createKraken({ truth }: { readonly truth: MarketTruth }): RestVenue {
  const markets = truth.markets('kraken');
  const byName = new Map<string, Market>();
  for (const market of markets) {
    byName
      .set(krakenId(market), market)
      .set(krakenAltName(market), market)
      .set(krakenFeedSymbol(market), market);
  }
  let pairs: string | undefined;
  let assets: string | undefined;

  const one = (request: VenueRequest, answer: (market: Market, request: VenueRequest) => VenueReply) => {
    const name = request.query.get('pair');
    if (!name) return INVALID;
    const market = byName.get(name);
    return market ? answer(market, request) : UNKNOWN_PAIR;
  };

  const tickers = (request: VenueRequest): VenueReply => {
    const names = request.query.get('pair')?.split(',');
    const wanted = names ? names.map((name) => byName.get(name)) : markets;
    const result: Record<string, unknown> = {};
    for (const market of wanted) {
      if (!market) return UNKNOWN_PAIR;
      result[krakenId(market)] = ticker(market, request.now);
    }
    return ok(result);
  };

  const assetPairs = (request: VenueRequest): VenueReply => {
    const names = request.query.get('pair')?.split(',');
    if (!names) {
      pairs ??= JSON.stringify({ error: [], result: krakenAssetPairs(markets) });
      return { status: 200, body: pairs };
    }
    const found = names.flatMap((name) => byName.get(name) ?? []);
    return found.length < names.length ? UNKNOWN_PAIR : ok(krakenAssetPairs(found));
  };

  const answer = (request: VenueRequest): VenueReply => {
    const endpoint = request.path.replace('/0/public/', '');
    switch (endpoint) {
      case 'Time':
        return ok({
          unixtime: Math.floor(request.now / SECOND),
          rfc1123: new Date(request.now).toUTCString(),
        });
      case 'SystemStatus':
        return ok({ status: 'online', timestamp: new Date(request.now).toISOString() });
      case 'Assets':
        assets ??= JSON.stringify({ error: [], result: krakenAssets(markets) });
        return { status: 200, body: assets };
      case 'AssetPairs':
        return assetPairs(request);
      case 'Ticker':
        return tickers(request);
      case 'OHLC':
        return one(request, ohlc);
      case 'Depth':
        return one(request, depth);
      case 'Trades':
        return one(request, trades);
      default:
        return json({ error: ['EGeneral:Unknown method'] }, 404);
    }
  };

  return {
    id: 'kraken',
    hosts: ['api.kraken.com'],
    kindOf: (path, query) => {
      const endpoint = path.replace('/0/public/', '');
      if (endpoint === 'Ticker')
        return query.has('pair') && !query.get('pair')?.includes(',') ? 'ticker' : 'tickers';
      return KINDS[endpoint] ?? 'other';
    },
    candles: CANDLES,
    handle: answer,
    errors: {
      rate_limit: fail('EAPI:Rate limit exceeded'),
      unknown_symbol: UNKNOWN_PAIR,
      bad_interval: INVALID,
      unavailable: fail('EService:Unavailable'),
      maintenance: fail('EService:Market in post_only mode'),
      geo_block: blockPage(403, 'api.kraken.com'),
      auth: fail('EAPI:Invalid key'),
    },
  };
}
