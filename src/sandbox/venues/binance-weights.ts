// Binance's request weights and what happens to those who exceed them.
// https://developers.binance.com/docs/binance-spot-api-docs/rest-api/limits
import { MINUTE, SECOND, type Millis } from '../intervals.js';
import { json, type VenueReply } from './venue.js';

/** This many refusals within a minute are answered with a ban instead. */
const REFUSALS_BEFORE_BAN = 10;
const BAN: Millis = 2 * MINUTE;

const DEPTH_WEIGHTS = [
  [100, 5],
  [500, 25],
  [1000, 50],
  [5000, 250],
] as const;

function symbolsWeight(query: URLSearchParams, one: number, all: number): number {
  if (query.has('symbol')) return one;
  const list = query.get('symbols');
  if (list === null) return all;
  const count = list.split(',').length;
  return count <= 20 ? one : Math.min(all, 40);
}

/** The weight of a request to /api/v3. */
export function binanceWeight(endpoint: string, query: URLSearchParams): number {
  switch (endpoint) {
    case 'exchangeInfo':
      return 20;
    case 'depth': {
      const limit = Number(query.get('limit') ?? 100);
      return DEPTH_WEIGHTS.find(([most]) => limit <= most)?.[1] ?? 250;
    }
    case 'klines':
      return 2;
    case 'aggTrades':
      return 4;
    case 'trades':
      return 25;
    case 'ticker/24hr':
      return symbolsWeight(query, 2, 80);
    case 'ticker/price':
    case 'ticker/bookTicker':
      return symbolsWeight(query, 2, 4);
    default:
      return 1;
  }
}

export interface WeightMeter {
  /** Weight used in the current minute. */
  readonly used: (now: Millis) => number;
  /** Counts a request; a reply if it must be refused. */
  readonly spend: (weight: number, now: Millis) => VenueReply | undefined;
}

/** Fixed one-minute windows: 429 over the limit, 418 for those who go on regardless. Infinity: nothing is counted. */
export function createWeightMeter(limit: number): WeightMeter {
  let minute = -1;
  let used = 0;
  let refusals = 0;
  let bannedUntil = 0;
  const roll = (now: Millis): void => {
    const current = Math.floor(now / MINUTE);
    if (current === minute) return;
    minute = current;
    used = 0;
    refusals = 0;
  };
  const refuse = (status: number, until: Millis, now: Millis): VenueReply => ({
    ...json({ code: -1003, msg: status === 418 ? banned(until) : tooMuch(limit) }, status),
    headers: { 'retry-after': String(Math.ceil((until - now) / SECOND)) },
  });
  return {
    used: (now) => {
      roll(now);
      return used;
    },
    spend: (weight, now) => {
      if (limit === Infinity) return undefined;
      roll(now);
      if (now < bannedUntil) return refuse(418, bannedUntil, now);
      used += weight;
      if (used <= limit) return undefined;
      refusals += 1;
      if (refusals <= REFUSALS_BEFORE_BAN) return refuse(429, (minute + 1) * MINUTE, now);
      bannedUntil = now + BAN;
      return refuse(418, bannedUntil, now);
    },
  };
}

export const tooMuch = (limit: number): string =>
  `Too much request weight used; current limit is ${limit} request weight per 1 MINUTE. Please use WebSocket Streams for live updates to avoid polling the API.`;
const banned = (until: Millis): string =>
  `Way too much request weight used; IP banned until ${until}. Please use WebSocket Streams for live updates to avoid bans.`;
