/** The feeds that this process holds, and what they share. */
import type { ExchangeClient } from '../../exchanges/exchange-client.js';
import { systemTimers, type Timers } from '../../lib/timers.js';
import type { Log } from '../../log/log.js';
import type { ExchangeId, Millis } from '../../schemas/common.js';
import type { Channel } from '../../schemas/stream.js';
import { createUnsharedIds, type NextEventId } from '../event-ids.js';
import { BookCrossCheck } from './book-cross-check.js';
import type { FeedRequest, FeedSource, FeedSources } from './feed-source.js';
import { LocalFeed } from './local-feed.js';
import { FeedOutages } from './outages.js';
import { SilenceChecks } from './silence-checks.js';

const DEFAULT_POLL_INTERVALS: Readonly<Record<Channel, Millis>> = {
  ticker: 2_000,
  trades: 2_000,
  orderbook: 2_000,
  ohlcv: 5_000,
};

/** A fifth of the polls' half of 100 requests a minute. */
const DEFAULT_CHECK_SPACING_MS: Millis = 6_000;
/** The part of the polls' share of a budget that checks of silent feeds may use. */
const CHECK_SHARE = 0.2;
const POLL_SHARE = 0.5;

/** For the markets of an exchange whose feeds another server still holds. */
const PREPARE_MS: Millis = 30_000;

/** The interval between checks of silent feeds that keeps them within their share of a budget. */
export const checkSpacingOf = ({
  requests,
  windowMs,
}: {
  readonly requests: number;
  readonly windowMs: Millis;
}): Millis => windowMs / Math.max(1, Math.floor(requests * POLL_SHARE * CHECK_SHARE));

export interface LocalFeedsOptions {
  readonly exchanges: Pick<ExchangeClient, 'watch' | 'fetch'> & Partial<Pick<ExchangeClient, 'markets'>>;
  /** Of ids of events; see schemas of SERVER_ID. */
  readonly serverId: string;
  /** A live feed that says nothing for so long is compared with REST. */
  readonly idleTimeoutMs: Millis;
  /** Between two polls where there is no live feed; default 2 s, candles 5 s. */
  readonly pollIntervalMs?: Readonly<Record<Channel, Millis>> | undefined;
  /** Between two checks over REST of silent feeds of one exchange; default 6 s, a fifth of what polls may by default. */
  readonly checkSpacingMs?: Millis | undefined;
  readonly log: Log;
  readonly now: () => Millis;
  /** The clock of durations and deadlines; default: `now`. */
  readonly monotonic?: (() => Millis) | undefined;
  /** 0 (inclusive) to 1. */
  readonly random: () => number;
  readonly timers?: Timers | undefined;
}

class LocalFeeds implements FeedSources {
  readonly #options: LocalFeedsOptions;
  readonly #timers: Timers;
  readonly #monotonic: () => Millis;
  readonly #outages: FeedOutages;
  readonly #crossCheck: BookCrossCheck;
  /** Bounded by the enabled exchanges. */
  readonly #checks = new Map<ExchangeId, SilenceChecks>();
  readonly #eventIds: () => NextEventId;
  /** Their markets are loaded, or about to be. */
  readonly #prepared = new Set<ExchangeId>();

  constructor(options: LocalFeedsOptions) {
    const { timers = systemTimers, now, monotonic = now, log, random } = options;
    this.#options = options;
    this.#timers = timers;
    this.#monotonic = monotonic;
    this.#outages = new FeedOutages({ log, now: monotonic });
    this.#crossCheck = new BookCrossCheck({ timers, random });
    this.#eventIds = createUnsharedIds(options.serverId, now());
  }

  open({ topic, description, listener }: FeedRequest): FeedSource {
    const { watchable, capabilities, bookIntegrity } = description;
    const { exchanges, idleTimeoutMs, pollIntervalMs, log, now, random } = this.#options;
    return new LocalFeed({
      topic,
      exchanges,
      watchable: watchable.includes(topic.channel),
      pollable: capabilities[topic.channel],
      idleTimeoutMs,
      pollIntervalMs: (pollIntervalMs ?? DEFAULT_POLL_INTERVALS)[topic.channel],
      listener,
      log,
      crossCheck: topic.channel === 'orderbook' && bookIntegrity === 'crosscheck' ? this.#crossCheck : null,
      outages: this.#outages,
      checks: this.#checksOf(topic.exchange),
      nextEventId: this.#eventIds(),
      now,
      monotonic: this.#monotonic,
      random,
      timers: this.#timers,
    });
  }

  prepare(exchange: ExchangeId): void {
    const { exchanges } = this.#options;
    if (exchanges.markets === undefined || this.#prepared.has(exchange)) return;
    this.#prepared.add(exchange);
    const call = { deadline: this.#monotonic() + PREPARE_MS, priority: 'poll', attempts: 1 } as const;
    exchanges.markets(exchange, call).catch(() => this.#prepared.delete(exchange));
  }

  #checksOf(exchange: ExchangeId): SilenceChecks {
    let checks = this.#checks.get(exchange);
    if (checks === undefined) {
      const { checkSpacingMs = DEFAULT_CHECK_SPACING_MS } = this.#options;
      const monotonic = this.#monotonic;
      checks = new SilenceChecks({ spacingMs: checkSpacingMs, monotonic, timers: this.#timers });
      this.#checks.set(exchange, checks);
    }
    return checks;
  }
}

/** Opens nothing by itself. */
export const createLocalFeeds = (options: LocalFeedsOptions): FeedSources => new LocalFeeds(options);
