// Order books of venues that the sandbox does not simulate: CCXT's own handlers, fed with the venues' documented messages.
import { beforeEach, describe, expect, it } from 'vitest';
import { BookSocket, type BookFeed } from './book-feed.js';
import { CONTRACT_FEEDS } from './contract-book-feeds.js';
import { SPOT_FEEDS } from './spot-book-feeds.js';

const NAMED = [...SPOT_FEEDS, ...CONTRACT_FEEDS].map((feed) => ({
  ...feed,
  name: `${feed.exchange} (${feed.markets[0].symbol}, ${feed.url})`,
}));

/** Two books after five updates each: enough for numbers that the venue does not document to be believed. */
const opened = async (feed: BookFeed): Promise<BookSocket> => {
  const socket = await BookSocket.open(feed);
  const [market, other] = feed.markets;
  for (let step = 1; step <= 5; step += 1) for (const each of feed.markets) socket.update(each, step);
  expect(socket.faults).toEqual({ [market.symbol]: [], [other.symbol]: [] });
  expect(socket.bids(market)).toEqual([
    [99, 1],
    [98, 5],
  ]);
  socket.woken.length = 0;
  return socket;
};

describe.each(NAMED)('order books of $name', (feed) => {
  const [market, other] = feed.markets;
  let socket: BookSocket;
  beforeEach(async () => {
    socket = await opened(feed);
  });

  const expectOthersAlive = (): void => {
    socket.update(other, 6);
    expect(socket.bids(other)).toEqual([
      [99, 1],
      [98, 6],
    ]);
    expect(socket.faults[other.symbol]).toEqual([]);
    expect(socket.rejected).toEqual([]);
  };

  it('are known to be wrong at the message after a lost one, which changes nothing, alone on their socket', () => {
    socket.update(market, 7, ['97', '7']);
    expect(socket.faults[market.symbol]).toEqual(['sequence']);
    expect(socket.woken).toEqual([]);
    expect(socket.bids(market)).toBeUndefined();
    socket.update(market, 8, ['97', '8']);
    expect(socket.woken).toEqual([]);
    expect(socket.faults[market.symbol]).toEqual(['sequence']);
    expectOthersAlive();
  });

  it('take a repeated message for what it is', () => {
    socket.update(market, 5);
    expect(socket.faults[market.symbol]).toEqual([]);
    expect(socket.bids(market)?.[1]).toEqual([98, 5]);
    socket.update(market, 6);
    expect(socket.bids(market)?.[1]).toEqual([98, 6]);
  });

  it('are known to be wrong at the first of two messages in the wrong order', () => {
    socket.update(market, 7);
    socket.update(market, 6);
    expect(socket.faults[market.symbol]).toEqual(['sequence']);
    expectOthersAlive();
  });

  it('are known to be wrong when another message has the number of the last one', () => {
    socket.update(market, 5, ['97', '7']);
    expect(socket.faults[market.symbol]).toEqual(['sequence']);
    expect(socket.bids(market)).toBeUndefined();
    expectOthersAlive();
  });

  it('are known to be wrong when counting begins anew without a whole book', () => {
    for (const step of [-900, -899]) socket.update(market, step, ['97', '7']);
    expect(socket.faults[market.symbol]).toEqual(['sequence']);
    expectOthersAlive();
  });

  it('are whole again once they are subscribed anew, without a level from before', () => {
    socket.update(market, 7);
    socket.subscribe(market, 20);
    expect(socket.bids(market)).toEqual([[99, 1]]);
    for (const step of [21, 22]) socket.update(market, step, ['96', String(step)]);
    expect(socket.bids(market)).toEqual([
      [99, 1],
      [96, 22],
    ]);
    expect(socket.faults[market.symbol]).toEqual(['sequence']);
    expectOthersAlive();
  });
});

describe.each(NAMED.filter(({ startsWhole }) => startsWhole === true))(
  'a whole book of $name in the middle',
  (feed) => {
    it('replaces the one before, with no level from before, and the updates after it count on', async () => {
      const socket = await opened(feed);
      const [market, other] = feed.markets;
      socket.whole(market, 40);
      expect(socket.bids(market)).toEqual([[99, 1]]);
      socket.update(market, 41, ['95', '1']);
      expect(socket.bids(market)).toEqual([
        [99, 1],
        [95, 1],
      ]);
      expect(socket.faults).toEqual({ [market.symbol]: [], [other.symbol]: [] });
      socket.update(market, 43, ['95', '2']);
      expect(socket.faults).toEqual({ [market.symbol]: ['sequence'], [other.symbol]: [] });
    });
  },
);
