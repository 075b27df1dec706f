// Binance spot's WebSocket streams.
// https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams
import { binanceFault, ghostPrice } from '../book-faults.js';
import { parseInterval, type Interval, type Millis } from '../intervals.js';
import { type Market } from '../listings.js';
import { rawCandle, rawTicker, rawTrades, slotOf } from '../market-data.js';
import { type MarketTruth } from '../market.js';
import { bookChange, BOOK_LEVELS } from '../order-book.js';
import { BINANCE_INTERVALS } from './binance.js';
import {
  aggTrade,
  binanceAmount,
  binanceLevel,
  binancePrice,
  fillsOf,
  ticker24h,
  turnover,
} from './binance-rows.js';
import { binanceId } from './binance-markets.js';
import { parseCommand, strings } from './feed-command.js';
import { type Channel, type FeedSocket, type FeedVenue } from './venue.js';

function tickerFrame(market: Market, time: Millis): string {
  const raw = ticker24h(market, rawTicker(market, time));
  return JSON.stringify({
    e: '24hrTicker',
    E: time,
    s: raw.symbol,
    p: raw.priceChange,
    P: raw.priceChangePercent,
    w: raw.weightedAvgPrice,
    x: raw.prevClosePrice,
    c: raw.lastPrice,
    Q: raw.lastQty,
    b: raw.bidPrice,
    B: raw.bidQty,
    a: raw.askPrice,
    A: raw.askQty,
    o: raw.openPrice,
    h: raw.highPrice,
    l: raw.lowPrice,
    v: raw.volume,
    q: raw.quoteVolume,
    O: raw.openTime,
    C: raw.closeTime,
    F: raw.firstId,
    L: raw.lastId,
    n: raw.count,
  });
}

function miniTickerFrame(market: Market, time: Millis): string {
  const raw = ticker24h(market, rawTicker(market, time));
  return JSON.stringify({
    e: '24hrMiniTicker',
    E: time,
    s: raw.symbol,
    c: raw.lastPrice,
    o: raw.openPrice,
    h: raw.highPrice,
    l: raw.lowPrice,
    v: raw.volume,
    q: raw.quoteVolume,
  });
}

function bookTickerFrame(market: Market, time: Millis): string {
  const raw = ticker24h(market, rawTicker(market, time));
  return JSON.stringify({
    u: slotOf(time),
    s: raw.symbol,
    b: raw.bidPrice,
    B: raw.bidQty,
    a: raw.askPrice,
    A: raw.askQty,
  });
}

/** `aggTrade`: one frame a trade; `trade`: one a fill. */
const tradeFrames = (
  market: Market,
  event: 'trade' | 'aggTrade',
  span: { since: Millis; time: Millis },
): string[] =>
  rawTrades(market, { from: slotOf(span.since) + 1, to: slotOf(span.time) }, Infinity).flatMap((trade) => {
    const frame = (ids: object, lots: number): string =>
      JSON.stringify({
        e: event,
        E: trade.time,
        s: binanceId(market),
        ...ids,
        p: binancePrice(market, trade.price),
        q: binanceAmount(market, lots),
        T: trade.time,
        m: trade.side === 'sell',
        M: true,
      });
    if (event === 'trade') return fillsOf(trade).map(({ id, lots }) => frame({ t: id }, lots));
    const { a, f, l } = aggTrade(market, trade);
    return [frame({ a, f, l }, trade.lots)];
  });

/** Update ids are the numbers of the 100 ms slots, the same that GET /api/v3/depth tells as `lastUpdateId`. */
function depthFrame(market: Market, time: Millis, since: Millis): string[] {
  const from = slotOf(since);
  const to = slotOf(time);
  if (to <= from) return [];
  const change = bookChange(market, { from, to, depth: BOOK_LEVELS, everySlot: true });
  return [
    JSON.stringify({
      e: 'depthUpdate',
      E: time,
      s: binanceId(market),
      U: from + 1,
      u: to,
      b: change.bids.map((level) => binanceLevel(market, level)),
      a: change.asks.map((level) => binanceLevel(market, level)),
    }),
  ];
}

function klineFrame(market: Market, interval: Interval, at: { start: Millis; time: Millis }): string[] {
  const candle = rawCandle(market, { start: at.start, end: interval.next(at.start) }, at.time);
  if (!candle) return [];
  const half = { ...candle, lots: Math.floor(candle.lots / 2) };
  return [
    JSON.stringify({
      e: 'kline',
      E: at.time,
      s: binanceId(market),
      k: {
        t: candle.start,
        T: candle.end - 1,
        s: binanceId(market),
        i: interval.name,
        f: 0,
        L: 0,
        o: binancePrice(market, candle.open),
        c: binancePrice(market, candle.close),
        h: binancePrice(market, candle.high),
        l: binancePrice(market, candle.low),
        v: binanceAmount(market, candle.lots),
        n: candle.trades,
        x: candle.end <= at.time,
        q: turnover(market, candle),
        V: binanceAmount(market, half.lots),
        Q: turnover(market, half),
        B: '0',
      },
    }),
  ];
}

/** The final frame of a candle that has just closed comes before the first one of the next. */
function klineChannel(market: Market, interval: Interval): Channel {
  return {
    market,
    update: (time, since) => {
      const before = interval.start(since);
      const start = interval.start(time);
      const final = before < start ? klineFrame(market, interval, { start: before, time }) : [];
      return [...final, ...klineFrame(market, interval, { start, time })];
    },
  };
}

function makeChannel(market: Market, stream: string): Channel | undefined {
  if (stream.startsWith('kline_')) {
    const name = stream.slice('kline_'.length);
    const interval = BINANCE_INTERVALS.includes(name) ? parseInterval(name) : null;
    return interval ? klineChannel(market, interval) : undefined;
  }
  switch (stream) {
    case 'ticker':
      return { market, update: (time) => [tickerFrame(market, time)] };
    case 'miniTicker':
      return { market, update: (time) => [miniTickerFrame(market, time)] };
    case 'bookTicker':
      return { market, update: (time) => [bookTickerFrame(market, time)] };
    case 'trade':
    case 'aggTrade':
      return { market, update: (time, since) => tradeFrames(market, stream, { since, time }) };
    case 'depth':
    case 'depth@100ms':
    case 'depth@1000ms':
      return {
        market,
        book: {
          alter: (frame, what) =>
            binanceFault(frame, what, binancePrice(market, ghostPrice(market, what.time))),
        },
        update: (time, since) => depthFrame(market, time, since),
      };
    default:
      return undefined;
  }
}

interface Command {
  readonly method?: unknown;
  readonly params?: unknown;
  readonly id?: unknown;
}

function onMessage(socket: FeedSocket, text: string): void {
  const command: Command | undefined = parseCommand(text);
  const answer = (body: object): void => {
    socket.reply(JSON.stringify({ ...body, id: command?.id ?? null }));
  };
  const streams = strings(command?.params);
  switch (command?.method) {
    case 'SUBSCRIBE':
      answer({ result: null });
      // Unknown streams are acknowledged like the others, as Binance does.
      for (const stream of streams) socket.join(stream);
      break;
    case 'UNSUBSCRIBE':
      for (const stream of streams) socket.leave(stream);
      answer({ result: null });
      break;
    case 'LIST_SUBSCRIPTIONS':
      answer({ result: socket.channels() });
      break;
    default:
      answer({ error: { code: 2, msg: 'Invalid request: unknown method or malformed JSON' } });
  }
}

export function createBinanceFeed({ truth }: { readonly truth: MarketTruth }): FeedVenue {
  const byId = new Map(
    truth.markets('binance').map((market) => [binanceId(market).toLowerCase(), market] as const),
  );
  return {
    id: 'binance',
    hosts: ['stream.binance.com', 'data-stream.binance.vision'],
    open: (socket, path, query) => {
      const raw = /^\/ws\/(.+@.+)$/.exec(path)?.[1] ?? '';
      for (const stream of [...raw.split('/'), ...(query.get('streams') ?? '').split('/')]) {
        if (stream.includes('@')) socket.join(stream);
      }
    },
    message: onMessage,
    channel: (key) => {
      const at = key.indexOf('@');
      const market = byId.get(key.slice(0, at));
      return at > 0 && market?.active ? makeChannel(market, key.slice(at + 1)) : undefined;
    },
    wrap: (path, channel, frame) =>
      path.startsWith('/stream') ? `{"stream":"${channel}","data":${frame}}` : frame,
  };
}
