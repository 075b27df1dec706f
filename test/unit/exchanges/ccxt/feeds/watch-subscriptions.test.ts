import { beforeEach, describe, expect, it } from 'vitest';
import type { CcxtExchange } from '../../../../../src/exchanges/ccxt/ccxt-exchange.js';
import {
  type FeedSubscriptions,
  asFeed,
  assignSockets,
  release,
  undoing,
} from '../../../../../src/exchanges/ccxt/feeds/watch-subscriptions.js';

/** CCXT's own method, which knows no feeds. */
class FakeBinance {
  readonly asked: unknown[] = [];
  stream(...args: readonly unknown[]): string {
    this.asked.push(args);
    return '7';
  }
}

let venue: FakeBinance;
const instance = (): CcxtExchange => venue as unknown as CcxtExchange;

beforeEach(() => {
  venue = new FakeBinance();
  assignSockets(instance(), { exchange: 'binance', sockets: 2, each: 2 });
});

const newFeed = (): FeedSubscriptions => ({
  topic: { channel: 'ticker', exchange: 'binance', symbol: 'BTC/USDT' },
  noted: new Map(),
  waiting: new Map(),
  onRelease: [],
  onNoted: () => undefined,
  released: false,
});
/** As a watch call does: after it has awaited something. */
const socketOf = (feed: FeedSubscriptions): Promise<string> =>
  asFeed(feed, async () => {
    await Promise.resolve();
    return venue.stream('spot', 'hash');
  });

describe('subscriptions of a venue whose sockets take so many each', () => {
  it('are spread over the sockets, and a feed keeps its own', async () => {
    const feeds = [newFeed(), newFeed(), newFeed()];
    expect(await Promise.all(feeds.map(socketOf))).toEqual(['0', '1', '0']);
    expect(await Promise.all(feeds.map(socketOf))).toEqual(['0', '1', '0']);
  });

  it('are refused when all are taken, and given out again once a feed has ended, however often', async () => {
    const feeds = [newFeed(), newFeed(), newFeed(), newFeed()];
    await Promise.all(feeds.map(socketOf));
    for (let round = 0; round < 3; round++) {
      const late = newFeed();
      await expect(socketOf(late)).rejects.toMatchObject({
        code: 'not_supported_by_exchange',
        message: 'binance takes 4 live feeds, which are all taken.',
      });
      const ended = feeds.shift()!;
      release(instance(), ended, new Error('closed'));
      release(instance(), ended, new Error('closed twice'));
      expect(['0', '1']).toContain(await socketOf(late));
      feeds.push(late);
    }
    await expect(socketOf(newFeed())).rejects.toThrow('all taken');
  });

  it('are not taken by a feed that has ended', async () => {
    for (let round = 0; round < 5; round++) {
      const feed = newFeed();
      release(instance(), feed, new Error('closed'));
      await expect(socketOf(feed)).rejects.toThrow('closed before it had a socket');
    }
    expect(await Promise.all([newFeed(), newFeed(), newFeed(), newFeed()].map(socketOf))).toHaveLength(4);
  });

  it('leave calls alone that no feed makes, and instances without such sockets', () => {
    expect(venue.stream('spot', 'hash')).toBe('7');
    expect(venue.asked).toEqual([['spot', 'hash']]);
    expect(() => {
      assignSockets({} as CcxtExchange, { exchange: 'binance', sockets: 2, each: 2 });
    }).not.toThrow();
  });
});

describe('the frame that undoes a subscription', () => {
  it.each([
    [
      { method: 'SUBSCRIBE', params: ['a'] },
      { method: 'UNSUBSCRIBE', params: ['a'] },
    ],
    [
      { type: 'subscribe', product_ids: ['a'] },
      { type: 'unsubscribe', product_ids: ['a'] },
    ],
    [
      { op: 'subscribe', args: ['a'] },
      { op: 'unsubscribe', args: ['a'] },
    ],
    [{ action: 'sub' }, { action: 'unsub' }],
  ])('of %j is %j', (frame, expected) => {
    expect(undoing(frame)).toEqual(expected);
  });

  it('is unknown for frames in other forms', () => {
    expect(undoing({ req: 'market.btc' })).toBeUndefined();
    expect(undoing('subscribe')).toBeUndefined();
    expect(undoing(undefined)).toBeUndefined();
  });
});
