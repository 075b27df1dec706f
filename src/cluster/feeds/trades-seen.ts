/** How far this server's own feed of trades, and what was published of the topic, have got: where the two overlap. */
import type { StreamItem } from '../../exchanges/exchange-client.js';
import type { Millis } from '../../schemas/common.js';
import { isFarAhead } from '../../streams/channels/channel-state.js';
import { positionOf } from '../../streams/event-ids.js';
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
  /** The newest trade that was published before the present owner began. */
  #before: Millis = -Infinity;
  #epoch: string | undefined;

  /** Clients of this server have seen what no other server's have. */
  get isOwnAhead(): boolean {
    return this.#own > this.#published;
  }

  byOwnFeed(item: StreamItem, source: ItemSource): void {
    this.#own = Math.max(this.#own, newestOf(item, source));
  }

  byPublication(item: StreamItem, source: ItemSource): void {
    const epoch = positionOf(source.id ?? '')?.epoch;
    if (epoch !== this.#epoch) this.#before = this.#published;
    this.#epoch = epoch;
    this.#published = Math.max(this.#published, newestOf(item, source));
  }

  /** What this server's own feed has shown is published by this server. */
  ownPublished(): void {
    this.#published = Math.max(this.#published, this.#own);
  }

  /** The owner may be behind what this server's feed, or an owner before it, had shown. Of an item that was published. */
  isBehind(item: StreamItem): boolean {
    const shown = Math.max(this.#own, this.#before);
    return item.channel === 'trades' && item.trades.some(({ timestamp }) => timestamp <= shown);
  }
}
