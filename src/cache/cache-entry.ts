/** What the cache holds: finished bytes with the times and the origin that its headers are made of. */
import type { Millis } from '../schemas/common.js';
import type { TickerStats } from '../schemas/market.js';

export interface CacheEntry {
  /** The complete JSON answer. */
  readonly body: Buffer;
  /** Strong validator of the body, with its quotes. Made once, when the entry is made. */
  readonly etag: string;
  /** When the venue's answer arrived. */
  readonly receivedAt: Millis;
  /** Served as it is before this instant. */
  readonly freshUntil: Millis;
  /** Served marked STALE, while a refresh fails, before this instant. */
  readonly staleUntil: Millis;
  /** Value of the Data-Source header: `binance; via=rest`, `coinmarketcap`, `sandbox; via=rest`. */
  readonly source: string;
  /** OHLCV whose last candle is open: the end of its period, past which `closed:false` must not be served. */
  readonly closesAt: Millis | null;
  /** Ticker or order book: the venue gave no time, and `timestamp` is that of receipt. */
  readonly untimed?: true | undefined;
  /** Ticker: the venue's last 24 hours, for those who ask for them; not in `body`. Absent: it gives none. */
  readonly stats?: TickerStats | undefined;
}

/** Another server's clock may run ahead of ours by this much. */
const MAX_CLOCK_SKEW_MS: Millis = 1_000;

/**
 * How old an answer is that will only have been received later, cannot be told: the clock was set back since, or
 * another server's is ahead. Freshness by such a time could last for hours.
 */
export const isFromLater = ({ receivedAt }: Pick<CacheEntry, 'receivedAt'>, at: Millis): boolean =>
  receivedAt > at + MAX_CLOCK_SKEW_MS;

/** One tier, or several behind one face. Neither call ever rejects: a cache that fails is a cache that missed. */
export interface Cache {
  /** The entry while it is not older than its `staleUntil`; freshness is the caller's judgement. */
  get(key: string): Promise<CacheEntry | undefined>;
  set(key: string, entry: CacheEntry): Promise<void>;
  close(): Promise<void>;
}

/** State of the cache as /v1/health/ready tells it. */
export interface CacheHealth {
  readonly state: 'ok' | 'degraded' | 'disabled';
  readonly detail: string;
  readonly since: Millis;
}
