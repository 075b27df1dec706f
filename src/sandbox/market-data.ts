// Candles, trades and tickers of a market in whole ticks and lots: what the wire formats are made from.
import { mix } from './hash.js';
import { DAY, MINUTE, type Interval, type Millis } from './intervals.js';
import { itemAt } from './item-at.js';
import { type Market } from './listings.js';
import { bookSide, toTicks, type Level } from './order-book.js';
import { SLOT, type Bar } from './price-path.js';

/** Trade ids count the slots from here on. */
const FIRST_TRADE_AT: Millis = Date.UTC(2015, 0, 1);

/** A candle in whole ticks and lots, as the wire formats need it. */
export interface RawCandle {
  readonly start: Millis;
  /** Beginning of the next period. */
  readonly end: Millis;
  readonly open: number;
  readonly high: number;
  readonly low: number;
  readonly close: number;
  readonly lots: number;
  readonly trades: number;
}

/** A trade in whole ticks and lots. */
export interface RawTrade {
  readonly id: number;
  readonly time: Millis;
  readonly price: number;
  readonly lots: number;
  /** The taker's side. */
  readonly side: 'buy' | 'sell';
}

/** A ticker in whole ticks and lots; open, high, low and volume are of the last 24 hours, in whole minutes. */
export interface RawTicker extends RawCandle {
  readonly time: Millis;
  readonly bid: Level;
  readonly ask: Level;
  readonly trade: RawTrade;
}

/** Which candles: those that begin within [from, to], as they stand at `now`. */
export interface CandleRange {
  readonly interval: Interval;
  readonly from: Millis;
  readonly to: Millis;
  readonly now: Millis;
}

export const slotOf = (time: Millis): number => Math.floor(time / SLOT);
const tradeId = (slot: number): number => slot - FIRST_TRADE_AT / SLOT;
export const slotOfTrade = (id: number): number => id + FIRST_TRADE_AT / SLOT;

function toCandle(market: Market, bar: Bar, period: { start: Millis; end: Millis }): RawCandle {
  return {
    ...period,
    open: toTicks(market, bar.open),
    high: toTicks(market, bar.high),
    low: toTicks(market, bar.low),
    close: toTicks(market, bar.close),
    lots: bar.lots * market.share,
    trades: bar.trades,
  };
}

/** The candle of one period as it stands at `now`; undefined if nothing has traded in it. */
export function rawCandle(
  market: Market,
  period: { start: Millis; end: Millis },
  now: Millis,
): RawCandle | undefined {
  const from = Math.max(period.start, market.listedAt);
  const to = Math.min(period.end, (slotOf(now) + 1) * SLOT);
  if (to <= from) return undefined;
  const bar = market.tree.aggregate(from, to);
  return bar.lots > 0 ? toCandle(market, bar, period) : undefined;
}

/** Candles oldest first, at most `limit`; a period without a trade has none. */
export function rawCandles(market: Market, range: CandleRange, limit: number): RawCandle[] {
  const { interval, now } = range;
  const candles: RawCandle[] = [];
  let start = interval.start(Math.max(range.from, market.listedAt));
  if (start < range.from) start = interval.next(start);
  for (; start <= Math.min(range.to, now) && candles.length < limit; start = interval.next(start)) {
    const candle = rawCandle(market, { start, end: interval.next(start) }, now);
    if (candle) candles.push(candle);
  }
  return candles;
}

/** The trade of a slot; undefined where a thin market has none, or before the listing. */
function rawTrade(market: Market, slot: number): RawTrade | undefined {
  const { price, lots } = market.tree.slot(slot);
  if (lots === 0 || slot * SLOT < market.listedAt) return undefined;
  return {
    id: tradeId(slot),
    time: slot * SLOT,
    price: toTicks(market, price),
    lots: lots * market.share,
    side: mix(market.key, slot) % 2 === 0 ? 'buy' : 'sell',
  };
}

/** Trades of the slots [from, to], oldest first, the first `limit` of them. */
export function rawTrades(market: Market, slots: { from: number; to: number }, limit: number): RawTrade[] {
  const trades: RawTrade[] = [];
  const first = Math.max(slots.from, slotOf(market.listedAt));
  for (let slot = first; slot <= slots.to && trades.length < limit; slot += 1) {
    const trade = rawTrade(market, slot);
    if (trade) trades.push(trade);
  }
  return trades;
}

/** How far back a search for the latest trades of a thin market goes, in slots. */
const MAX_TRADE_SEARCH = 72_000;

/** The latest `limit` trades up to a slot, oldest first. */
export function latestTrades(market: Market, slot: number, limit: number): RawTrade[] {
  const trades: RawTrade[] = [];
  const end = Math.max(slotOf(market.listedAt), slot - Math.max(limit, MAX_TRADE_SEARCH));
  for (let at = slot; at >= end && trades.length < limit; at -= 1) {
    const trade = rawTrade(market, at);
    if (trade) trades.push(trade);
  }
  return trades.reverse();
}

const dayBars = new WeakMap<Market, { minute: Millis; bar: Bar }>();

/** The ticker as it stands at `time`. */
export function rawTicker(market: Market, time: Millis): RawTicker {
  const slot = slotOf(time);
  const minute = Math.floor(time / MINUTE) * MINUTE;
  const start = minute + MINUTE - DAY;
  let day = dayBars.get(market);
  if (day?.minute !== minute) {
    day = { minute, bar: market.tree.aggregate(start, minute) };
    dayBars.set(market, day);
  }
  const now = market.tree.aggregate(minute, (slot + 1) * SLOT);
  const bar = join(day.bar, now);
  const trade = market.thin ? latestTrades(market, slot, 1)[0] : rawTrade(market, slot);
  return {
    ...toCandle(market, bar, { start, end: time }),
    time,
    bid: itemAt(bookSide(market, { slot, side: 'bid' }, 1), 0),
    ask: itemAt(bookSide(market, { slot, side: 'ask' }, 1), 0),
    trade: trade ?? { id: tradeId(slot), time, price: toTicks(market, bar.close), lots: 1, side: 'buy' },
  };
}

const join = (a: Bar, b: Bar): Bar => ({
  open: a.open,
  high: Math.max(a.high, b.high),
  low: Math.min(a.low, b.low),
  close: b.close,
  lots: a.lots + b.lots,
  trades: a.trades + b.trades,
});
