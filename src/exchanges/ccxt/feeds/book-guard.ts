/**
 * Guards CCXT's live order books: their messages, and the snapshots that CCXT asks for beside them.
 *
 * BookGuard wraps CCXT's handlers of order book messages: each message is judged before it is applied, and a checksum
 * right after, before a loop that waits for the book wakes in its microtask. A book that is found to be wrong is taken
 * from CCXT's table and its messages go nowhere until it is subscribed anew, so that one symbol fails alone: some of
 * CCXT's handlers throw on a gap, which rejects every loop of the socket, and some skip updates for ever.
 */
import type { BookFault } from '../../../errors.js';
import type { Millis, UnifiedSymbol } from '../../../schemas/common.js';
import { withUpstreamCall } from '../call-context.js';
import { type CcxtExchange, type Method, isMethod, isTable, member, wrapMethod } from '../ccxt-exchange.js';
import { isNonceFault } from '../faults.js';
import { BookChain, type BookSequence, type ChangeNumber } from './book-chain.js';

/** One order book that a message is about. */
export interface BookMessage extends BookSequence {
  readonly symbol: UnifiedSymbol;
  /** The venue's checksum of the book after this message. */
  readonly checksum?: ChangeNumber | undefined;
  /** It is the snapshot that was asked for beside the updates, with this number: no update. */
  readonly snapshot?: ChangeNumber | undefined;
  /** Where it differs from the record's, which it does on venues with several kinds of feeds. */
  readonly startsWhole?: boolean | undefined;
}

/** What a reader of messages has besides the message: CCXT's arguments and its list of markets. */
export interface BookContext {
  readonly client: unknown;
  readonly subscription: unknown;
  readonly instance: CcxtExchange;
}

/** The books that one message is about; none where it is about something else. */
export type BookReader = (message: unknown, context: BookContext) => readonly BookMessage[];

export interface BookRecord {
  /** By CCXT's method that gets the messages. */
  readonly readers: Readonly<Record<string, BookReader>>;
  /** A feed begins with a whole book; updates before it change nothing. */
  readonly startsWhole: boolean;
  /** Messages that have to follow each other in a row before their numbers are trusted; none: they are. */
  readonly proof?: number;
  /** Of the book that CCXT holds after a message; undefined where it can't be made. CCXT's own check is then off. */
  readonly checksum?: (held: unknown, market: unknown) => number | undefined;
  /** All messages of a socket are counted as one row: the number of one, where it has one. */
  readonly connectionNumber?: (message: unknown) => ChangeNumber | undefined;
}

type Listener = (fault: BookFault) => void;

interface GuardedBook {
  chain: BookChain;
  /** null: it was found to be wrong, and has not been subscribed again. */
  listener: Listener | null;
}

export class BookGuard {
  readonly #instance: CcxtExchange;
  readonly #record: BookRecord;
  readonly #books = new Map<UnifiedSymbol, GuardedBook>();
  /** Symbols whose checksum has agreed with ours once: held to it from then on. */
  readonly #proven = new Set<UnifiedSymbol>();
  readonly #connections = new WeakMap<object, BookChain>();
  /** Messages that have to follow each other yet; 0 once the venue's numbers have shown what they are, in any book. */
  #proof: number;

  /** Once per instance, before its first feed. */
  constructor(instance: CcxtExchange, record: BookRecord) {
    this.#instance = instance;
    this.#record = record;
    this.#proof = record.proof ?? 0;
    for (const [method, read] of Object.entries(record.readers))
      wrapMethod(instance, method, this.#judging(read));
    const { connectionNumber, checksum } = record;
    if (connectionNumber !== undefined)
      wrapMethod(instance, 'handleMessage', this.#counting(connectionNumber));
    if (checksum !== undefined) {
      const known = instance.options['watchOrderBook'] as object | undefined;
      instance.options['watchOrderBook'] = { ...known, checksum: false };
    }
  }

  /** A feed of this symbol begins; `listener` gets the one fault that ends it. Returns its end. */
  open(symbol: UnifiedSymbol, listener: Listener): () => void {
    const book: GuardedBook = { chain: this.#newChain(this.#record.startsWhole), listener };
    this.#books.set(symbol, book);
    this.#forget(symbol);
    return () => {
      // One that is wrong stays, so that updates still under way change nothing.
      if (this.#books.get(symbol) === book && book.listener !== null) this.#books.delete(symbol);
    };
  }

  #newChain(startsWhole: boolean): BookChain {
    return new BookChain({ startsWhole, proof: this.#proof });
  }

  readonly #judging =
    (read: BookReader) =>
    (original: Method): Method =>
    (...args) => {
      const instance = this.#instance;
      const [client, message, subscription] = args;
      const updates = read(message, { client, subscription, instance });
      const applicable = updates.filter((update) => this.#mayApply(update, message));
      if (applicable.length < updates.length) {
        // CCXT applies a message as a whole or not at all: what is not wrong here has now lost an update.
        for (const { symbol } of applicable) this.#fail(symbol, 'sequence');
        return undefined;
      }
      try {
        const result = original.apply(instance, args);
        for (const update of updates) this.#verify(update);
        return result;
      } catch (thrown) {
        if (updates.length === 0) throw thrown;
        for (const { symbol } of updates)
          this.#fail(symbol, isNonceFault(thrown) ? 'sequence' : 'unreadable');
        return undefined;
      }
    };

  #mayApply(update: BookMessage, message: unknown): boolean {
    const { symbol, startsWhole } = update;
    const book = this.#books.get(symbol);
    if (book === undefined) return true;
    if (book.listener === null) return false;
    if (update.snapshot !== undefined) {
      const joins = book.chain.joins(update.snapshot);
      if (!joins) this.#fail(symbol, 'sequence');
      return joins;
    }
    if (startsWhole !== undefined && startsWhole !== book.chain.startsWhole)
      book.chain = this.#newChain(startsWhole);
    const isShown = member(this.#held(symbol), 'nonce') !== undefined;
    const verdict = this.#judge(book.chain, update, { message, isShown });
    if (verdict === 'lost') this.#fail(symbol, 'sequence');
    if (verdict === 'restart') this.#dropBuffered(symbol);
    // CCXT applies whole books on top of what it holds on some venues.
    if (update.reset) this.#forget(symbol);
    return verdict === 'apply' || verdict === 'restart';
  }

  #judge(
    chain: BookChain,
    sequence: BookSequence,
    { message, isShown }: { readonly message: unknown; readonly isShown: boolean },
  ) {
    const verdict = chain.judge(sequence, message, { isShown });
    if (chain.trusted) this.#proof = 0;
    return verdict;
  }

  readonly #counting =
    (numberOf: (message: unknown) => ChangeNumber | undefined) =>
    (original: Method): Method =>
    (...args) => {
      const [client, message] = args as [object, unknown];
      const number = numberOf(message);
      if (number === undefined) return original.apply(this.#instance, args);
      // A socket begins to count at 0.
      const known = number === 0 ? undefined : this.#connections.get(client);
      const chain = known ?? this.#newChain(false);
      this.#connections.set(client, chain);
      const sequence = { reset: false, first: number, last: number };
      const verdict = this.#judge(chain, sequence, { message, isShown: true });
      if (verdict === 'skip') return undefined;
      if (verdict === 'lost') {
        this.#connections.delete(client);
        // The missing message may have been about any book of this connection.
        for (const symbol of [...this.#books.keys()]) this.#fail(symbol, 'sequence');
      }
      return original.apply(this.#instance, args);
    };

  #verify({ symbol, checksum }: BookMessage): void {
    if (this.#record.checksum === undefined || checksum === undefined) return;
    const ours = this.#record.checksum(this.#held(symbol), member(this.#instance.markets, symbol));
    if (ours === undefined) return;
    if (ours === checksum) this.#proven.add(symbol);
    else if (this.#proven.has(symbol)) this.#fail(symbol, 'checksum');
  }

  /** Updates that wait for a snapshot and that another one, now missing, came after. */
  #dropBuffered(symbol: UnifiedSymbol): void {
    const cache = member(this.#held(symbol), 'cache');
    if (Array.isArray(cache)) cache.length = 0;
  }

  #held(symbol: UnifiedSymbol): unknown {
    return member(this.#instance.orderbooks, symbol);
  }

  #forget(symbol: UnifiedSymbol): void {
    Reflect.deleteProperty(this.#instance.orderbooks, symbol);
  }

  #fail(symbol: UnifiedSymbol, fault: BookFault): void {
    const book = this.#books.get(symbol);
    if (!book?.listener) return;
    const { listener } = book;
    book.listener = null;
    this.#forget(symbol);
    listener(fault);
  }
}

/** The feed of an order book that waits for its snapshot. */
export interface SnapshotTaker {
  /** Aborted when the feed is over. */
  readonly signal: AbortSignal;
  /** Ends the feed. */
  fail(thrown: unknown): void;
}

export interface SnapshotOptions {
  /** The open feed of this symbol's order book. */
  readonly takerOf: (symbol: unknown) => SnapshotTaker | undefined;
  /** One request with its wait for a slot, which is half of it at most. */
  readonly timeoutMs: Millis;
  /** The clock of deadlines. */
  readonly monotonic: () => Millis;
}

const CLIENT = 'order book snapshots';

/** Settles with nothing: the feed that waited for it has ended. */
const NEVER = new Promise<never>(() => undefined);

/** Updates that wait for a snapshot which does not come: CCXT counts them, and asks at a certain number only. */
const forgetUpdates = (instance: CcxtExchange, symbol: UnifiedSymbol): void => {
  const books: unknown = Reflect.get(instance, 'orderbooks');
  const makeBook: unknown = Reflect.get(instance, 'orderBook');
  if (isTable(books) && Object.hasOwn(books, symbol) && isMethod(makeBook))
    Reflect.set(books, symbol, makeBook.call(instance));
};

/**
 * The order books that CCXT asks for over REST beside a feed's updates. CCXT asks three times at once whatever the
 * refusal is, and its failure ends the feed that waits for that book by then: a feed that was closed and opened anew, and has
 * its book already, was ended for its predecessor's sake, and on some venues all other feeds lost their connection. Here
 * a snapshot belongs to the feed that it was asked for: it is given up with that feed, and where it fails it ends that
 * feed alone, whose own back-off follows.
 *
 * Snapshots stay in the polls' half of the budget: after a lost connection every book of a venue wants one at once, and
 * callers keep their half. As a client of their own they take turns with polls, which a feed without its book causes.
 *
 * Once per instance of feeds, on which nothing else asks for order books.
 */
export const guardSnapshots = (
  instance: CcxtExchange,
  { takerOf, timeoutMs, monotonic }: SnapshotOptions,
): void => {
  const original: unknown = Reflect.get(instance, 'fetchOrderBook');
  if (!isMethod(original)) return;
  Reflect.set(instance, 'fetchOrderBook', async (...args: unknown[]): Promise<unknown> => {
    const [symbol] = args;
    const taker = takerOf(symbol);
    if (taker === undefined || typeof symbol !== 'string') return NEVER;
    const { signal } = taker;
    const abandon = (): void => {
      forgetUpdates(instance, symbol);
    };
    signal.addEventListener('abort', abandon, { once: true });
    const start = monotonic();
    const times = { deadline: start + timeoutMs / 2, answeredBy: start + timeoutMs };
    const call = { kind: 'data', priority: 'poll', client: CLIENT, signal, ...times } as const;
    try {
      const book = await withUpstreamCall(call, () => Promise.resolve(original.apply(instance, args)));
      if (!signal.aborted) return book;
    } catch (thrown) {
      if (!signal.aborted) taker.fail(thrown);
    } finally {
      signal.removeEventListener('abort', abandon);
    }
    return NEVER;
  });
};
