// What the venues' messages say of their order books where they do not follow the common pattern.
import { crc32 } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { loadExchangeClass } from '../../../../src/exchanges/ccxt/loader.js';
import { bookIntegrity, bookRecord } from '../../../../src/exchanges/venues/book-integrity.js';
import { BookSocket, TIME, spot, swap, type BookFeed, type Level } from './book-feed.js';
import { CONTRACT_FEEDS } from './contract-book-feeds.js';
import { SPOT_FEEDS } from './spot-book-feeds.js';

const READ = [...new Set([...SPOT_FEEDS, ...CONTRACT_FEEDS].map(({ exchange }) => exchange))].concat([
  'coinbase',
  'coinbaseexchange',
  'bitfinex',
  'kraken',
]);

describe.each(READ)('a reader of %s', (exchange) => {
  it('finds no book in a message of another form', async () => {
    const instance = new (await loadExchangeClass(exchange))({});
    const messages = [
      undefined,
      null,
      'text',
      7,
      [],
      {},
      { data: [] },
      { data: {} },
      { arg: {} },
      { events: [{}] },
    ];
    const found = Object.values(bookRecord(exchange)?.readers ?? {}).flatMap((read) =>
      messages.flatMap((message) => [
        ...read(message, { client: { url: 'wss://venue' }, subscription: {}, instance }),
        ...read(message, { client: { url: 'wss://venue' }, subscription: undefined, instance }),
      ]),
    );
    expect(found).toEqual([]);
  });
});

describe('books of few levels, which come whole each time and without numbers', () => {
  const side = { bids: [['98', '2']] as readonly Level[], asks: [['101', '1']] as readonly Level[] };
  const SHALLOW: readonly (readonly [exchange: string, url: string, (id: string) => unknown])[] = [
    [
      'okx',
      'wss://ws.okx.com:8443/ws/v5/public',
      (instId) => ({ arg: { channel: 'books5', instId }, data: [{ ...side, instId, ts: String(TIME) }] }),
    ],
    [
      'kucoin',
      'wss://ws-api-spot.kucoin.com/',
      (id) => ({
        ...{ type: 'message', topic: `/spotMarket/level2Depth5:${id}`, subject: 'level2' },
        data: { ...side, timestamp: TIME },
      }),
    ],
    [
      'bitget',
      'wss://ws.bitget.com/v2/ws/public',
      (instId) => ({
        ...{ action: 'snapshot', arg: { instType: 'SPOT', channel: 'books15', instId } },
        data: [{ ...side, ts: String(TIME) }],
      }),
    ],
  ];

  it.each(SHALLOW)('are applied as they come on %s', async (exchange, url, message) => {
    const markets = spot('BTC-USDT', 'ETH-USDT');
    const [market] = markets;
    const subscriptions = ({ symbol }: { readonly symbol: string }) => ({ [`books5:${symbol}`]: true });
    const socket = await BookSocket.connect({ exchange, url, markets, message: () => null, subscriptions });
    socket.listen(market);
    for (let count = 0; count < 2; count += 1) socket.say(market, message(market.id));
    expect(socket.faults[market.symbol]).toEqual([]);
    expect(socket.bids(market)).toEqual([[98, 2]]);
  });
});

describe("Bitget's checksum", () => {
  const feed: BookFeed = {
    exchange: 'bitget',
    markets: spot('BTCUSDT', 'ETHUSDT'),
    url: 'wss://ws.bitget.com/v2/ws/public',
    startsWhole: true,
    message: () => null,
  };
  const [market] = feed.markets;
  const say = (socket: BookSocket, action: string, update: object): void => {
    const arg = { instType: 'SPOT', channel: 'books', instId: market.id };
    socket.say(market, { action, arg, data: [{ asks: [], bids: [], ts: String(TIME), ...update }] });
  };
  /** Signed, over bids and asks in turn, in the venue's own spelling (Bitget, "Calculate Checksum"). */
  const checksum = (levels: string): number => crc32(levels) | 0;
  const WHOLE = {
    bids: [['99.50', '1.0']],
    asks: [
      ['101.00', '1'],
      ['102', '3.10'],
    ],
  };
  const AFTER = checksum('99.50:1.0:101.00:1:99:2:102:3.10');
  const opened = async (): Promise<BookSocket> => {
    const socket = await BookSocket.connect(feed);
    socket.listen(market);
    say(socket, 'snapshot', { ...WHOLE, checksum: 0 });
    return socket;
  };

  it('holds the book once it has agreed, in the texts that the venue sent', async () => {
    const socket = await opened();
    say(socket, 'update', { bids: [['99', '2']], checksum: AFTER });
    expect(socket.bids(market)).toEqual([
      [99.5, 1],
      [99, 2],
    ]);
    say(socket, 'update', { bids: [['98', '2']], checksum: AFTER });
    expect(socket.faults[market.symbol]).toEqual(['checksum']);
    expect(socket.bids(market)).toBeUndefined();
  });

  it('that never agreed, or is 0, costs nobody the book', async () => {
    const socket = await opened();
    say(socket, 'update', { bids: [['99', '2']], checksum: AFTER + 1 });
    say(socket, 'update', { bids: [['99', '2']], checksum: AFTER });
    say(socket, 'update', { bids: [['98', '2']], checksum: 0 });
    expect(socket.faults[market.symbol]).toEqual([]);
    // CCXT's own check, which wakes nobody at a checksum that it finds wrong, is off.
    expect(socket.woken).toHaveLength(4);
    expect(socket.bids(market)).toHaveLength(3);
  });

  it('is not needed: numbers that only grow are counted where none names the one before', async () => {
    const socket = await opened();
    say(socket, 'snapshot', { ...WHOLE, seq: 5 });
    say(socket, 'update', { bids: [['99', '2']], seq: 9 });
    expect(socket.faults[market.symbol]).toEqual([]);
    say(socket, 'update', { bids: [['98', '2']], seq: 8 });
    expect(socket.faults[market.symbol]).toEqual(['sequence']);
  });
});

describe("Bitfinex's books", () => {
  const feed: BookFeed = {
    exchange: 'bitfinex',
    markets: [
      { id: 'tBTCUST', symbol: 'BTC/USDT' },
      { id: 'tETHUST', symbol: 'ETH/USDT' },
    ],
    url: 'wss://api-pub.bitfinex.com/ws/2',
    startsWhole: true,
    handler: 'handleOrderBook',
    subscription: ({ id }) => ({ symbol: id, channel: 'book', prec: 'P0', len: '25' }),
    // https://docs.bitfinex.com/reference/ws-public-books: price, count, amount, asks with amounts below 0
    message: ({ whole, bids, asks }) => {
      const levels = [
        ...bids.map(([price, amount]) => [Number(price), 1, Number(amount)]),
        ...asks.map(([price, amount]) => [Number(price), 1, -Number(amount)]),
      ];
      return [17_082, whole ? levels : levels[0]];
    },
  };
  const [market, other] = feed.markets;

  it('begin with a whole one, which replaces what was held, and fail alone at a wrong checksum', async () => {
    const socket = await BookSocket.connect(feed);
    for (const each of feed.markets) socket.listen(each);
    socket.update(market, 1);
    expect(socket.bids(market)).toBeUndefined();
    for (const each of feed.markets) socket.whole(each, 2);
    socket.update(market, 3);
    expect(socket.bids(market)?.length).toBe(2);
    socket.whole(market, 4);
    expect(socket.bids(market)).toEqual([[99, 1]]);
    const right = crc32('99:1:101:-1') | 0;
    socket.say(market, [17_082, 'cs', right], 'handleChecksum');
    expect(socket.rejected).toEqual([]);
    socket.say(market, [17_082, 'cs', right + 1], 'handleChecksum');
    expect(socket.rejected).toEqual([`book:${market.id}`]);
    expect(socket.bids(market)).toBeUndefined();
    expect(socket.bids(other)).toEqual([[99, 1]]);
  });
});

it("Kraken's books are judged under the symbol that its feed names", async () => {
  const markets = swap('X', 'Y');
  const socket = await BookSocket.connect({ exchange: 'kraken', url: '', markets, message: () => null });
  const whole = { symbol: 'BTC/USDT:USDT', bids: [{ price: 99, qty: 1 }], asks: [], checksum: 1 };
  socket.listen(markets[0]);
  socket.say(markets[0], { channel: 'book', type: 'snapshot', data: [whole] });
  expect(socket.bids(markets[0])).toEqual([[99, 1]]);
});

describe('what is told of a venue', () => {
  it.each([
    ['okx', 'sequence'],
    ['kraken', 'checksum'],
    ['upbit', 'snapshot'],
    ['coinbaseexchange', 'crosscheck'],
    ['gemini', 'crosscheck'],
    ['constructor', 'crosscheck'],
  ])('%s: %s', (exchange, kind) => {
    expect(bookIntegrity(exchange)).toBe(kind);
  });

  it.each(['upbit', 'gemini', 'nado', 'independentreserve'])(
    'nothing judges the messages of %s',
    (exchange) => {
      expect(bookRecord(exchange)).toBeNull();
    },
  );
});
