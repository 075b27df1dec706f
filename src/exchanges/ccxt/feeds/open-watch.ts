/**
 * The seam between the CCXT client and watch.ts: how one raw feed is opened on a CCXT instance. Symbols are resolved
 * and markets are loaded before it is called.
 */
import type { ExchangeId, Millis } from '../../../schemas/common.js';
import type { AppError } from '../../../errors.js';
import type { Interval } from '../../../lib/intervals.js';
import type { Log } from '../../../log/log.js';
import type { StreamTopic, WatchHandle, WatchSink } from '../../exchange-client.js';
import type { CcxtExchange } from '../ccxt-exchange.js';
import type { VenueQuirks } from '../../venues/venue-quirks.js';

export interface WatchDeps {
  readonly exchange: ExchangeId;
  readonly quirks: VenueQuirks;
  readonly now: () => Millis;
  /** The venue's clock: whether a period has ended, and what lies ahead, is the venue's to say. */
  readonly venueNow: () => Millis;
  /** Of an ohlcv topic: its interval as the venue's rows have shown it so far. */
  readonly interval?: Interval | undefined;
  /** The clock of durations and deadlines; nobody sets it. */
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
