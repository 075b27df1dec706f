/**
 * CoinMarketCap's refusals, told apart by its own code, and for how long each makes further requests useless.
 * https://coinmarketcap.com/api/documentation/guides/errors-and-rate-limits
 */
import { AppError, type ErrorCode } from '../errors.js';
import type { Millis } from '../schemas/common.js';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
/** What is wrong with a key or a plan is put right by a person. */
const KEY_PAUSE_MS = HOUR;

/** The plan does not include this endpoint. */
export const PLAN_REFUSAL = 1006;

export interface Fault {
  readonly error: AppError;
  /** CoinMarketCap's own code; null where its answer has none. */
  readonly code: number | null;
  /** No request makes sense before this long; null: back off as after any failure; 0: this request alone is at fault. */
  readonly pauseMs: Millis | null;
}

/** Travels from the transport to the client, which turns it into its AppError. */
export class CoinMarketCapFault extends Error {
  override readonly name = 'CoinMarketCapFault';
  constructor(readonly fault: Fault) {
    super(fault.error.message);
  }
}

interface Refusal {
  readonly code: ErrorCode;
  readonly message: string;
  readonly pause: (now: Millis) => Millis;
}

const keyPause = (): Millis => KEY_PAUSE_MS;
const untilNextMonth = (now: Millis): Millis => {
  const date = new Date(now);
  return Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1, 1) - now;
};

const auth = (message: string): Refusal => ({ code: 'upstream_auth_required', message, pause: keyPause });
const limit = (message: string, pause: Refusal['pause']): Refusal => ({
  code: 'upstream_rate_limited',
  message,
  pause,
});

const REFUSALS: ReadonlyMap<number, Refusal> = new Map([
  [1001, auth('CoinMarketCap says that the API key is invalid.')],
  [1002, auth('CoinMarketCap says that the API key is missing.')],
  [1003, auth('CoinMarketCap says that the plan of the API key needs payment first.')],
  [1004, auth('CoinMarketCap says that the plan of the API key has expired.')],
  [1005, auth('CoinMarketCap says that this call needs an API key.')],
  [1006, { ...auth('The CoinMarketCap plan does not include this data.'), pause: () => 0 }],
  [1007, auth('CoinMarketCap says that the API key has been disabled.')],
  [1008, limit('The CoinMarketCap limit per minute is used up.', (now) => MINUTE - (now % MINUTE))],
  [1009, limit('The CoinMarketCap limit per day is used up.', (now) => DAY - (now % DAY))],
  [1010, limit('The CoinMarketCap limit per month is used up.', untilNextMonth)],
  [1011, limit('CoinMarketCap limits the requests of this address.', () => MINUTE)],
]);

/** HTTP statuses that come without a code of CoinMarketCap's. `pauseMs` null: back off. */
const byStatus = (status: number): { code: ErrorCode; message: string; pauseMs: Millis | null } => {
  if (status === 400) {
    // A value that CoinMarketCap does not know; which one, the caller knows.
    return { code: 'symbol_not_found', message: 'CoinMarketCap does not know this currency.', pauseMs: 0 };
  }
  if (status === 401 || status === 402)
    return { code: 'upstream_auth_required', message: 'CoinMarketCap refuses the API key.', pauseMs: HOUR };
  if (status === 403 || status === 451)
    return { code: 'upstream_geo_blocked', message: 'CoinMarketCap refuses this server.', pauseMs: null };
  if (status === 429)
    return { code: 'upstream_rate_limited', message: 'CoinMarketCap limits requests.', pauseMs: MINUTE };
  if (status >= 500)
    return { code: 'upstream_unavailable', message: 'CoinMarketCap is unavailable.', pauseMs: null };
  return { code: 'upstream_error', message: 'CoinMarketCap refused the request.', pauseMs: null };
};

/** `code`: CoinMarketCap's, where its answer had one. `retryAfterMs`: of the Retry-After header, if there was one. */
export const faultOf = (
  { status, code, retryAfterMs }: { status: number; code: number | null; retryAfterMs: Millis | undefined },
  now: Millis,
): CoinMarketCapFault => {
  const upstream = { exchange: 'coinmarketcap', status };
  const refusal = code === null ? undefined : REFUSALS.get(code);
  const known =
    refusal === undefined
      ? byStatus(status)
      : { code: refusal.code, message: refusal.message, pauseMs: refusal.pause(now) };
  const pauseMs =
    known.pauseMs === null || known.pauseMs === 0
      ? known.pauseMs
      : Math.max(known.pauseMs, retryAfterMs ?? 0);
  const error = new AppError(known.code, known.message, {
    upstream,
    retryAfterMs: known.code === 'upstream_rate_limited' ? (pauseMs ?? undefined) : undefined,
  });
  return new CoinMarketCapFault({ error, code, pauseMs });
};

/** The currency is known, and has no price in the other one. */
export const noPrice = (): CoinMarketCapFault => {
  const error = new AppError('symbol_not_found', 'CoinMarketCap has no price of this currency.', {
    upstream: { exchange: 'coinmarketcap' },
  });
  return new CoinMarketCapFault({ error, code: null, pauseMs: 0 });
};

/** A request that got no answer, or none that makes sense. */
export const failureOf = (
  code: 'upstream_timeout' | 'upstream_unavailable' | 'upstream_bad_response',
): CoinMarketCapFault => {
  const message = {
    upstream_timeout: 'CoinMarketCap did not answer in time.',
    upstream_unavailable: 'CoinMarketCap could not be reached.',
    upstream_bad_response: 'The answer of CoinMarketCap makes no sense.',
  }[code];
  const error = new AppError(code, message, { upstream: { exchange: 'coinmarketcap' } });
  return new CoinMarketCapFault({ error, code: null, pauseMs: null });
};
