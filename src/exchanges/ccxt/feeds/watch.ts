/**
 * Raw feeds: one loop over one of CCXT's watch calls each. No reconnecting and no watchdog here: a loop ends with the
 * first fault, gives back what it subscribed, and streams/ decides. Every promise is caught.
 */
import { AppError, type BookFault } from '../../../errors.js';
import type { Millis } from '../../../schemas/common.js';
import { Paced } from '../../../lib/paced.js';
import { systemTimers, type Timers } from '../../../lib/timers.js';
import type { StreamItem, StreamTopic, WatchHandle, WatchSink } from '../../exchange-client.js';
import { bookFaultOf } from '../../refusals.js';
import { type CcxtExchange, member } from '../ccxt-exchange.js';
import { isNonceFault } from '../faults.js';
import { guardSnapshots, type BookGuard, type SnapshotTaker } from './book-guard.js';
import type { OpenWatch, WatchDeps } from './venue-watch.js';
import { forgetDials, lastPongAt, paceDials } from './connections.js';
import { emptyTable } from './ccxt-tables.js';
import { createReader, type ChannelReader } from './watch-channels.js';
import { bookIntegrity } from '../../venues/book-integrity.js';
import { applyWatchQuirks, watchQuirks } from '../../venues/watch-quirks.js';
import {
  asFeed,
  nextMessage,
  prepareInstance,
  release,
  type FeedSubscriptions,
} from './watch-subscriptions.js';

/** Order books leave at most so often. */
const BOOK_INTERVAL_MS: Millis = 100;

/** The held book is also read at this interval: CCXT's promise may stay unsettled while it applies updates. */
const HELD_CHECK_MS: Millis = 2_000;

/** Tells two states of one of CCXT's order books apart; undefined where there is nothing to show. */
const stateOf = (book: unknown): string | undefined => {
  const [bids, asks] = [member(book, 'bids'), member(book, 'asks')];
  if (!Array.isArray(bids) || !Array.isArray(asks) || bids.length + asks.length === 0) return undefined;
  return [member(book, 'nonce'), member(book, 'timestamp'), bids[0], asks[0]].map(String).join('|');
};

/** A feed that was closed sooner than this says nothing about its instance. */
const STUCK_AFTER_MS: Millis = 5_000;

/** Pings leave every ten seconds. */
const PONG_TIMEOUT_MS: Millis = 25_000;

/** The feeds of one instance. */
interface InstanceFeeds {
  readonly open: Set<WatchLoop>;
  readonly waiting: FeedSubscriptions['waiting'];
  /** Names of its connections by their URLs, which may hold tokens and stay here. */
  readonly sockets: Map<string, string>;
  /** Counts items of all feeds, to tell one stuck feed from a stuck instance. */
  items: number;
  /** Judges the messages of order books; null where nothing in them can be judged. */
  readonly guard: BookGuard | null;
}

let namedSockets = 0;

/** Different for every connection that this thread ever has. */
const socketName = ({ sockets }: InstanceFeeds, url: string): string => {
  let name = sockets.get(url);
  if (name === undefined) sockets.set(url, (name = String((namedSockets += 1))));
  return name;
};

const feedsByInstance = new WeakMap<CcxtExchange, InstanceFeeds>();

const feedsOf = (
  instance: CcxtExchange,
  { exchange, upstreamTimeoutMs: timeoutMs, monotonic }: WatchDeps,
  timers: Timers,
): InstanceFeeds => {
  const known = feedsByInstance.get(instance);
  if (known !== undefined) return known;
  prepareInstance(instance, { rules: watchQuirks(exchange).frames, timers, monotonic });
  paceDials(instance);
  const guard = applyWatchQuirks(instance, exchange);
  const open = new Set<WatchLoop>();
  const takerOf = (symbol: unknown): WatchLoop | undefined =>
    [...open].find(({ topic }) => topic.channel === 'orderbook' && topic.symbol === symbol);
  guardSnapshots(instance, { takerOf, timeoutMs, monotonic });
  const feeds: InstanceFeeds = { open, waiting: new Map(), sockets: new Map(), items: 0, guard };
  feedsByInstance.set(instance, feeds);
  return feeds;
};

interface LoopParts {
  readonly instance: CcxtExchange;
  readonly topic: StreamTopic;
  readonly sink: WatchSink;
  readonly deps: WatchDeps;
  readonly timers: Timers;
}

class WatchLoop implements WatchHandle, SnapshotTaker {
  readonly #parts: LoopParts;
  readonly #feeds: InstanceFeeds;
  readonly #subscriptions: FeedSubscriptions;
  readonly #books: Paced<unknown>;
  readonly #itemsBefore: number;
  readonly #openedAt: Millis;
  readonly #abort = new AbortController();
  #reader: ChannelReader | null = null;
  #unguard: (() => void) | undefined;
  #cancelCheck: (() => void) | undefined;
  /** Of the order book when it was last read. */
  #shownState: string | undefined;
  #hasItems = false;

  constructor(parts: LoopParts) {
    this.#parts = parts;
    const { instance, topic, deps, timers } = parts;
    this.#feeds = feedsOf(instance, deps, parts.timers);
    this.#itemsBefore = this.#feeds.items;
    this.#openedAt = deps.monotonic();
    this.#subscriptions = {
      topic,
      noted: new Map(),
      waiting: this.#feeds.waiting,
      onNoted: (url) => {
        this.#tellSubscribed(url);
      },
      onRelease: [],
      released: false,
    };
    this.#books = new Paced<unknown>({
      intervalMs: BOOK_INTERVAL_MS,
      now: deps.monotonic,
      timers,
      // The book is read when it is sent, not when it changed: CCXT keeps it current.
      emit: (book) => {
        this.#emit(book);
      },
    });
  }

  /** Returns at once; the loop runs until it is over and never rejects. */
  start(): void {
    this.#feeds.open.add(this);
    const { topic } = this.#parts;
    if (topic.channel === 'orderbook')
      this.#unguard = this.#feeds.guard?.open(topic.symbol, (reason) => {
        this.#finish(this.#bookFault(reason));
      });
    if (topic.channel === 'orderbook') this.#checkHeld();
    void this.#run();
  }

  get topic(): StreamTopic {
    return this.#parts.topic;
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  close(): void {
    this.#finish(null);
  }

  fail(thrown: unknown): void {
    this.#finish(this.#faultOf(thrown));
  }

  async #run(): Promise<void> {
    try {
      const reader = createReader(this.#parts);
      this.#reader = reader;
      for (;;) {
        const result: unknown = await this.#next(reader);
        if (this.#isOver()) return;
        if (this.#parts.topic.channel === 'orderbook') this.#books.push(result);
        else this.#emit(result);
        if (this.#isOver()) return;
      }
    } catch (thrown) {
      this.fail(thrown);
    }
  }

  #checkHeld(): void {
    const { instance, topic, timers } = this.#parts;
    this.#cancelCheck = timers.after(HELD_CHECK_MS, () => {
      const held = member(Reflect.get(instance, 'orderbooks'), topic.symbol);
      const state = stateOf(held);
      if (this.#hasItems && state !== undefined && state !== this.#shownState) this.#books.push(held);
      if (!this.#isOver()) this.#checkHeld();
    });
  }

  #bookFault(reason: BookFault, cause?: unknown): AppError {
    return bookFaultOf(this.#parts.deps.exchange, reason, cause);
  }

  /** CCXT checks the books of some venues itself. */
  #faultOf(thrown: unknown): AppError {
    const { topic, deps } = this.#parts;
    if (topic.channel !== 'orderbook' || !isNonceFault(thrown)) return deps.toAppError(thrown);
    return this.#bookFault(bookIntegrity(deps.exchange) === 'checksum' ? 'checksum' : 'sequence', thrown);
  }

  /** Once CCXT's connection is open. CCXT makes its client, whose promise this is, in the call that is under way. */
  #tellSubscribed(url: string): void {
    queueMicrotask(() => {
      const connected: unknown = member(this.#parts.instance.clients?.[url], 'connected');
      Promise.resolve(connected).then(
        () => {
          if (connected !== undefined && !this.#isOver())
            this.#parts.sink.onSubscribed?.(socketName(this.#feeds, url));
        },
        // A connection that fails ends the feed by another way.
        () => undefined,
      );
    });
  }

  #next(reader: ChannelReader): unknown {
    const mayWait = reader.isHeld?.() === true;
    const next = mayWait ? nextMessage(this.#parts.instance, this.#subscriptions) : undefined;
    return next ?? asFeed(this.#subscriptions, () => reader.next());
  }

  /** A method, since the flag changes during an await. */
  #isOver(): boolean {
    return this.#abort.signal.aborted;
  }

  /** Closed for its silence, and no other feed of the instance has received anything in that time either. */
  #isStuck(): boolean {
    // In a quiet market no feed receives anything: while its connections answer, an instance is kept.
    if (this.#isAnyPonging()) return false;
    if (this.#hasItems || this.#feeds.items !== this.#itemsBefore) return false;
    return this.#parts.deps.monotonic() - this.#openedAt >= STUCK_AFTER_MS;
  }

  /** A connection of the instance was opened or has answered a ping of ours lately. */
  #isAnyPonging(): boolean {
    const { instance, deps } = this.#parts;
    return Object.values(instance.clients ?? {}).some((client) => {
      const at = typeof client === 'object' && client !== null ? lastPongAt(client) : undefined;
      return at !== undefined && deps.monotonic() - at < PONG_TIMEOUT_MS;
    });
  }

  #emit(result: unknown): void {
    let item: StreamItem | undefined;
    try {
      this.#shownState = stateOf(result);
      item = this.#reader?.read(result);
    } catch (thrown) {
      this.#finish(AppError.from(thrown));
      return;
    }
    if (item === undefined || this.#isOver()) return;
    if (!this.#hasItems) forgetDials([...this.#subscriptions.noted.values()].map(({ url }) => url));
    this.#hasItems = true;
    this.#feeds.items += 1;
    this.#parts.sink.onItem(item);
  }

  #finish(error: AppError | null): void {
    if (this.#isOver()) return;
    this.#abort.abort();
    this.#books.close();
    this.#unguard?.();
    this.#cancelCheck?.();
    const { instance, topic, sink, deps } = this.#parts;
    const { open } = this.#feeds;
    open.delete(this);
    emptyTable(instance, topic);
    release(instance, this.#subscriptions, new Error('The feed was closed.'));
    // Without feeds the sockets are of no use; where no feed has received anything for long, all sockets count as stuck.
    if (open.size === 0 || (error === null && this.#isStuck())) deps.discardInstance();
    sink.onEnd(error);
  }
}

/** `timers` pace order books; real ones by default. */
export const createOpenWatch =
  (timers: Timers = systemTimers): OpenWatch =>
  (instance, topic, ...[sink, deps]) => {
    const loop = new WatchLoop({ instance, topic, sink, deps, timers });
    loop.start();
    return loop;
  };

export const openWatch: OpenWatch = createOpenWatch();
