/**
 * What each feed subscribed on a CCXT instance, so that it can be undone: CCXT frees a subscription on few venues only,
 * and one that failed stays marked, so that its repetition would wait for ever (docs/ccxt.md#feeds). Every call of CCXT's
 * `watch` and `watchMultiple` is noted with the frame that it sends; the frame that undoes it follows from that.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { AppError } from '../../../errors.js';
import type { ExchangeId } from '../../../schemas/common.js';
import type { StreamTopic } from '../../exchange-client.js';
import { type CcxtExchange, type Method, isMethod } from '../ccxt-exchange.js';
import { type FrameQueueOptions, followFrames, isFollowed, shareAnswers, withdraw } from './frame-queue.js';

/** One subscription of one feed on one socket. */
interface Subscribed {
  readonly url: string;
  /** Keys under which CCXT's promises wait. */
  readonly messageHashes: readonly string[];
  /** Keys under which CCXT remembers that it subscribed. */
  readonly subscribeHashes: readonly string[];
  readonly frame: unknown;
}

/** A feed's subscriptions; by their frame's keys, so that a loop that watches again and again notes one of them. */
export interface FeedSubscriptions {
  readonly topic: StreamTopic;
  readonly noted: Map<string, Subscribed>;
  /** How many feeds of the instance wait under each message hash; one map for all of them. */
  readonly waiting: Map<string, number>;
  /** Called with the URL of each connection that it is subscribed on, before CCXT has dialled it. */
  readonly onNoted: (url: string) => void;
  /** Called once, when it is released. */
  readonly onRelease: (() => void)[];
  /** What CCXT would still subscribe in its name, it must not: nothing would unsubscribe it. */
  released: boolean;
}

/** A feed has one; a venue that answers a call with several has few. */
const MAX_NOTED = 16;

type Table = Record<string, unknown>;

const current = new AsyncLocalStorage<FeedSubscriptions | undefined>();
const prepared = new WeakSet<CcxtExchange>();

const isTable = (value: unknown): value is Table =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const textsOf = (value: unknown): string[] =>
  (Array.isArray(value) ? value : [value]).filter((item): item is string => typeof item === 'string');

/**
 * CCXT's Kraken knows one interval a symbol: its key lacks the interval, so that a second one is never subscribed
 * (docs/ccxt.md#feeds). The key of a subscription to candles gets its interval here wherever it lacks it.
 */
const withInterval = ({ symbol, interval }: StreamTopic, hash: unknown): unknown => {
  if (interval === undefined || typeof hash !== 'string') return hash;
  return hash.replace(symbol, '').includes(interval) ? hash : `${hash}#${interval}`;
};

const note = (feed: FeedSubscriptions, args: readonly unknown[]): void => {
  const [url, messageHashes, frame, subscribeHashes] = args;
  const key = textsOf(subscribeHashes).join(' ');
  if (typeof url !== 'string' || feed.noted.has(key) || feed.noted.size >= MAX_NOTED) return;
  const hashes = textsOf(messageHashes);
  for (const hash of hashes) feed.waiting.set(hash, (feed.waiting.get(hash) ?? 0) + 1);
  feed.noted.set(key, { url, messageHashes: hashes, subscribeHashes: textsOf(subscribeHashes), frame });
  feed.onNoted(url);
};

const noting = (original: Method, instance: CcxtExchange, frames: FrameQueueOptions): Method =>
  function (...args) {
    const feed = current.getStore();
    if (feed === undefined) return original.apply(instance, args);
    if (feed.released) return Promise.reject(new Error('The feed was closed before it subscribed.'));
    const [url, messageHash, frame, subscribeHash, ...rest] = args;
    const named = Array.isArray(subscribeHash) ? subscribeHash : withInterval(feed.topic, subscribeHash);
    const changed = [url, messageHash, frame, named, ...rest];
    note(feed, changed);
    // A socket that is dialled now, and all that CCXT does later about its messages, does not belong to this feed alone.
    const next = current.run(undefined, () => original.apply(instance, changed));
    if (typeof url === 'string') followFrames(instance, instance.clients?.[url], frames);
    return next;
  };

/** Once per instance: notes subscriptions, and keeps CCXT from printing frames that it can't parse. */
export const prepareInstance = (instance: CcxtExchange, frames: FrameQueueOptions): void => {
  if (prepared.has(instance)) return;
  prepared.add(instance);
  for (const name of ['watch', 'watchMultiple']) {
    const original: unknown = Reflect.get(instance, name);
    if (isMethod(original)) Reflect.set(instance, name, noting(original, instance, frames));
  }
  Reflect.set(instance, 'log', () => undefined);
  if (frames.rules !== null) shareAnswers(instance);
};

/** The feed in whose name CCXT's present call runs, through all that it awaits. */
const feedOfCall = (): FeedSubscriptions | undefined => current.getStore();

/** Runs one call of CCXT's so that what it subscribes is noted as the feed's. */
export const asFeed = <T>(feed: FeedSubscriptions, work: () => Promise<T>): Promise<T> =>
  current.run(feed, work);

/**
 * The promise of the feed's next message, where it is subscribed on a socket that lives: the same that CCXT's watch call
 * would come to, whose way there costs as much as the message. undefined: CCXT must be asked.
 */
export const nextMessage = (instance: CcxtExchange, { noted }: FeedSubscriptions): unknown => {
  const [subscribed, another] = noted.values();
  const [hash, ...moreHashes] = subscribed?.messageHashes ?? [];
  if (subscribed === undefined || another !== undefined) return undefined;
  if (hash === undefined || moreHashes.length > 0) return undefined;
  const client = instance.clients?.[subscribed.url];
  if (!isTable(client) || !isMethod(client['future'])) return undefined;
  const { subscriptions } = client;
  const isSubscribed = (key: string): boolean => isTable(subscriptions) && Object.hasOwn(subscriptions, key);
  return subscribed.subscribeHashes.every(isSubscribed) ? client['future'](hash) : undefined;
};

const VERBS = ['method', 'type', 'op', 'event', 'action', 'req_type'];

/** The frame that ends what `frame` began; undefined where it is in no form that we know. */
export const undoing = (frame: unknown): Table | undefined => {
  if (!isTable(frame)) return undefined;
  const verb = VERBS.find((name) => /^sub(scribe)?$/i.test(String(frame[name])));
  if (verb === undefined) return undefined;
  const word = String(frame[verb]);
  return { ...frame, [verb]: word === word.toUpperCase() ? `UN${word}` : `un${word}` };
};

const sendQuietly = (client: Table, frame: Table): void => {
  if (!isMethod(client['send'])) return;
  const sending = client['send'](frame);
  // The socket may be gone; then there is nothing left to undo.
  if (sending instanceof Promise) sending.catch(() => undefined);
};

/** Takes one feed from those that wait under each hash. Returns the hashes under which none is left. */
const abandonedHashes = ({ waiting }: FeedSubscriptions, hashes: readonly string[]): string[] =>
  hashes.filter((hash) => {
    const left = (waiting.get(hash) ?? 1) - 1;
    if (left > 0) waiting.set(hash, left);
    else waiting.delete(hash);
    return left <= 0;
  });

/**
 * Undoes a feed's subscriptions: the venue stops sending, CCXT forgets them, and a loop that still waits is rejected
 * with `reason`. Promises that other feeds wait for as well are left alone.
 */
export const release = (instance: CcxtExchange, feed: FeedSubscriptions, reason: Error): void => {
  for (const subscribed of feed.noted.values()) {
    const hashes = abandonedHashes(feed, subscribed.messageHashes);
    const client = instance.clients?.[subscribed.url];
    if (isTable(client)) releaseOne(client, subscribed, { hashes, reason });
  }
  feed.noted.clear();
  feed.released = true;
  for (const done of feed.onRelease.splice(0)) done();
};

const releaseOne = (
  client: Table,
  { subscribeHashes, frame }: Subscribed,
  { hashes, reason }: { readonly hashes: readonly string[]; readonly reason: Error },
): void => {
  const { futures, subscriptions, reject } = client;
  const open = subscribeHashes.filter((hash) => isTable(subscriptions) && Object.hasOwn(subscriptions, hash));
  if (isTable(subscriptions)) for (const hash of open) Reflect.deleteProperty(subscriptions, hash);
  const undo = open.length > 0 ? undoing(frame) : undefined;
  // Also one that has left: were it refused, it would leave again.
  const isHeld = isTable(frame) && isFollowed(client) && withdraw(frame);
  if (!isHeld && undo !== undefined) sendQuietly(client, undo);
  // A rejection that nothing awaits would be kept for the next feed of this key.
  for (const hash of hashes)
    if (isTable(futures) && Object.hasOwn(futures, hash) && isMethod(reject))
      reject.call(client, reason, hash);
};

export interface SocketCapacity {
  readonly sockets: number;
  /** Subscriptions that one socket takes. */
  readonly each: number;
}

/**
 * For venues whose sockets take so many subscriptions each. CCXT's Binance spreads what it subscribes over sockets by
 * number, but counts what ever was subscribed, puts all candles on one socket, and beyond its limit goes on after one
 * error. Here a feed is assigned to the socket with the fewest subscriptions, until it ends.
 *
 * Once per instance. CCXT's `stream` answers with the socket's number, which becomes the end of its URL; it throws
 * `not_supported_by_exchange` where all sockets are full.
 */
export const assignSockets = (
  instance: CcxtExchange,
  { exchange, sockets, each }: SocketCapacity & { readonly exchange: ExchangeId },
): void => {
  const original: unknown = Reflect.get(instance, 'stream');
  if (!isMethod(original)) return;
  const taken = Array.from({ length: sockets }, () => 0);
  const socketOf = new WeakMap<FeedSubscriptions, number>();

  const take = (feed: FeedSubscriptions): number => {
    if (feed.released) throw new Error('The feed was closed before it had a socket.');
    const emptiest = taken.indexOf(Math.min(...taken));
    const count = taken[emptiest] ?? 0;
    if (count >= each)
      throw new AppError(
        'not_supported_by_exchange',
        `${exchange} takes ${sockets * each} live feeds, which are all taken.`,
      );
    taken[emptiest] = count + 1;
    socketOf.set(feed, emptiest);
    feed.onRelease.push(() => (taken[emptiest] = (taken[emptiest] ?? 1) - 1));
    return emptiest;
  };

  Reflect.set(instance, 'stream', (...args: unknown[]) => {
    const feed = feedOfCall();
    if (feed === undefined) return original.apply(instance, args);
    return String(socketOf.get(feed) ?? take(feed));
  });
};
