import type { PriceLevel } from '../../schemas/market.js';
import type { StreamItem } from '../../exchanges/exchange-client.js';
import { type ChannelState, isFarAhead, type ItemOrigin, type Judgement } from './channel-state.js';

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
