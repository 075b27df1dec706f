/** One CCXT watch call per channel, and what of CCXT's state is the item once it woke us. */
import { AppError } from '../../../errors.js';
import type { Candle } from '../../../schemas/market.js';
import type { Millis } from '../../../schemas/common.js';
import { HOUR_MS, periodEnd, type Interval } from '../../../lib/intervals.js';
import { isIrregular, learnInterval } from '../../../lib/venue-periods.js';
import {
  begunCandles,
  normalizeCandles,
  normalizeOrderBook,
  normalizeTicker,
  normalizeTrades,
  type BookFigures,
} from '../../normalizer.js';
import type { StreamItem, StreamTopic } from '../../exchange-client.js';
import { bookFaultOf } from '../../refusals.js';
import { type CcxtExchange, isTable, member } from '../ccxt-exchange.js';
import type { WatchDeps } from './venue-watch.js';
import { correctedTicker, correctedTrades } from '../../venues/corrections.js';
import { watchQuirks } from '../../venues/watch-quirks.js';
import { rowAsSent } from './feed-names.js';
import { forgetReadCandles, forgetReadTrades } from './ccxt-tables.js';

/** Levels a side of an order book item. */
const BOOK_LEVELS = 20;
/** Levels read: some may be of amount zero. */
const READ_LEVELS = 30;
/** The candle before the open one, for its final figures, and the open one. */
const CANDLES = 2;
/** Candles of one item at most, where several periods went by between two reads. */
const MAX_CANDLES = 500;
/** A period is over by the clock no sooner than this after its end: the venue's last update may lag. */
const CLOSE_MARGIN_MS: Millis = 2_000;

export interface ChannelReader {
  /** Settles when CCXT has something new; what, `read` tells. */
  next(): Promise<unknown>;
  /** undefined where there is nothing for this topic. Throws an AppError for what makes no sense. */
  read(result: unknown): StreamItem | undefined;
  /** CCXT's table has what `read` gives, whatever `next` settles with: it is enough to know that a message came. */
  isHeld?(): boolean;
}

export interface ReaderContext {
  readonly instance: CcxtExchange;
  readonly topic: StreamTopic;
  readonly deps: Pick<WatchDeps, 'exchange' | 'now' | 'venueNow' | 'interval'>;
}

const isList = (value: unknown): value is readonly unknown[] => Array.isArray(value);

/** Whether an item's time is only that of receipt, in which case it does not put the item in order. */
const untimed = (timed: boolean): { readonly untimed?: true } => (timed ? {} : { untimed: true });

const receipt = ({ deps }: ReaderContext) => ({
  exchange: deps.exchange,
  now: deps.now(),
  venueNow: deps.venueNow(),
});

/**
 * CCXT resolves with the first of several tickers that came in one go and drops the others; its table has the last one.
 */
const tickerReader = (context: ReaderContext): ChannelReader => {
  const { instance, topic } = context;
  const held = (): unknown => member(member(instance, 'tickers'), topic.symbol);
  return {
    next: () => instance.watchTicker(topic.symbol),
    read: (result) => {
      const ticker = correctedTicker(context.deps.exchange, held() ?? result);
      const { raw, timed, ...figures } = normalizeTicker(ticker, receipt(context));
      return { channel: 'ticker', ...figures, ...untimed(timed), rawJson: JSON.stringify(rowAsSent(raw)) };
    },
    isHeld: () => held() !== undefined,
  };
};

/** `newUpdates` gives each trade once: those since the last call. */
const tradesReader = (context: ReaderContext): ChannelReader => {
  const { instance, topic } = context;
  return {
    next: () => instance.watchTrades(topic.symbol),
    read: (result) => {
      const list = correctedTrades(context.deps.exchange, isList(result) ? Array.from(result) : result);
      const trades = normalizeTrades(list, receipt(context));
      forgetReadTrades(instance, topic.symbol);
      return trades.length === 0 ? undefined : { channel: 'trades', trades };
    },
  };
};

const top = (side: unknown): unknown =>
  isList(side) ? Array.from({ length: Math.min(side.length, READ_LEVELS) }, (_, index) => side[index]) : side;

/**
 * Bids above asks: an update was lost, which shows in no other way on some venues' feeds. Equal ones (a locked book) are
 * what some markets show while orders wait to be matched.
 */
const isCrossed = ({ bids, asks }: Pick<BookFigures, 'bids' | 'asks'>): boolean =>
  bids[0] !== undefined && asks[0] !== undefined && bids[0].price > asks[0].price;

/** Never with a small limit, which loses levels (docs/ccxt.md#feeds); the live book is copied here, before any await. */
const orderBookReader = (context: ReaderContext): ChannelReader => {
  const { instance, topic, deps } = context;
  const { bookParams } = watchQuirks(deps.exchange);
  return {
    next: () => instance.watchOrderBook(topic.symbol, undefined, { ...bookParams }),
    read: (result) => {
      if (!isTable(result)) return undefined;
      const { bids, asks, timestamp } = result;
      const sliced = { bids: top(bids), asks: top(asks), timestamp };
      const { timed, ...book } = normalizeOrderBook(sliced, receipt(context), BOOK_LEVELS);
      if (isCrossed(book)) throw bookFaultOf(deps.exchange, 'crossed');
      return { channel: 'orderbook', ...book, ...untimed(timed) };
    },
  };
};

/** Whether the latest of a series' starts is over by the venue's clock: its period is as long as the rows show, not as its name says. */
const createIsLatestOver = (named: Interval) => {
  let wasIrregular = false;
  return (starts: readonly Millis[], venueNow: Millis): boolean => {
    const latest = starts.at(-1);
    if (latest === undefined) return false;
    const interval = learnInterval(named, starts);
    // The rows that showed it may be gone since.
    wasIrregular ||= isIrregular(interval, starts);
    const slack = CLOSE_MARGIN_MS + (wasIrregular ? HOUR_MS : 0);
    return periodEnd(interval, latest) + slack <= venueNow;
  };
};

/** Never with `since`, which empties the answer on Kraken. Whatever woke us: the table by interval is the truth. */
const ohlcvReader = (context: ReaderContext): ChannelReader => {
  const { instance, topic, deps } = context;
  const { interval: text } = topic;
  const { interval } = deps;
  if (interval === undefined || text === undefined)
    throw new AppError('interval_not_supported', 'An ohlcv feed needs an interval of the exchange.');
  // Rows of an earlier connection may lack their last updates.
  const before = member(member(instance, 'ohlcvs'), topic.symbol);
  if (isTable(before)) Reflect.deleteProperty(before, text);
  const held = (): unknown => member(member(member(instance, 'ohlcvs'), topic.symbol), text);
  /** Of the last item: whatever came since is in the next one, also where the thread was busy for several periods. */
  let readUpTo: Millis = Infinity;
  const isLatestOver = createIsLatestOver(interval);
  return {
    next: () => instance.watchOHLCV(topic.symbol, text),
    read: () => {
      const stored = held();
      if (!isList(stored)) return undefined;
      const received = receipt(context);
      const listed = normalizeCandles(Array.from(stored).slice(-MAX_CANDLES), received);
      const known = begunCandles(listed, received, interval.ms);
      const unread = known.filter(({ timestamp }) => timestamp >= readUpTo).length;
      const rows = known.slice(-Math.max(CANDLES, unread));
      readUpTo = rows.at(-1)?.timestamp ?? readUpTo;
      const starts = known.map(({ timestamp }) => timestamp);
      const isOver = isLatestOver(starts, deps.venueNow());
      forgetReadCandles(stored);
      const candles = rows.map((row, index): Candle => ({
        ...row,
        closed: index < rows.length - 1 || isOver,
      }));
      return candles.length === 0 ? undefined : { channel: 'ohlcv', candles };
    },
    isHeld: () => isList(held()),
  };
};

/** Throws `interval_not_supported` for an ohlcv topic without a valid interval. */
export const createReader = (context: ReaderContext): ChannelReader => {
  switch (context.topic.channel) {
    case 'ticker':
      return tickerReader(context);
    case 'trades':
      return tradesReader(context);
    case 'orderbook':
      return orderBookReader(context);
    case 'ohlcv':
      return ohlcvReader(context);
  }
};
