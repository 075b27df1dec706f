/** What the hub is made of, and from. */
import type { Millis } from '../schemas/common.js';
import type { Candle } from '../schemas/market.js';
import type { Channel } from '../schemas/stream.js';
import type { ExchangeClient, StreamTopic } from '../exchanges/exchange-client.js';
import type { Log } from '../log/log.js';
import type { MarketData } from '../market-data/market-data-api.js';
import type { Timers } from '../lib/timers.js';

export const DEFAULT_POLL_INTERVALS: Readonly<Record<Channel, Millis>> = {
  ticker: 2_000,
  trades: 2_000,
  orderbook: 2_000,
  ohlcv: 5_000,
};

/** A fifth of the polls' half of 100 requests a minute. */
export const DEFAULT_CHECK_SPACING_MS: Millis = 6_000;

/** The part of the polls' share of a budget that may go into looks at silent feeds. */
const CHECK_SHARE = 0.2;
const POLL_SHARE = 0.5;

/** How far apart such looks must be to keep within their share. */
export const checkSpacingOf = ({
  requests,
  windowMs,
}: {
  readonly requests: number;
  readonly windowMs: Millis;
}): Millis => windowMs / Math.max(1, Math.floor(requests * POLL_SHARE * CHECK_SHARE));

/** The part of Config.stream that the hub needs. */
interface HubSettings {
  /** Fraction by which `last` must move where a request does not say. */
  readonly deltaThreshold: number;
  readonly lingerMs: Millis;
  readonly idleTimeoutMs: Millis;
}

export interface HubOptions {
  readonly exchanges: Pick<ExchangeClient, 'describe' | 'watch' | 'fetch'>;
  /** A function, since market data in turn reads live tickers from the hub. */
  readonly marketData: () => Pick<MarketData, 'get'>;
  readonly settings: HubSettings;
  readonly pollIntervalMs?: Readonly<Record<Channel, Millis>> | undefined;
  /** Between two looks over REST at silent feeds of one exchange; default 6 s, a fifth of what polls may by default. */
  readonly checkSpacingMs?: Millis | undefined;
  /** Told of every candle of a live feed that closes. */
  readonly onCandles?:
    ((topic: StreamTopic, candles: readonly Candle[], receivedAt: Millis) => void) | undefined;
  readonly sandbox: boolean;
  readonly log: Log;
  readonly now: () => Millis;
  /** The clock of durations and deadlines; default: `now`. */
  readonly monotonic?: (() => Millis) | undefined;
  /** 0 (inclusive) to 1. */
  readonly random: () => number;
  readonly timers?: Timers | undefined;
}
