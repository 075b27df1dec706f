// What stands around CCXT's handlers of order book messages, beyond the holes that book-integrity.test.ts makes.
import { describe, expect, it } from 'vitest';
import { BookGuard } from '../../../../../src/exchanges/ccxt/feeds/book-guard.js';
import { loadExchangeClass } from '../../../../../src/exchanges/ccxt/loader.js';
import { member } from '../../../../../src/exchanges/ccxt/ccxt-exchange.js';
import { BookSocket, spot, type BookFeed } from '../../venues/book-feed.js';
import { CONTRACT_FEEDS } from '../../venues/contract-book-feeds.js';
import { SPOT_FEEDS } from '../../venues/spot-book-feeds.js';

const feedOf = (exchange: string): BookFeed => {
  const feed = [...SPOT_FEEDS, ...CONTRACT_FEEDS].find((one) => one.exchange === exchange);
  if (feed === undefined) throw new Error(`There is no feed of ${exchange}.`);
  return feed;
};

describe('a feed of updates that waits for its REST book', () => {
  it('forgets what came before a lost update, which no later book could join', async () => {
    const socket = await BookSocket.connect(feedOf('binance'));
    const [market] = feedOf('binance').markets;
    socket.listen(market);
    socket.snapshot(market, undefined);
    for (const step of [1, 2]) socket.update(market, step);
    expect(member(socket.held(market), 'cache')).toHaveLength(2);
    socket.update(market, 5);
    expect(member(socket.held(market), 'cache')).toHaveLength(1);
    expect(socket.faults[market.symbol]).toEqual([]);
  });

  it('counts on from the last update where CCXT holds nothing at all yet', async () => {
    const socket = await BookSocket.connect(feedOf('binance'));
    const [market] = feedOf('binance').markets;
    socket.listen(market);
    for (const step of [1, 2, 5]) socket.update(market, step);
    socket.snapshot(market, 1010);
    socket.update(market, 6);
    socket.update(market, 8);
    expect(socket.faults[market.symbol]).toEqual(['sequence']);
  });

  it('is subscribed anew where the asked-for snapshot is older than the first update', async () => {
    const feed = feedOf('bitvavo');
    const [market, other] = feed.markets;
    const socket = await BookSocket.connect(feed);
    const answer = ({ id }: { readonly id: string }, nonce: number) => ({
      action: 'getBook',
      response: { market: id, nonce, bids: [['99', '1']], asks: [['101', '1']] },
    });
    for (const each of feed.markets) {
      socket.listen(each);
      socket.snapshot(each, undefined);
      Object.assign(socket.client['subscriptions'] as object, {
        [`book@${each.id}`]: { [`watchingOrderBookSnapshot@${each.id}`]: true },
      });
      for (const step of [4, 5]) socket.update(each, step);
    }
    socket.say(market, answer(market, 1002), 'handleOrderBookSnapshot');
    expect(socket.faults[market.symbol]).toEqual(['sequence']);
    expect(socket.bids(market)).toBeUndefined();
    socket.say(other, answer(other, 1003), 'handleOrderBookSnapshot');
    expect(socket.faults[other.symbol]).toEqual([]);
    expect(socket.bids(other)).toEqual([
      [99, 1],
      [98, 5],
    ]);
  });
});

describe('the end of a feed', () => {
  it('leaves its book to CCXT, and a book of another feed of the same symbol guarded', async () => {
    const feed = feedOf('bybit');
    const [market] = feed.markets;
    const socket = await BookSocket.connect(feed);
    const endOfFirst = socket.subscribe(market);
    const endOfSecond = socket.subscribe(market, 10);
    endOfFirst();
    socket.update(market, 13);
    expect(socket.faults[market.symbol]).toEqual(['sequence']);
    // A wrong book stays closed to updates that are still under way, whoever has gone.
    endOfSecond();
    socket.whole(market, 20);
    expect(socket.bids(market)).toBeUndefined();
  });

  it('judges no message of that symbol any more', async () => {
    const feed = feedOf('bybit');
    const [market] = feed.markets;
    const socket = await BookSocket.connect(feed);
    socket.subscribe(market)();
    socket.update(market, 7);
    expect(socket.bids(market)).toEqual([
      [99, 1],
      [98, 7],
    ]);
    expect(socket.faults[market.symbol]).toEqual([]);
  });
});

describe('a message that CCXT can not apply', () => {
  // https://docs.cdp.coinbase.com/exchange/websocket-feed/channels#level2-batch-channel
  const coinbaseexchange: BookFeed = {
    exchange: 'coinbaseexchange',
    markets: spot('BTC-USDT', 'ETH-USDT'),
    url: 'wss://ws-feed.exchange.coinbase.com',
    startsWhole: true,
    message: ({ id, whole, bids, asks }) =>
      whole
        ? { type: 'snapshot', product_id: id, bids, asks }
        : { type: 'l2update', product_id: id, changes: bids.map((level) => ['buy', ...level]) },
  };

  it('ends the feed of its book alone', async () => {
    const [market, other] = coinbaseexchange.markets;
    const socket = await BookSocket.open(coinbaseexchange);
    socket.say(market, { type: 'l2update', product_id: market.id, changes: [['hold', '98', '1']] });
    expect(socket.faults).toEqual({ [market.symbol]: ['unreadable'], [other.symbol]: [] });
    socket.update(other, 1);
    expect(socket.bids(other)?.[1]).toEqual([98, 1]);
  });

  it('since it comes before the whole book is passed over', async () => {
    const [market] = coinbaseexchange.markets;
    const socket = await BookSocket.connect(coinbaseexchange);
    socket.listen(market);
    socket.update(market, 1);
    expect(socket.faults[market.symbol]).toEqual([]);
    socket.whole(market, 2);
    expect(socket.bids(market)).toEqual([[99, 1]]);
  });

  it('is one of the sequence where CCXT says so', async () => {
    const feed = feedOf('cryptocom');
    const [market, other] = feed.markets;
    const socket = await BookSocket.open(feed);
    // CCXT's own number of the book differs: the guard has nothing against this message.
    Object.assign(socket.held(market) as object, { nonce: 1 });
    socket.update(market, 1);
    expect(socket.faults).toEqual({ [market.symbol]: ['sequence'], [other.symbol]: [] });
  });

  it('and that names no book is thrown as without a guard', async () => {
    const feed = feedOf('kucoin');
    const socket = await BookSocket.open(feed);
    expect(() => {
      socket.say(feed.markets[0], { data: {} }, 'handleOrderBook');
    }).toThrow(TypeError);
    expect(Object.values(socket.faults)).toEqual([[], []]);
  });
});

describe('messages that are counted by socket', () => {
  const coinbase: BookFeed = {
    exchange: 'coinbase',
    markets: spot('BTC-USDT', 'ETH-USDT'),
    url: 'wss://advanced-trade-ws.coinbase.com',
    startsWhole: true,
    // https://docs.cdp.coinbase.com/coinbase-app/advanced-trade-apis/websocket/websocket-channels#level2-channel
    message: ({ id, step, whole, bids, asks }) => ({
      ...{ channel: 'l2_data', timestamp: '2026-01-14T06:15:15.250000Z', sequence_num: step },
      events: [eventOf(id, { whole, bids, asks })],
    }),
  };
  const eventOf = (
    id: string,
    {
      whole,
      bids,
      asks,
    }: { whole: boolean; bids: readonly unknown[][] | readonly unknown[]; asks: readonly unknown[] },
  ) => ({
    type: whole ? 'snapshot' : 'update',
    product_id: id,
    updates: [...bids.map((level) => ['bid', level]), ...asks.map((level) => ['offer', level])].map(
      ([side, level]) => {
        const [price_level, new_quantity] = level as readonly string[];
        return { side, event_time: '2026-01-14T06:15:15.25Z', price_level, new_quantity };
      },
    ),
  });
  const [market, other] = coinbase.markets;
  /** Both books after four messages: enough for the numbers to be believed. */
  const opened = async (): Promise<BookSocket> => {
    const socket = await BookSocket.connect(coinbase);
    socket.subscribe(market, 0);
    socket.subscribe(other, 1);
    socket.update(market, 2);
    socket.update(other, 3);
    return socket;
  };

  it('renew all books of the socket after a hole, and count on from there', async () => {
    const socket = await opened();
    socket.update(market, 5);
    expect(socket.faults).toEqual({ [market.symbol]: ['sequence'], [other.symbol]: ['sequence'] });
    expect(socket.bids(market)).toBeUndefined();
    socket.subscribe(market, 6);
    socket.subscribe(other, 7);
    socket.update(market, 8, ['97', '8']);
    expect(socket.bids(market)).toEqual([
      [99, 1],
      [97, 8],
    ]);
    socket.update(market, 10);
    expect(socket.faults[other.symbol]).toEqual(['sequence', 'sequence']);
  });

  it('change nothing when they are repeated, and say nothing without a number', async () => {
    const socket = await opened();
    socket.update(other, 3);
    socket.say(market, { channel: 'subscriptions', events: [{ subscriptions: {} }] });
    socket.say(market, { channel: 'heartbeats', sequence_num: 4, events: [] });
    socket.update(market, 5);
    expect(socket.faults).toEqual({ [market.symbol]: [], [other.symbol]: [] });
    expect(socket.bids(market)?.[1]).toEqual([98, 5]);
  });

  it('begin anew at 0 on a new connection', async () => {
    const socket = await opened();
    socket.whole(market, 0);
    socket.update(market, 1);
    expect(socket.faults).toEqual({ [market.symbol]: [], [other.symbol]: [] });
  });

  it('renew what is right beside what is wrong in one message, since CCXT applies all of it or nothing', async () => {
    const socket = await BookSocket.connect(coinbase);
    socket.subscribe(market, 0);
    socket.listen(other);
    const levels = { whole: false, bids: [['98', '2']], asks: [] };
    socket.say(market, {
      ...{ channel: 'l2_data', timestamp: '2026-01-14T06:15:15.250000Z', sequence_num: 1 },
      events: [eventOf(market.id, levels), eventOf(other.id, levels)],
    });
    expect(socket.faults).toEqual({ [market.symbol]: ['sequence'], [other.symbol]: [] });
    expect(socket.bids(market)).toBeUndefined();
  });
});

it('a guard refuses a class of CCXT without the handler that it stands around', async () => {
  const instance = new (await loadExchangeClass('kraken'))({});
  const record = { startsWhole: true, readers: { handleBooks: () => [] } };
  expect(() => new BookGuard(instance, record)).toThrow('CCXT has no method handleBooks.');
});
