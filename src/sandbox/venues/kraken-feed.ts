// Kraken's WebSocket API v2, public channels. https://docs.kraken.com/api/docs/websocket-v2/ticker and its siblings
import { isoMicros, toNumber } from '../format.js';
import { fixedInterval, MINUTE, type Interval, type Millis } from '../intervals.js';
import { type Market } from '../listings.js';
import { latestTrades, rawCandle, rawCandles, rawTicker, rawTrades, slotOf } from '../market-data.js';
import { type RawCandle, type RawTrade } from '../market-data.js';
import { type MarketTruth } from '../market.js';
import { krakenBookChannel } from './kraken-book-feed.js';
import { KRAKEN_INTERVALS, krakenVwap } from './kraken.js';
import { krakenFeedSymbol } from './kraken-markets.js';
import { parseCommand, strings } from './feed-command.js';
import { type Channel, type FeedSocket, type FeedVenue } from './venue.js';

const BOOK_DEPTHS: readonly number[] = [10, 25, 100, 500, 1000];
const SNAPSHOT_TRADES = 50;
const SNAPSHOT_CANDLES = 60;

const price = (market: Market, ticks: number): number => toNumber(ticks, market.priceDecimals);
const amount = (market: Market, lots: number): number => toNumber(lots, market.lotDecimals);

const frame = (channel: string, type: 'snapshot' | 'update', data: readonly unknown[]): string =>
  JSON.stringify({ channel, type, data });

function tickerData(market: Market, time: Millis) {
  const raw = rawTicker(market, time);
  const change = raw.trade.price - raw.open;
  return {
    symbol: krakenFeedSymbol(market),
    bid: price(market, raw.bid[0]),
    bid_qty: toNumber(raw.bid[1], 3),
    ask: price(market, raw.ask[0]),
    ask_qty: toNumber(raw.ask[1], 3),
    last: price(market, raw.trade.price),
    volume: amount(market, raw.lots),
    vwap: price(market, krakenVwap(raw)),
    low: price(market, raw.low),
    high: price(market, raw.high),
    change: price(market, change),
    change_pct: Math.round((change / raw.open) * 10_000) / 100,
    // REST tickers have no time at all.
    timestamp: isoMicros(time),
  };
}

const tickerChannel = (market: Market): Channel => ({
  market,
  snapshot: (time) => [frame('ticker', 'snapshot', [tickerData(market, time)])],
  update: (time) => [frame('ticker', 'update', [tickerData(market, time)])],
});

const tradeData = (market: Market, trade: RawTrade) => ({
  symbol: krakenFeedSymbol(market),
  side: trade.side,
  price: price(market, trade.price),
  qty: amount(market, trade.lots),
  ord_type: trade.id % 3 === 0 ? 'limit' : 'market',
  trade_id: trade.id,
  timestamp: isoMicros(trade.time),
});

const tradeChannel = (market: Market): Channel => {
  const data = (trades: readonly RawTrade[]) => trades.map((trade) => tradeData(market, trade));
  return {
    market,
    snapshot: (time) => [
      frame('trade', 'snapshot', data(latestTrades(market, slotOf(time), SNAPSHOT_TRADES))),
    ],
    update: (time, since) => {
      const trades = rawTrades(market, { from: slotOf(since) + 1, to: slotOf(time) }, Infinity);
      return trades.length > 0 ? [frame('trade', 'update', data(trades))] : [];
    },
  };
};

const candleData = (market: Market, candle: RawCandle, minutes: number) => ({
  symbol: krakenFeedSymbol(market),
  open: price(market, candle.open),
  high: price(market, candle.high),
  low: price(market, candle.low),
  close: price(market, candle.close),
  trades: candle.trades,
  volume: amount(market, candle.lots),
  vwap: price(market, krakenVwap(candle)),
  interval_begin: `${new Date(candle.start).toISOString().slice(0, -1)}000000Z`,
  interval: minutes,
  timestamp: isoMicros(candle.end),
});

function ohlcChannel(market: Market, minutes: number): Channel {
  const interval: Interval = fixedInterval(`${minutes}m`, minutes * MINUTE);
  const data = (candles: readonly RawCandle[]) =>
    candles.map((candle) => candleData(market, candle, minutes));
  const current = (start: Millis, now: Millis): RawCandle[] => {
    const candle = rawCandle(market, { start, end: interval.next(start) }, now);
    return candle ? [candle] : [];
  };
  return {
    market,
    snapshot: (time) => {
      const from = interval.back(interval.start(time), SNAPSHOT_CANDLES - 1);
      const candles = rawCandles(market, { interval, from, to: time, now: time }, SNAPSHOT_CANDLES);
      return [frame('ohlc', 'snapshot', data(candles))];
    },
    // The final state of a candle that has just closed comes in a frame of its own.
    update: (time, since) => {
      const before = interval.start(since);
      const start = interval.start(time);
      const final = before < start ? [frame('ohlc', 'update', data(current(before, time)))] : [];
      return [...final, frame('ohlc', 'update', data(current(start, time)))];
    },
  };
}

interface Params {
  readonly channel?: unknown;
  readonly symbol?: unknown;
  readonly interval?: unknown;
  readonly depth?: unknown;
  readonly snapshot?: unknown;
}
interface Command {
  readonly method?: unknown;
  readonly params?: Params | null;
  readonly req_id?: unknown;
}

const CHANNELS = new Set(['ticker', 'trade', 'ohlc', 'book']);

/** The hub's key of a subscription: `ohlc:5:BTC/USD`; an error in Kraken's words if there is no such thing. */
function keyOf(params: Params, symbol: string): { key: string } | { error: string } {
  const channel = String(params.channel);
  if (channel === 'ohlc') {
    const interval = Number(params.interval ?? 1);
    if (!KRAKEN_INTERVALS.includes(interval)) return { error: `OHLC interval not supported` };
    return { key: `ohlc:${interval}:${symbol}` };
  }
  if (channel === 'book') {
    const depth = Number(params.depth ?? 10);
    if (!BOOK_DEPTHS.includes(depth)) return { error: 'Subscription depth not supported' };
    return { key: `book:${depth}:${symbol}` };
  }
  return { key: `${channel}:0:${symbol}` };
}

interface Context {
  readonly now: Millis;
  readonly symbols: ReadonlySet<string>;
}

function onCommand(socket: FeedSocket, command: Command, context: Context): void {
  const stamp = isoMicros(context.now);
  const { method } = command;
  const answer = (body: object): void => {
    const id = command.req_id === undefined ? {} : { req_id: command.req_id };
    socket.reply(JSON.stringify({ method, ...body, ...id, time_in: stamp, time_out: stamp }));
  };
  const params = command.params ?? {};
  if (method === 'ping') {
    answer({ method: 'pong' });
  } else if (method !== 'subscribe' && method !== 'unsubscribe') {
    answer({ success: false, error: 'Method not supported' });
  } else if (typeof params.channel !== 'string' || !CHANNELS.has(params.channel)) {
    answer({ success: false, error: 'Channel not supported' });
  } else {
    for (const symbol of strings(params.symbol)) {
      const found = context.symbols.has(symbol)
        ? keyOf(params, symbol)
        : { error: `Currency pair not supported ${symbol}` };
      if ('error' in found) {
        answer({ success: false, error: found.error, symbol });
        continue;
      }
      const { channel, interval, depth } = params;
      answer({ success: true, result: { channel, symbol, interval, depth, snapshot: true } });
      if (method === 'subscribe') socket.join(found.key);
      else socket.leave(found.key);
    }
  }
}

export function createKrakenFeed({ truth }: { readonly truth: MarketTruth }): FeedVenue {
  const markets = new Map(
    truth.markets('kraken').map((market) => [krakenFeedSymbol(market), market] as const),
  );
  const symbols = new Set(markets.keys());
  return {
    id: 'kraken',
    hosts: ['ws.kraken.com'],
    heartbeat: '{"channel":"heartbeat"}',
    open: (socket) =>
      socket.reply(
        JSON.stringify({
          channel: 'status',
          type: 'update',
          data: [{ version: '2.0.10', system: 'online', api_version: 'v2', connection_id: 12893674 }],
        }),
      ),
    message: (socket, text, now) => {
      const command: Command | undefined = parseCommand(text);
      if (command) onCommand(socket, command, { now, symbols });
      else socket.reply('{"error":"Invalid JSON","success":false}');
    },
    channel: (key) => {
      const [channel, argument, symbol = ''] = key.split(':');
      const market = markets.get(symbol);
      if (!market) return undefined;
      if (channel === 'ticker') return tickerChannel(market);
      if (channel === 'trade') return tradeChannel(market);
      if (channel === 'ohlc') return ohlcChannel(market, Number(argument));
      return krakenBookChannel(market, Number(argument));
    },
  };
}
