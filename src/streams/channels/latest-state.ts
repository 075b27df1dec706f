/** Tickers and order books: only the latest counts, and a new subscriber is shown that. */
import type { PriceLevel } from '../../schemas/market.js';
import type { StreamItem } from '../../exchanges/exchange-client.js';
import type { Millis } from '../../schemas/common.js';
import {
  type ChannelState,
  isFarAhead,
  type ItemOrigin,
  type Judgement,
  MAX_AHEAD_MS,
} from './channel-state.js';

type TickerItem = Extract<StreamItem, { channel: 'ticker' }>;

/** After so many late ticks in a row it is the clock that was set back, not the ticks that are old. */
const CLOCK_RESET_AFTER = 20;
/** The same, where they are further behind a time of receipt than two clocks differ: one may be an old tick. */
const WRONG_CLOCK_AFTER = 2;

const samePrices = (a: TickerItem, b: TickerItem): boolean =>
  a.last === b.last && a.bid === b.bid && a.ask === b.ask;

/**
 * The last tick. One with an older time than the newest that was shown is late and never shown, so that no price and no
 * time goes back. Some ticks bear the time of their receipt, by this machine's clock, which may be ahead of the venue's: those
 * give way to what is known, and silence the ticks behind them only for as long as these may truly be older.
 */
export class TickerState implements ChannelState {
  #last: TickerItem | null = null;
  #newest: Millis = 0;
  /** Whose time of receipt `#newest` is; null: it is the venue's own time. */
  #receiptOf: ItemOrigin['via'] | null = null;
  #lateInARow = 0;

  accept(item: StreamItem, origin: ItemOrigin): Judgement {
    if (item.channel !== 'ticker') return 'late';
    const { via, timed, receivedAt } = origin;
    if (isFarAhead(this.#newest, receivedAt)) this.#newest = 0;
    const shown = this.#inOrder(item, origin);
    if (shown === null) return 'late';
    const last = this.#last;
    if (last !== null && samePrices(last, shown) && (!timed || last.timestamp === shown.timestamp))
      return 'repeated';
    if (shown === item) this.#receiptOf = timed ? null : via;
    this.#last = shown;
    this.#newest = shown.timestamp;
    return shown;
  }

  /** The price alone: many venues send a tick only with a trade, whatever bid and ask do in between. */
  isNews(item: StreamItem): boolean {
    return item.channel === 'ticker' && item.last !== null && item.last !== this.#last?.last;
  }

  snapshot(): TickerItem | null {
    return this.#last;
  }

  interrupted(): void {
    this.#lateInARow = 0;
  }

  /** The tick with a time that is not older than the newest; null: it is late. */
  #inOrder(item: TickerItem, { via, timed }: ItemOrigin): TickerItem | null {
    const behind = this.#newest - item.timestamp;
    if (behind <= 0) {
      this.#lateInARow = 0;
      return item;
    }
    // It came later, and its time is ours to say.
    if (!timed) return { ...item, timestamp: this.#newest };
    this.#lateInARow += 1;
    const isWrongClock = this.#receiptOf !== null && behind > MAX_AHEAD_MS;
    if (this.#lateInARow >= (isWrongClock ? WRONG_CLOCK_AFTER : CLOCK_RESET_AFTER)) {
      this.#lateInARow = 0;
      return item;
    }
    // Ticks of one feed come in their order: this one is newer than that without a time of its own.
    return this.#receiptOf === 'feed' && via === 'feed' ? { ...item, timestamp: this.#newest } : null;
  }
}

type BookItem = Extract<StreamItem, { channel: 'orderbook' }>;

const sameSide = (a: readonly PriceLevel[], b: readonly PriceLevel[]): boolean =>
  a.length === b.length &&
  a.every((level, index) => level.price === b[index]?.price && level.amount === b[index].amount);

const sameLevels = (a: BookItem, b: BookItem): boolean =>
  sameSide(a.bids, b.bids) && sameSide(a.asks, b.asks);

/**
 * The top levels as they were last shown. A feed's books come in the order of its connection and some venues mix their
 * own time with ours, so that only a REST answer can be late.
 */
export class OrderBookState implements ChannelState {
  #last: BookItem | null = null;

  accept(item: StreamItem, { via, timed, receivedAt }: ItemOrigin): Judgement {
    if (item.channel !== 'orderbook') return 'late';
    const last = this.#last;
    if (last !== null) {
      const isLate = item.timestamp < last.timestamp && !isFarAhead(last.timestamp, receivedAt);
      if (via === 'rest' && timed && isLate) return 'late';
      if (sameLevels(last, item)) return 'repeated';
    }
    this.#last = item;
    return item;
  }

  /** A different best bid or ask; deeper levels a REST snapshot may round or cut in its own way. */
  isNews(item: StreamItem): boolean {
    if (item.channel !== 'orderbook') return false;
    const last = this.#last;
    return last?.bids[0]?.price !== item.bids[0]?.price || last?.asks[0]?.price !== item.asks[0]?.price;
  }

  snapshot(): BookItem | null {
    return this.#last;
  }

  forget(): void {
    this.#last = null;
  }

  interrupted(): void {
    // The next book is a whole one; nothing that is known decides over it.
  }
}
