/** Trades and candles: sequences, of which each item is shown once and in order, and what is missing is reported. */
import { parseInterval, periodEnd, type Interval } from '../../lib/intervals.js';
import { learnInterval } from '../../lib/venue-periods.js';
import type { Candle, Trade } from '../../schemas/market.js';
import type { Millis } from '../../schemas/common.js';
import type { StreamItem } from '../../exchanges/exchange-client.js';
import { type ChannelState, type Gap, isFarAhead, type ItemOrigin, type Judgement } from './channel-state.js';

type TradesItem = Extract<StreamItem, { channel: 'trades' }>;

/** Trades remembered by id, so that overlapping batches (a venue's snapshot after a reconnect) repeat none. */
const MAX_SEEN_TRADES = 5000;
/** Latest trades kept for new subscribers. */
export const MAX_RECENT_TRADES = 50;

const tradeKey = ({ trade_id, timestamp, price, amount, side }: Trade): string =>
  trade_id ?? `${timestamp}|${String(price)}|${String(amount)}|${String(side)}`;

/**
 * Every trade once, oldest first. Trades older than what was first shown are history, not news. What turns out to have
 * happened before a trade that was shown already is not shown behind it, but counted as lost; a new subscriber's first event
 * has it in its place.
 */
export class TradesState implements ChannelState {
  readonly #seen = new Map<string, Millis>();
  #recent: Trade[] = [];
  /** Trades before this instant may have been seen and forgotten. */
  #horizon: Millis = 0;
  #primed = false;
  /** The next batch of the feed may repeat trades that are known. */
  #overlap = true;
  #newest: Millis = 0;
  /** The newest trade that came another way than by the feed, which may be behind it. */
  #newestElsewhere: Millis = 0;
  /** Up to here nothing is missing; null while the feed itself sees to that. */
  #wholeUpTo: Millis | null = null;
  /** Since the last interruption. */
  #feedSpoke = false;
  #gap: Gap | null = null;
  #lost = 0;

  accept(item: StreamItem, { via, seam = false, receivedAt }: ItemOrigin): Judgement {
    if (item.channel !== 'trades') return 'late';
    if (isFarAhead(this.#newest, receivedAt)) this.#newest = this.#newestElsewhere = 0;
    const isBehind = item.trades.some(({ timestamp }) => timestamp < this.#newestElsewhere);
    const overlap = via === 'rest' || this.#overlap || isBehind;
    if (via === 'rest') this.#judgeGap(item.trades);
    // An answer that was overtaken by the feed: what is newer in it the feed brings itself.
    const overtaken = via === 'rest' && this.#feedSpoke && !seam;
    if (via === 'feed') this.#feedSpoke = true;
    if (via === 'feed' && !seam) this.#overlap = false;
    const [late, next] = this.#sortOut(item.trades, overlap);
    this.#lost += late.length;
    const shown = overtaken ? [] : next;
    for (const trade of [...late, ...shown]) this.#remember(trade);
    if (via === 'rest') this.#newestElsewhere = this.#newest;
    if (via === 'rest') this.#wholeUpTo = this.#feedSpoke || seam ? null : this.#newest;
    if (!this.#primed) {
      this.#primed = true;
      this.#horizon = shown[0]?.timestamp ?? 0;
    }
    if (late.length + shown.length > 0) this.#keepRecent([...late, ...shown]);
    return shown.length === 0 ? 'repeated' : { channel: 'trades', trades: shown };
  }

  isNews(item: StreamItem): boolean {
    return item.channel === 'trades' && item.trades.some((trade) => this.#isFresh(trade, true));
  }

  /** Known, even if empty, once a first batch or answer was here. */
  snapshot(): TradesItem | null {
    return this.#primed ? { channel: 'trades', trades: this.#recent } : null;
  }

  interrupted(): void {
    this.#overlap = true;
    this.#feedSpoke = false;
    if (this.#primed) this.#wholeUpTo ??= this.#newest;
  }

  takeGap(): Gap | null {
    const gap = this.#gap;
    this.#gap = null;
    return gap;
  }

  takeLost(): number {
    const lost = this.#lost;
    this.#lost = 0;
    return lost;
  }

  /** What is new, oldest first: late trades, and those that can be shown. The feed's own order is the venue's. */
  #sortOut(trades: readonly Trade[], overlap: boolean): [late: Trade[], next: Trade[]] {
    const fresh = trades
      .filter((trade) => this.#isFresh(trade, overlap))
      .sort((a, b) => a.timestamp - b.timestamp);
    const next = overlap ? fresh.findIndex(({ timestamp }) => timestamp >= this.#newest) : 0;
    return next === -1 ? [fresh, []] : [fresh.slice(0, next), fresh.slice(next)];
  }

  #keepRecent(fresh: readonly Trade[]): void {
    this.#recent = [...this.#recent, ...fresh]
      .sort((a, b) => a.timestamp - b.timestamp)
      .slice(-MAX_RECENT_TRADES);
  }

  /** REST looks back over so many trades, not over a time: a break in a busy market may be longer. */
  #judgeGap(trades: readonly Trade[]): void {
    const from = this.#wholeUpTo;
    if (from === null || from === 0 || trades.length === 0) return;
    const to = trades.reduce((oldest, { timestamp }) => Math.min(oldest, timestamp), Infinity);
    // A trade that was known before the break proves it too: where a venue gives no times, they are those of receipt.
    const meets = trades.some((trade) => (this.#seen.get(tradeKey(trade)) ?? Infinity) <= from);
    if (to > from && !meets) this.#gap = { from, to };
  }

  /** A trade without an id is told from its like by its values, but only where batches can overlap. */
  #isFresh(trade: Trade, overlap: boolean): boolean {
    if (trade.timestamp < this.#horizon) return false;
    return (trade.trade_id === null && !overlap) || !this.#seen.has(tradeKey(trade));
  }

  #remember(trade: Trade): void {
    this.#seen.set(tradeKey(trade), trade.timestamp);
    this.#newest = Math.max(this.#newest, trade.timestamp);
    if (this.#seen.size <= MAX_SEEN_TRADES) return;
    const [oldest] = this.#seen;
    if (oldest === undefined) return;
    this.#seen.delete(oldest[0]);
    this.#horizon = Math.max(this.#horizon, oldest[1]);
  }
}

type OhlcvItem = Extract<StreamItem, { channel: 'ohlcv' }>;

/** Candles that a new subscriber is shown: the last closed one and the open one. */
const SHOWN_CANDLES = 2;
/** Newest candles remembered. */
const MAX_KNOWN_CANDLES = 3;
/** Candles that REST is asked for at most to close a gap; what lies before them is lost, and reported. */
const MAX_WANTED_CANDLES = 500;

const same = (a: Candle, b: Candle): boolean =>
  a.open === b.open &&
  a.high === b.high &&
  a.low === b.low &&
  a.close === b.close &&
  a.volume === b.volume &&
  a.closed === b.closed;

/**
 * A sequence of periods, each shown as closed once and in order. When the feed goes on to the next period, the candle
 * before it is sent once more with `closed: true`. After a break, and where candles are polled, only the venue knows how
 * a period ended: REST is asked for all since the last one that is known, and what it does not have any more is a gap.
 */
export class OhlcvState implements ChannelState {
  readonly #named: Interval | undefined;
  /** As long as the candles have shown it to be. */
  #interval: Interval | undefined;
  /** Oldest first. */
  #known: Candle[] = [];
  #interrupted = false;
  #gap: Gap | null = null;

  constructor(interval = '') {
    this.#named = parseInterval(interval);
    this.#interval = this.#named;
  }

  accept(item: StreamItem, { via, seam = false }: ItemOrigin): Judgement {
    if (item.channel !== 'ohlcv' || item.candles.length === 0) return 'repeated';
    const incoming = item.candles.toSorted((a, b) => a.timestamp - b.timestamp);
    this.#learn(incoming);
    const newest = this.#known.at(-1);
    const fresh = incoming.filter((candle) => isFresh(candle, newest));
    const interrupted = this.#interrupted;
    // The feed goes on from here: from REST where the two overlap, else from what it says of the newest candle.
    const confirmed = incoming.some(({ timestamp }) => timestamp === newest?.timestamp);
    if (confirmed && (via === 'feed' || seam)) this.#interrupted = false;
    if (fresh.length === 0)
      return incoming.every(({ timestamp }) => timestamp < (newest?.timestamp ?? 0)) ? 'late' : 'repeated';
    const reached = incoming.some(({ timestamp }) => timestamp <= (newest?.timestamp ?? Infinity));
    if (newest !== undefined) {
      if (via === 'rest' || interrupted) this.#judgeGap(newest, { fresh, reached });
      else closePrevious(newest, fresh);
    }
    // Past a gap, which is reported, the feed itself is whole again.
    if (via === 'feed' || seam) this.#interrupted = false;
    this.#remember(fresh);
    // Of a first batch only the newest: what lies before was over when this stream began.
    return { channel: 'ohlcv', candles: newest === undefined ? fresh.slice(-MAX_KNOWN_CANDLES) : fresh };
  }

  isNews(item: StreamItem): boolean {
    return item.channel === 'ohlcv' && item.candles.some((candle) => this.#isNewer(candle));
  }

  snapshot(): OhlcvItem | null {
    return this.#known.length === 0 ? null : { channel: 'ohlcv', candles: this.#known.slice(-SHOWN_CANDLES) };
  }

  interrupted(): void {
    this.#interrupted = true;
  }

  takeGap(): Gap | null {
    const gap = this.#gap;
    this.#gap = null;
    return gap;
  }

  wanted(now: Millis): number {
    const newest = this.#known.at(-1);
    if (newest === undefined || this.#interval === undefined) return SHOWN_CANDLES;
    // One more for a period that begins meanwhile, or by a clock that is a little ahead of ours.
    const periods = Math.ceil((now - newest.timestamp) / this.#interval.ms) + 1;
    return Math.min(MAX_WANTED_CANDLES, Math.max(SHOWN_CANDLES, periods));
  }

  /** Trading that the feed did not show: a changed candle, or a later one in which something was traded. */
  #isNewer(candle: Candle): boolean {
    const newest = this.#known.at(-1);
    if (newest === undefined || candle.timestamp < newest.timestamp) return false;
    if (candle.timestamp > newest.timestamp) return candle.volume === null || candle.volume > 0;
    return candle.close !== newest.close || candle.volume !== newest.volume;
  }

  /**
   * `reached`: the answer begins at the newest known candle or before. Its holes are the venue's own then: periods in
   * which nothing was traded.
   */
  #judgeGap(
    newest: Candle,
    { fresh, reached }: { readonly fresh: readonly Candle[]; readonly reached: boolean },
  ): void {
    const next = fresh.find(({ timestamp }) => timestamp > newest.timestamp)?.timestamp;
    if (next === undefined) return;
    const isClosed = fresh.some(({ timestamp, closed }) => timestamp === newest.timestamp && closed);
    if (!newest.closed && !isClosed) {
      this.#gap = { from: newest.timestamp, to: next };
      return;
    }
    const end = this.#interval === undefined ? next : periodEnd(this.#interval, newest.timestamp);
    if (!reached && end < next) this.#gap = { from: end, to: next };
  }

  #learn(incoming: readonly Candle[]): void {
    if (this.#named === undefined) return;
    const starts = new Set([...this.#known, ...incoming].map(({ timestamp }) => timestamp));
    if (starts.size > 1)
      this.#interval = learnInterval(
        this.#named,
        [...starts].sort((a, b) => a - b),
      );
  }

  #remember(fresh: readonly Candle[]): void {
    const replaced = new Set(fresh.map(({ timestamp }) => timestamp));
    this.#known = [...this.#known.filter(({ timestamp }) => !replaced.has(timestamp)), ...fresh]
      .sort((a, b) => a.timestamp - b.timestamp)
      .slice(-MAX_KNOWN_CANDLES);
  }
}

/** A closed candle is final, and so is everything before the newest one. */
const isFresh = (candle: Candle, newest: Candle | undefined): boolean => {
  if (newest === undefined || candle.timestamp > newest.timestamp) return true;
  return candle.timestamp === newest.timestamp && !newest.closed && !same(newest, candle);
};

const closePrevious = (newest: Candle, fresh: Candle[]): void => {
  const next = fresh.findIndex((candle) => candle.timestamp > newest.timestamp);
  const isClosed = fresh.some((candle) => candle.timestamp === newest.timestamp && candle.closed);
  if (next === -1 || newest.closed || isClosed) return;
  const open = fresh.findIndex((candle) => candle.timestamp === newest.timestamp);
  if (open === -1) fresh.splice(next, 0, { ...newest, closed: true });
  else fresh[open] = { ...(fresh[open] ?? newest), closed: true };
};
