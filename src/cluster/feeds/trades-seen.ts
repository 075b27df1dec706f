/** How far this server's own feed of trades, and what was published of the topic, have got: where the two overlap. */
import type { StreamItem } from '../../exchanges/exchange-client.js';
import type { Millis } from '../../schemas/common.js';
import { isFarAhead } from '../../streams/channels/channel-state.js';
import type { ItemSource } from '../../streams/feed/feed-source.js';

/** Of its trades; one of the future tells nothing. */
const newestOf = (item: StreamItem, { receivedAt }: ItemSource): Millis =>
  item.channel === 'trades'
    ? Math.max(
        -Infinity,
        ...item.trades.flatMap(({ timestamp }) => (isFarAhead(timestamp, receivedAt) ? [] : [timestamp])),
      )
    : -Infinity;

export class TradesSeen {
  /** The newest trade that this server's own feed has shown. */
  #own: Millis = -Infinity;
  /** The newest trade that was published, by this server or by whom it followed. */
  #published: Millis = -Infinity;

  /** Clients of this server have seen what no other server's have. */
  get isOwnAhead(): boolean {
    return this.#own > this.#published;
  }

  byOwnFeed(item: StreamItem, source: ItemSource): void {
    this.#own = Math.max(this.#own, newestOf(item, source));
  }

  byPublication(item: StreamItem, source: ItemSource): void {
    this.#published = Math.max(this.#published, newestOf(item, source));
  }

  /** What this server's own feed has shown is published by this server. */
  ownPublished(): void {
    this.#published = Math.max(this.#published, this.#own);
  }

  /** The owner may be behind what this server's feed had shown before it ended. */
  isBehindOwn(item: StreamItem): boolean {
    return item.channel === 'trades' && item.trades.some(({ timestamp }) => timestamp <= this.#own);
  }
}
