// Order books of venues that the sandbox does not simulate: CCXT's own handlers, fed with the venues' documented messages.
import { beforeEach, describe, expect, it } from 'vitest';
import type { BookFault } from '../../../../src/errors.js';
import type { CcxtExchange } from '../../../../src/exchanges/ccxt/ccxt-exchange.js';
import { BookGuard } from '../../../../src/exchanges/ccxt/feeds/book-guard.js';
import { loadExchangeClass } from '../../../../src/exchanges/ccxt/loader.js';
import { isMethod, member } from '../../../../src/exchanges/ccxt/tables.js';
import { bookRecord } from '../../../../src/exchanges/venues/book-integrity.js';
import { FEEDS, type BookFeed, type MarketRow } from './book-feeds.js';

type Level = readonly [string, string];

const marketOf = ({ id, symbol, contract = false }: MarketRow) => {
  const [base = '', quote = ''] = symbol.split(/[/:]/);
  return {
    id,
    symbol,
    base,
    quote,
    settle: contract ? quote : undefined,
    type: contract ? 'swap' : 'spot',
    spot: !contract,
    swap: contract,
    contract,
    linear: contract ? true : undefined,
    active: true,
    precision: { price: 0.01, amount: 0.001 },
    limits: {},
    info: {},
  };
};

/** One socket of a venue with both markets' books open on it. */
class Socket {
  readonly faults: Record<string, BookFault[]> = {};
  /** Symbols in the order in which CCXT woke their loops. */
  readonly woken: unknown[] = [];
  readonly rejected: unknown[] = [];
  readonly #instance: CcxtExchange;
  readonly #feed: BookFeed;
  readonly #guard: BookGuard;
  readonly client: Record<string, unknown>;

  private constructor(feed: BookFeed, instance: CcxtExchange, guard: BookGuard) {
    this.#feed = feed;
    this.#instance = instance;
    this.#guard = guard;
    this.client = {
      url: feed.url,
      subscriptions: Object.assign(
        {},
        ...feed.markets.map((market) => feed.subscriptions?.(market) ?? {}),
      ) as object,
      futures: {},
      resolve: (book: unknown) => this.woken.push(member(book, 'symbol')),
      reject: (error: unknown) => this.rejected.push(error),
    };
  }

  static async open(feed: BookFeed): Promise<Socket> {
    const instance = new (await loadExchangeClass(feed.exchange))({});
    const setMarkets: unknown = Reflect.get(instance, 'setMarkets');
    if (isMethod(setMarkets)) setMarkets.call(instance, feed.markets.map(marketOf));
    const record = bookRecord(feed.exchange);
    if (record === null) throw new Error('nothing judges these books');
    const socket = new Socket(feed, instance, new BookGuard(instance, record));
    for (const market of feed.markets) socket.subscribe(market);
    return socket;
  }

  /** As the loop of a feed does; where the venue sends updates only, CCXT has its REST snapshot from the start. */
  subscribe(market: MarketRow, step = 0): void {
    const { symbol } = market;
    this.faults[symbol] ??= [];
    this.#guard.open(symbol, (fault) => this.faults[symbol]?.push(fault));
    const { startsWhole, whole, nonceOf } = this.#feed;
    if (startsWhole) this.say(whole(market, step));
    else this.#snapshot(symbol, nonceOf?.(step) ?? 0);
  }

  #snapshot(symbol: string, nonce: number): void {
    const make: unknown = Reflect.get(this.#instance, 'orderBook');
    const books: unknown = Reflect.get(this.#instance, 'orderbooks');
    const book = { symbol, bids: [[99, 1]], asks: [[101, 1]], nonce, timestamp: 1_750_000_000_000 };
    if (isMethod(make)) Reflect.set(books as object, symbol, make.call(this.#instance, book));
  }

  say(message: unknown): void {
    const handle: unknown = Reflect.get(this.#instance, this.#feed.handler ?? 'handleMessage');
    if (isMethod(handle)) handle.call(this.#instance, this.client, message);
  }

  update(market: MarketRow, step: number, bid: Level = ['98', String(step)]): void {
    this.say(this.#feed.update(market, step, bid));
  }

  bids({ symbol }: MarketRow): (readonly [number, number])[] | undefined {
    const bids = member(member(Reflect.get(this.#instance, 'orderbooks'), symbol), 'bids');
    if (!Array.isArray(bids)) return undefined;
    return bids.map((level: unknown) => {
      const [price, amount] = level as [number, number];
      return [price, amount] as const;
    });
  }
}

const NAMED = FEEDS.map((feed) => ({
  ...feed,
  name: `${feed.exchange} (${feed.markets[0].symbol}, ${feed.url})`,
}));

/** Two books after five updates each: enough for numbers that the venue does not document to be believed. */
const opened = async (feed: BookFeed): Promise<Socket> => {
  const socket = await Socket.open(feed);
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
  let socket: Socket;
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

describe.each(NAMED.filter(({ startsWhole }) => startsWhole))(
  'a whole book of $name in the middle',
  (feed) => {
    it('replaces the one before, with no level from before, and the updates after it count on', async () => {
      const socket = await opened(feed);
      const [market, other] = feed.markets;
      socket.say(feed.whole(market, 40));
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
