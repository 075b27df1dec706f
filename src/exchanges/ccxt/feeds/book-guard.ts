/**
 * Stands around CCXT's handlers of order book messages: each message is judged before it is applied, and a checksum
 * right after, before a loop that waits for the book wakes in its microtask. A book that is found to be wrong is taken
 * from CCXT's table and its messages go nowhere until it is subscribed anew, so that one symbol fails alone: some of
 * CCXT's handlers throw on a gap, which rejects every loop of the socket, and some skip updates for ever.
 */
import type { BookFault } from '../../../errors.js';
import type { UnifiedSymbol } from '../../../schemas/common.js';
import type { CcxtExchange } from '../ccxt-exchange.js';
import { isNonceFault } from '../faults.js';
import { isMethod, isTable, member, type Method } from '../tables.js';
import { BookChain, type BookPlace } from './book-chain.js';

/** One order book that a message is about. */
export interface BookMessage extends BookPlace {
  readonly symbol: UnifiedSymbol;
  /** The venue's checksum of the book after this message. */
  readonly checksum?: number | undefined;
  /** It is the snapshot that was asked for beside the updates, with this number: no update. */
  readonly snapshot?: number | undefined;
  /** Where it differs from the record's, which it does on venues with several kinds of feeds. */
  readonly startsWhole?: boolean | undefined;
}

/** What a reader of messages has besides the message: CCXT's arguments and its list of markets. */
export interface BookContext {
  readonly client: unknown;
  readonly subscription: unknown;
  readonly instance: CcxtExchange;
}

export interface BookHandler {
  /** CCXT's method that gets the messages. */
  readonly method: string;
  /** The books that one message is about; none where it is about something else. */
  readonly read: (message: unknown, context: BookContext) => readonly BookMessage[];
}

export interface BookRecord {
  readonly handlers: readonly BookHandler[];
  readonly startsWhole: boolean;
  readonly proof: number;
  /** Of the book that CCXT holds after a message; undefined where it can't be made. */
  readonly checksum?: (book: unknown, market: unknown) => number | undefined;
  /** CCXT's method, called with (client, symbol), that acts on a checksum that CCXT found wrong: ours comes instead. */
  readonly checksumFault?: string;
  /** All messages of a socket are counted as one row: the number of one, where it has one. */
  readonly connectionNumber?: (message: unknown) => number | undefined;
}

type Listener = (fault: BookFault) => void;

interface GuardedBook {
  chain: BookChain;
  /** null: it was found to be wrong, and nobody has subscribed it anew. */
  listener: Listener | null;
}

export class BookGuard {
  readonly #instance: CcxtExchange;
  readonly #record: BookRecord;
  readonly #books = new Map<UnifiedSymbol, GuardedBook>();
  /** Symbols whose checksum has agreed with ours once: held to it from then on. */
  readonly #proven = new Set<UnifiedSymbol>();
  readonly #connections = new WeakMap<object, BookChain>();
  /** The venue's numbers have shown that they are what we take them for, whichever book they counted. */
  #trusted: boolean;

  /** Once per instance, before its first feed. */
  constructor(instance: CcxtExchange, record: BookRecord) {
    this.#instance = instance;
    this.#record = record;
    this.#trusted = record.proof === 0;
    for (const handler of record.handlers) this.#wrap(handler.method, this.#judging(handler));
    const { connectionNumber, checksumFault } = record;
    if (connectionNumber !== undefined) this.#wrap('handleMessage', this.#counting(connectionNumber));
    if (checksumFault !== undefined)
      this.#wrap(checksumFault, () => (_client: unknown, symbol: unknown) => {
        if (typeof symbol === 'string') this.#fail(symbol, 'checksum');
      });
  }

  /** A feed of this symbol begins; `listener` is told once of the fault that ends it. Returns its end. */
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
    return new BookChain({ startsWhole, proof: this.#trusted ? 0 : this.#record.proof });
  }

  #wrap(name: string, around: (original: Method) => Method): void {
    const original: unknown = Reflect.get(this.#instance, name);
    if (isMethod(original)) Reflect.set(this.#instance, name, around(original));
  }

  readonly #judging =
    ({ read }: BookHandler) =>
    (original: Method): Method =>
    (...args) => {
      const instance = this.#instance;
      const [client, message, subscription] = args;
      const books = read(message, { client, subscription, instance });
      if (books.length > 0 && !books.every((book) => this.#mayApply(book, message))) return undefined;
      try {
        const result = original.apply(instance, args);
        for (const book of books) this.#verify(book);
        return result;
      } catch (thrown) {
        const guarded = books.filter(({ symbol }) => this.#books.has(symbol));
        // Nobody's book here: as it was without us.
        if (guarded.length === 0 && books.length === 0) throw thrown;
        for (const { symbol } of guarded)
          this.#fail(symbol, isNonceFault(thrown) ? 'sequence' : 'unreadable');
        return undefined;
      }
    };

  #mayApply(place: BookMessage, message: unknown): boolean {
    const { symbol } = place;
    const book = this.#books.get(symbol);
    if (book === undefined) return true;
    if (book.listener === null) return false;
    if (place.snapshot !== undefined) {
      const joins = book.chain.joins(place.snapshot);
      if (!joins) this.#fail(symbol, 'sequence');
      return joins;
    }
    if (place.startsWhole !== undefined && place.startsWhole !== book.chain.startsWhole)
      book.chain = this.#newChain(place.startsWhole);
    const verdict = book.chain.judge(place, message, { isShown: this.#isShown(symbol) });
    this.#trusted ||= book.chain.trusted;
    if (verdict === 'lost') this.#fail(symbol, 'sequence');
    if (verdict === 'restart') this.#dropBuffered(symbol);
    // CCXT applies whole books on top of what it holds on some venues.
    if (place.reset) this.#forget(symbol);
    return verdict === 'apply' || verdict === 'restart';
  }

  readonly #counting =
    (numberOf: (message: unknown) => number | undefined) =>
    (original: Method): Method =>
    (...args) => {
      const [client, message] = args;
      const number = numberOf(message);
      if (number === undefined || !isTable(client)) return original.apply(this.#instance, args);
      // A socket begins to count at 0.
      const known = number === 0 ? undefined : this.#connections.get(client);
      const chain = known ?? this.#newChain(false);
      this.#connections.set(client, chain);
      const place = { reset: false, first: number, last: number };
      const verdict = chain.judge(place, message, { isShown: true });
      this.#trusted ||= chain.trusted;
      if (verdict === 'skip') return undefined;
      if (verdict === 'lost') {
        this.#connections.delete(client);
        // Which book the missing message was about, nobody can tell.
        for (const symbol of [...this.#books.keys()]) this.#fail(symbol, 'sequence');
      }
      return original.apply(this.#instance, args);
    };

  #verify({ symbol, checksum }: BookMessage): void {
    const book = member(Reflect.get(this.#instance, 'orderbooks'), symbol);
    if (checksum === undefined || book === undefined) return;
    const ours = this.#record.checksum?.(book, member(this.#instance.markets, symbol));
    if (ours === undefined) return;
    if (ours === checksum) this.#proven.add(symbol);
    else if (this.#proven.has(symbol)) this.#fail(symbol, 'checksum');
  }

  #isShown(symbol: UnifiedSymbol): boolean {
    const book = this.#held(symbol);
    return book?.['nonce'] !== undefined;
  }

  /** Updates that wait for a snapshot and that another one, now missing, came after. */
  #dropBuffered(symbol: UnifiedSymbol): void {
    const cache = this.#held(symbol)?.['cache'];
    if (Array.isArray(cache)) cache.length = 0;
  }

  #held(symbol: UnifiedSymbol): Readonly<Record<string, unknown>> | undefined {
    const book = member(Reflect.get(this.#instance, 'orderbooks'), symbol);
    return isTable(book) ? book : undefined;
  }

  #forget(symbol: UnifiedSymbol): void {
    const books: unknown = Reflect.get(this.#instance, 'orderbooks');
    if (isTable(books)) Reflect.deleteProperty(books, symbol);
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
