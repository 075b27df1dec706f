/**
 * The order books that CCXT asks for over REST beside a feed's updates. CCXT asks three times at once whatever the
 * refusal is, and its failure ends the feed that waits for that book by then: a feed that was closed and opened anew, and has
 * its book already, was ended for its predecessor's sake, and on some venues all other feeds lost their connection. Here
 * a snapshot belongs to the feed that it was asked for: it is given up with that feed, and where it fails it ends that
 * feed alone, whose own back-off follows.
 *
 * Snapshots stay in the polls' half of the budget: after a lost connection every book of a venue wants one at once, and
 * callers keep their half. As a client of their own they take turns with polls, which a feed without its book causes.
 */
import type { Millis, UnifiedSymbol } from '../../../schemas/common.js';
import { withUpstreamCall } from '../call-context.js';
import { type CcxtExchange, isMethod, isTable } from '../ccxt-exchange.js';

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

/** Once per instance of feeds, on which nothing else asks for order books. */
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
