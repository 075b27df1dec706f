/** Tickers and order books: only the latest counts, and a new subscriber is shown that. */
import type { PriceLevel } from '../../schemas/market.js';
import type { StreamItem } from '../../exchanges/exchange-client.js';
import type { Millis } from '../../schemas/common.js';
import { type ChannelState, isFarAhead, type ItemOrigin, type Judgement } from './channel-state.js';

type TickerItem = Extract<StreamItem, { channel: 'ticker' }>;

/** After so many late ticks in a row it is the clock that was set back, not the ticks that are old. */
const CLOCK_RESET_AFTER = 20;

const samePrices = (a: TickerItem, b: TickerItem): boolean =>
  a.last === b.last && a.bid === b.bid && a.ask === b.ask;

/** The last tick; a tick with an older venue time than the newest seen is late and never shown. */
export class TickerState implements ChannelState {
  #last: TickerItem | null = null;
  #newest: Millis = 0;
  #lateInARow = 0;

  accept(item: StreamItem, { timed, receivedAt }: ItemOrigin): Judgement {
    if (item.channel !== 'ticker') return 'late';
    if (isFarAhead(this.#newest, receivedAt)) this.#newest = 0;
    if (timed && this.#isLate(item)) return 'late';
    const last = this.#last;
    if (last !== null && samePrices(last, item) && (!timed || last.timestamp === item.timestamp))
      return 'repeated';
    this.#last = item;
    if (timed) this.#newest = item.timestamp;
    return item;
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

  #isLate({ timestamp }: TickerItem): boolean {
    if (timestamp >= this.#newest) {
      this.#lateInARow = 0;
      return false;
    }
    this.#lateInARow += 1;
    if (this.#lateInARow < CLOCK_RESET_AFTER) return true;
    this.#lateInARow = 0;
    return false;
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
