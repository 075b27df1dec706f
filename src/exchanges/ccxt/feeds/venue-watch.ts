/** Opens one raw feed of a venue: symbol resolved, markets loaded, then watch.ts takes over. */
import { AppError } from '../../../errors.js';
import type { Interval } from '../../../lib/intervals.js';
import type { Log } from '../../../log/log.js';
import type { ExchangeId, Millis } from '../../../schemas/common.js';
import type { StreamTopic, WatchHandle, WatchSink } from '../../exchange-client.js';
import type { VenueQuirks } from '../../venues/venue-quirks.js';
import { watchQuirks } from '../../venues/watch-quirks.js';
import type { CcxtExchange } from '../ccxt-exchange.js';
import { faultOfCcxt } from '../faults.js';
import type { Venue } from '../venue.js';
import { refuseRenamed } from './feed-names.js';

export interface WatchDeps {
  readonly exchange: ExchangeId;
  readonly quirks: VenueQuirks;
  readonly now: () => Millis;
  /** The venue's clock: whether a period has ended, and what lies ahead, is the venue's to say. */
  readonly venueNow: () => Millis;
  /** Of an ohlcv topic: its interval as the venue's rows have shown it so far. */
  readonly interval?: Interval | undefined;
  /** The clock of durations and deadlines: monotonic. */
  readonly monotonic: () => Millis;
  /** One request over REST that CCXT makes for the feed, with its wait for a slot. */
  readonly upstreamTimeoutMs: Millis;
  readonly log: Log;
  /** A fault of CCXT as the AppError that `onEnd` gets. */
  toAppError(thrown: unknown): AppError;
  /**
   * Gives this instance up: its sockets are closed once (every other feed on it ends too) and the next `openWatch` of
   * this venue gets a new instance. For sockets and subscriptions that CCXT can't free otherwise.
   */
  discardInstance(): void;
}

/**
 * Opens a feed. `instance` serves the streams of one venue only (REST calls have their own), with markets loaded; it is
 * shared by all feeds of that venue. `topic.symbol` is the venue's own spelling and exists in `instance.markets`.
 */
export type OpenWatch = (
  instance: CcxtExchange,
  topic: StreamTopic,
  ...rest: readonly [sink: WatchSink, deps: WatchDeps]
) => WatchHandle;

export interface Watching {
  readonly topic: StreamTopic;
  readonly sink: WatchSink;
}

export interface VenueWatchDeps {
  readonly openWatch: OpenWatch;
  readonly now: () => Millis;
  /** The clock of durations and deadlines: monotonic. */
  readonly monotonic: () => Millis;
  readonly log: Log;
  /** The markets' load has this long, thrice. */
  readonly upstreamTimeoutMs: Millis;
}

const START_ATTEMPTS_WORTH = 3;

/** Makes sure of WatchSink's promise: one end, nothing after it. */
const once = (sink: WatchSink): WatchSink & { readonly ended: boolean } => {
  let ended = false;
  return {
    get ended() {
      return ended;
    },
    onSubscribed: (socket) => {
      if (!ended) sink.onSubscribed?.(socket);
    },
    onItem: (item) => {
      if (!ended) sink.onItem(item);
    },
    onEnd: (error) => {
      if (ended) return;
      ended = true;
      sink.onEnd(error);
    },
  };
};

const start = async (venue: Venue, { topic, sink }: Watching, deps: VenueWatchDeps): Promise<WatchHandle> => {
  const { openWatch, now, monotonic, log, upstreamTimeoutMs } = deps;
  const { exchange } = venue;
  await venue.requireMethod(topic.channel, 'watch');
  const interval = topic.interval === undefined ? undefined : await venue.requireInterval(topic.interval);
  const options = {
    deadline: monotonic() + START_ATTEMPTS_WORTH * upstreamTimeoutMs,
    priority: 'caller',
  } as const;
  const { symbol } = await venue.readyFor(topic.symbol, options);
  const instance = await venue.streamInstance(options);
  if (watchQuirks(exchange).subscribesByCode) refuseRenamed(instance, symbol);
  return openWatch(instance, { ...topic, symbol }, sink, {
    exchange,
    quirks: venue.quirksOf(instance, symbol),
    now,
    venueNow: () => venue.clock.now(),
    interval,
    monotonic,
    upstreamTimeoutMs,
    log,
    toAppError: (thrown) => faultOfCcxt(exchange, thrown),
    discardInstance: () => venue.discardStreams(instance),
  });
};

/** Never throws: what goes wrong before the feed runs ends it like anything later. */
export const openVenueWatch = (
  venue: Venue | undefined,
  { topic, sink: outer }: Watching,
  deps: VenueWatchDeps,
): WatchHandle => {
  const sink = once(outer);
  let handle: WatchHandle | undefined;
  if (venue === undefined) {
    const error = new AppError(
      'exchange_not_enabled',
      `${topic.exchange.slice(0, 32)} is not enabled on this server.`,
    );
    queueMicrotask(() => sink.onEnd(error));
    return { close: () => sink.onEnd(null) };
  }
  start(venue, { topic, sink }, deps).then(
    (opened) => {
      // Closed while it was being opened.
      if (sink.ended) opened.close();
      else handle = opened;
    },
    (thrown: unknown) => sink.onEnd(faultOfCcxt(topic.exchange, thrown)),
  );
  return {
    close: () => {
      if (handle === undefined) sink.onEnd(null);
      else handle.close();
    },
  };
};
