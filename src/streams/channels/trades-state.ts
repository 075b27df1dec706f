import type { Trade } from '../../schemas/market.js';
import type { Millis } from '../../schemas/common.js';
import type { StreamItem } from '../../exchanges/exchange-client.js';
import { type ChannelState, type Gap, isFarAhead, type ItemOrigin, type Judgement } from './channel-state.js';

type TradesItem = Extract<StreamItem, { channel: 'trades' }>;

/** Trades remembered by id, so that overlapping batches (a venue's snapshot after a reconnect) repeat none. */
const MAX_SEEN_TRADES = 5000;
/** Latest trades kept for newcomers. */
const MAX_RECENT_TRADES = 50;

const keyOf = ({ trade_id, timestamp, price, amount, side }: Trade): string =>
  trade_id ?? `${timestamp}|${String(price)}|${String(amount)}|${String(side)}`;

/**
 * Every trade once, oldest first. Trades older than what was first shown are history, not news. What turns out to have
 * happened before a trade that was shown already is not shown behind it, but counted as lost; a newcomer's first event
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
  /** Up to here nothing is missing; null while the feed itself sees to that. */
  #wholeUpTo: Millis | null = null;
  /** Since the last interruption. */
  #feedSpoke = false;
  #gap: Gap | null = null;
  #lost = 0;

  accept(item: StreamItem, { via, seam = false, receivedAt }: ItemOrigin): Judgement {
    if (item.channel !== 'trades') return 'late';
    if (isFarAhead(this.#newest, receivedAt)) this.#newest = 0;
    const overlap = via === 'rest' || this.#overlap;
    if (via === 'rest') this.#judgeGap(item.trades);
    // An answer that was overtaken by the feed: what is newer in it the feed brings itself.
    const overtaken = via === 'rest' && this.#feedSpoke && !seam;
    if (via === 'feed') this.#feedSpoke = true;
    if (via === 'feed' && !seam) this.#overlap = false;
    const [late, next] = this.#sortOut(item.trades, overlap);
    this.#lost += late.length;
    const shown = overtaken ? [] : next;
    for (const trade of [...late, ...shown]) this.#remember(trade);
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
    const meets = trades.some((trade) => (this.#seen.get(keyOf(trade)) ?? Infinity) <= from);
    if (to > from && !meets) this.#gap = { from, to };
  }

  /** A trade without an id is told from its like by its values, but only where batches can overlap. */
  #isFresh(trade: Trade, overlap: boolean): boolean {
    if (trade.timestamp < this.#horizon) return false;
    return (trade.trade_id === null && !overlap) || !this.#seen.has(keyOf(trade));
  }

  #remember(trade: Trade): void {
    this.#seen.set(keyOf(trade), trade.timestamp);
    this.#newest = Math.max(this.#newest, trade.timestamp);
    if (this.#seen.size <= MAX_SEEN_TRADES) return;
    const [oldest] = this.#seen;
    if (oldest === undefined) return;
    this.#seen.delete(oldest[0]);
    this.#horizon = Math.max(this.#horizon, oldest[1]);
  }
}
