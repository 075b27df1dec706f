/** A look over REST at what a feed shows, or should show. */
import { AppError } from '../../errors.js';
import type { ExchangeClient, StreamTopic } from '../../exchanges/exchange-client.js';
import type { Millis } from '../../schemas/common.js';
import { STREAM_TRADES, itemOf, requestOf, type RestItem } from '../rest-items.js';

/** A look over REST has settled by then. */
export const REST_DEADLINE_MS: Millis = 10_000;

/** Refusals of this server itself: the venue was not asked, so that they say nothing about it. */
const OWN_REFUSALS: ReadonlySet<string> = new Set([
  'upstream_budget_exhausted',
  'overloaded',
  'shutting_down',
]);
export const isOwnRefusal = ({ code }: AppError): boolean => OWN_REFUSALS.has(code);

/** Never rejects. One attempt: whoever looks has a back-off of his own. `trades`: how many to ask for where the channel is trades. */
export type RestLook = (trades?: number) => Promise<RestItem | AppError>;

/** What a look needs of its feed's options. */
interface LookOptions {
  readonly topic: StreamTopic;
  readonly exchanges: Pick<ExchangeClient, 'fetch'>;
  readonly monotonic: () => Millis;
  /** How many rows to ask for; undefined: as many as always. */
  readonly listener: { wanted(): number | undefined };
}

export const createRestLook =
  ({ topic, exchanges, monotonic, listener }: LookOptions, signal: AbortSignal): RestLook =>
  async (trades = STREAM_TRADES) => {
    try {
      const answer = await exchanges.fetch(requestOf(topic, { trades, candles: listener.wanted() }), {
        deadline: monotonic() + REST_DEADLINE_MS,
        signal,
        priority: 'poll',
        attempts: 1,
      });
      return itemOf(topic, answer);
    } catch (thrown) {
      return AppError.from(thrown);
    }
  };
