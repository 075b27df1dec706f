/**
 * Feeds of venues whose sockets take so many subscriptions each. CCXT's Binance spreads what it subscribes over sockets
 * by number, but counts what ever was subscribed, puts all candles on one socket, and beyond its limit goes on after one
 * error. Here a feed takes a place on the emptiest socket and gives it back with its end.
 */
import { AppError } from '../../../errors.js';
import type { ExchangeId } from '../../../schemas/common.js';
import type { CcxtExchange } from '../ccxt-exchange.js';
import { isMethod } from '../tables.js';
import { feedOfCall, type FeedSubscriptions } from './watch-subscriptions.js';

export interface Places {
  readonly sockets: number;
  /** Subscriptions that one socket takes. */
  readonly each: number;
}

/**
 * Once per instance. CCXT's `stream` answers with the socket's number, which becomes the end of its URL; it throws
 * `not_supported_by_exchange` where all places are taken.
 */
export const giveOutPlaces = (
  instance: CcxtExchange,
  { exchange, sockets, each }: Places & { readonly exchange: ExchangeId },
): void => {
  const original: unknown = Reflect.get(instance, 'stream');
  if (!isMethod(original)) return;
  const taken = Array.from({ length: sockets }, () => 0);
  const placeOf = new WeakMap<FeedSubscriptions, number>();

  const take = (feed: FeedSubscriptions): number => {
    if (feed.released) throw new Error('The feed was closed before it took a place.');
    const emptiest = taken.indexOf(Math.min(...taken));
    const count = taken[emptiest] ?? 0;
    if (count >= each)
      throw new AppError(
        'not_supported_by_exchange',
        `${exchange} takes ${sockets * each} live feeds, which are all taken.`,
      );
    taken[emptiest] = count + 1;
    placeOf.set(feed, emptiest);
    feed.onRelease.push(() => (taken[emptiest] = (taken[emptiest] ?? 1) - 1));
    return emptiest;
  };

  Reflect.set(instance, 'stream', (...args: unknown[]) => {
    const feed = feedOfCall();
    if (feed === undefined) return original.apply(instance, args);
    return String(placeOf.get(feed) ?? take(feed));
  });
};
