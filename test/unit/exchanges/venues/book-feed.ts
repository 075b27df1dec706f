/** One venue's order book feed, and a socket of it: CCXT's own handlers, guarded as in production. */
import type { BookFault } from '../../../../src/errors.js';
import { type CcxtExchange, type Method, member } from '../../../../src/exchanges/ccxt/ccxt-exchange.js';
import { BookGuard } from '../../../../src/exchanges/ccxt/feeds/book-guard.js';
import { loadExchangeClass } from '../../../../src/exchanges/ccxt/loader.js';
import { bookRecord } from '../../../../src/exchanges/venues/book-integrity.js';

export type Level = readonly [price: string, amount: string];

export interface MarketRow {
  readonly id: string;
  readonly symbol: string;
  readonly contract?: boolean;
}

/** What a message says; `step` counts the messages of a book from its whole one. */
interface Change extends MarketRow {
  readonly step: number;
  readonly whole: boolean;
  readonly bids: readonly Level[];
  readonly asks: readonly Level[];
}

export interface BookFeed {
  readonly exchange: string;
  readonly markets: readonly [MarketRow, MarketRow];
  readonly url: string;
  /** The feed begins with a whole book; else CCXT has asked REST for one. */
  readonly startsWhole?: boolean;
  readonly message: (change: Change) => unknown;
  /** The number of the REST book that the updates after `step` lead on from. */
  readonly nonceOf?: (step: number) => number;
  /** CCXT finds the handler and the symbol by what was subscribed. */
  readonly subscriptions?: (market: MarketRow) => Readonly<Record<string, unknown>>;
  /** The subscription that CCXT's dispatcher hands to the handler. */
  readonly subscription?: (market: MarketRow) => unknown;
  /** Calls CCXT's handler directly where its dispatcher needs a running socket. */
  readonly handler?: string;
}

export const TIME = 1_750_000_000_000;
/** Where the venue numbers changes: two in each message. */
export const firstOf = (step: number): number => 1000 + 2 * step - 1;
export const lastOf = (step: number): number => 1000 + 2 * step;
/** Where it numbers messages. */
export const counts = (step: number): number => 1000 + step;

/** Levels as numbers. */
export const toNumbers = (levels: readonly (readonly string[])[]): number[][] =>
  levels.map((level) => level.map(Number));
/** Levels with what a venue says of each beside price and amount. */
export const withOrders = (levels: readonly (readonly string[])[], ...rest: readonly string[]): string[][] =>
  levels.map((level) => [...level, ...rest]);

type Pair = readonly [MarketRow, MarketRow];
export const spot = (bitcoin: string, ether: string): Pair => [
  { id: bitcoin, symbol: 'BTC/USDT' },
  { id: ether, symbol: 'ETH/USDT' },
];
export const swap = (bitcoin: string, ether: string): Pair => [
  { id: bitcoin, symbol: 'BTC/USDT:USDT', contract: true },
  { id: ether, symbol: 'ETH/USDT:USDT', contract: true },
];

const marketOf = ({ id, symbol, contract = false }: MarketRow) => {
  const [base = '', quote = ''] = symbol.split(/[/:]/);
  return {
    ...{ id, symbol, base, quote, settle: contract ? quote : undefined, active: true },
    ...{ type: contract ? 'swap' : 'spot', spot: !contract, swap: contract, contract },
    ...{
      linear: contract ? true : undefined,
      limits: {},
      precision: { price: 0.01, amount: 0.001 },
      info: {},
    },
  };
};

/** One socket of a venue with its markets' books open on it. */
export class BookSocket {
  readonly faults: Record<string, BookFault[]> = {};
  /** Symbols in the order in which CCXT woke their loops. */
  readonly woken: unknown[] = [];
  /** Message hashes of the loops that CCXT ended itself. */
  readonly rejected: unknown[] = [];
  readonly guard: BookGuard;
  readonly client: Record<string, unknown>;
  readonly #instance: CcxtExchange;
  readonly #feed: BookFeed;

  private constructor(feed: BookFeed, instance: CcxtExchange) {
    const record = bookRecord(feed.exchange);
    if (record === null) throw new Error('Nothing judges these books.');
    this.#feed = feed;
    this.#instance = instance;
    this.guard = new BookGuard(instance, record);
    this.client = {
      url: feed.url,
      subscriptions: Object.assign(
        {},
        ...feed.markets.map((market) => feed.subscriptions?.(market)),
      ) as object,
      futures: {},
      resolve: (book: unknown) => this.woken.push(member(book, 'symbol')),
      reject: (_error: unknown, hash: unknown) => this.rejected.push(hash),
    };
  }

  /** With both books open. */
  static async open(feed: BookFeed): Promise<BookSocket> {
    const socket = await BookSocket.connect(feed);
    for (const market of feed.markets) socket.subscribe(market);
    return socket;
  }

  /** Without any book. */
  static async connect(feed: BookFeed): Promise<BookSocket> {
    const instance = new (await loadExchangeClass(feed.exchange))({});
    (Reflect.get(instance, 'setMarkets') as Method).call(instance, feed.markets.map(marketOf));
    return new BookSocket(feed, instance);
  }

  /** As the loop of a feed does, up to its first book. Returns the loop's end. */
  subscribe(market: MarketRow, step = 0): () => void {
    const end = this.listen(market);
    if (this.#feed.startsWhole === true) this.whole(market, step);
    else this.snapshot(market, this.#feed.nonceOf?.(step));
    return end;
  }

  /** As the loop of a feed does before anything has come. */
  listen({ symbol }: MarketRow): () => void {
    const faults = (this.faults[symbol] ??= []);
    return this.guard.open(symbol, (fault) => faults.push(fault));
  }

  /** What CCXT holds once it has asked REST; without a number while it waits for the answer. */
  snapshot({ symbol }: MarketRow, nonce: number | undefined): void {
    const book = { symbol, bids: [[99, 1]], asks: [[101, 1]], nonce, timestamp: TIME };
    const made = (Reflect.get(this.#instance, 'orderBook') as Method).call(this.#instance, book);
    Object.assign(this.#instance.orderbooks, { [symbol]: made });
  }

  whole(market: MarketRow, step: number): void {
    const levels = { bids: [['99', '1']], asks: [['101', '1']] } as const;
    this.say(market, this.#feed.message({ ...market, ...levels, step, whole: true }));
  }

  update(market: MarketRow, step: number, bid: Level = ['98', String(step)]): void {
    this.say(market, this.#feed.message({ ...market, bids: [bid], asks: [], step, whole: false }));
  }

  say(market: MarketRow, message: unknown, method = this.#feed.handler ?? 'handleMessage'): void {
    const handle = Reflect.get(this.#instance, method) as Method;
    handle.call(this.#instance, this.client, message, this.#feed.subscription?.(market));
  }

  held({ symbol }: MarketRow): unknown {
    return member(this.#instance.orderbooks, symbol);
  }

  bids(market: MarketRow): (readonly [number, number])[] | undefined {
    const bids = member(this.held(market), 'bids') as readonly (readonly [number, number])[] | undefined;
    return bids === undefined ? undefined : Array.from(bids, ([price, amount]) => [price, amount] as const);
  }
}
