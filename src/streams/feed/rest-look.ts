/** A look over REST at what a feed shows, or should show. */
import { AppError } from '../../errors.js';
import type { Millis } from '../../schemas/common.js';
import { STREAM_TRADES, itemOf, requestOf, type RestItem } from '../rest-items.js';
import type { FeedOptions } from './feed-api.js';

/** A look over REST has settled by then. */
export const REST_DEADLINE_MS: Millis = 10_000;

/** Never rejects. `trades`: how many to ask for where the channel is trades. */
export type RestLook = (trades?: number) => Promise<RestItem | AppError>;

export const createRestLook =
  ({ topic, exchanges, monotonic }: FeedOptions, signal: AbortSignal): RestLook =>
  async (trades = STREAM_TRADES) => {
    try {
      const { body, receivedAt } = await exchanges.fetch(requestOf(topic, trades), {
        deadline: monotonic() + REST_DEADLINE_MS,
        signal,
        priority: 'poll',
      });
      return itemOf(topic, body, receivedAt);
    } catch (thrown) {
      return AppError.from(thrown);
    }
  };
