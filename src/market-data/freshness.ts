/** How long an answer is fresh and how long it may stand in for a failing venue. Pure; all in milliseconds. */
import type { Millis } from '../schemas/common.js';
import type { MarketAnswer, MarketRequest } from '../exchanges/exchange-client.js';
import { parseInterval } from '../lib/intervals.js';

export interface FreshnessSettings {
  readonly tickerMs: Millis;
  readonly orderbookMs: Millis;
  readonly tradesMs: Millis;
  readonly ohlcvMs: Millis;
  /** Greatest age of an answer that is served while its venue fails. */
  readonly staleIfErrorMs: Millis;
}

/** Candles that still move are as old as a sixtieth of their period at most: a second for 1m, a minute for 1h. */
const MOVING_SHARE = 60;
const LONGEST_MOVING_LIFE_MS = 300_000;

const movingLife = (interval: string, settings: FreshnessSettings): Millis => {
  const length = parseInterval(interval)?.ms ?? 0;
  const life = Math.max(length / MOVING_SHARE, settings.tickerMs);
  return Math.min(life, settings.ohlcvMs, LONGEST_MOVING_LIFE_MS);
};

const lifeOf = (request: MarketRequest, closesAt: Millis | null, settings: FreshnessSettings): Millis => {
  switch (request.kind) {
    case 'ticker':
      return settings.tickerMs;
    case 'orderbook':
      return settings.orderbookMs;
    case 'trades':
      return settings.tradesMs;
    case 'ohlcv':
      return closesAt === null ? settings.ohlcvMs : movingLife(request.interval, settings);
  }
};

/** `freshUntil` never lies past `closesAt`: an open candle is not served as open after its close. */
export const freshnessOf = (
  request: MarketRequest,
  { receivedAt, closesAt }: Pick<MarketAnswer, 'receivedAt' | 'closesAt'>,
  settings: FreshnessSettings,
): { readonly freshUntil: Millis; readonly staleUntil: Millis } => {
  const end = receivedAt + lifeOf(request, closesAt, settings);
  const freshUntil = closesAt === null ? end : Math.min(end, Math.max(closesAt, receivedAt));
  return { freshUntil, staleUntil: Math.max(freshUntil, receivedAt + settings.staleIfErrorMs) };
};
