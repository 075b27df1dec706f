/** How long an answer is fresh and how long it may stand in for a failing venue. Pure; all in milliseconds. */
import type { Millis } from '../schemas/common.js';
import type { MarketAnswer, MarketRequest } from '../exchanges/exchange-client.js';
import type { MarketKind } from '../schemas/market.js';
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

/** Candles with a gap that the venue may fill the next time. */
const HEALING_LIFE_MS = 5_000;

type Answered = Pick<MarketAnswer, 'receivedAt' | 'closesAt' | 'mayHeal'>;

const lifeOf = (
  request: MarketRequest,
  { closesAt, mayHeal }: Answered,
  settings: FreshnessSettings,
): Millis => {
  switch (request.kind) {
    case 'ticker':
      return settings.tickerMs;
    case 'orderbook':
      return settings.orderbookMs;
    case 'trades':
      return settings.tradesMs;
    case 'ohlcv': {
      const life = closesAt === null ? settings.ohlcvMs : movingLife(request.interval, settings);
      return mayHeal === true ? Math.min(life, HEALING_LIFE_MS) : life;
    }
  }
};

/** The longest that an answer of this server is fresh. `moving`: candles whose last one is open. */
export const longestLife = (
  { kind, interval, moving }: { kind: MarketKind; interval: string | undefined; moving: boolean },
  settings: FreshnessSettings,
): Millis => {
  if (kind !== 'ohlcv') return settings[`${kind}Ms`];
  return moving ? movingLife(interval ?? '', settings) : settings.ohlcvMs;
};

/** `freshUntil` never lies past `closesAt`: an open candle is not served as open after its close. */
export const freshnessOf = (
  request: MarketRequest,
  answered: Answered,
  settings: FreshnessSettings,
): { readonly freshUntil: Millis; readonly staleUntil: Millis } => {
  const { receivedAt, closesAt } = answered;
  const end = receivedAt + lifeOf(request, answered, settings);
  const freshUntil = closesAt === null ? end : Math.min(end, Math.max(closesAt, receivedAt));
  return { freshUntil, staleUntil: Math.max(freshUntil, receivedAt + settings.staleIfErrorMs) };
};
