/** Whose fault an error is, what is wrong with a request before anybody is asked, and which requests were bad a short while ago. */
import { AppError, type ErrorCode } from '../errors.js';
import type { Millis } from '../schemas/common.js';
import type { OhlcvRequest, MarketRequest } from '../exchanges/exchange-client.js';
import { leastRecent } from '../cache/least-recent.js';

/** Not the venue's doing: no reason to serve something else in its place. */
const OWN_FAULTS: ReadonlySet<ErrorCode> = new Set(['client_rate_limited', 'shutting_down']);
export const isVenueFault = ({ status, code }: AppError): boolean => status >= 429 && !OWN_FAULTS.has(code);

/** For a caller who left: its own reason where that is one of ours. */
export const givenUp = (reason: unknown): AppError =>
  reason instanceof AppError
    ? reason
    : new AppError('upstream_timeout', 'The request was given up before it was answered.');

/** A caller's clock may be ahead of this server's, and the next period's start is asked for as soon as it is over. */
const TOLERATED_AHEAD_MS: Millis = 5_000;

const refused = (parameter: string, reason: string): AppError =>
  new AppError('invalid_request', `${parameter}: ${reason}.`, { errors: [{ parameter, reason }] });

/** null: nothing is wrong with it. */
export const faultOfRange = (
  { since, until }: Pick<OhlcvRequest, 'since' | 'until'>,
  now: Millis,
): AppError | null => {
  if (since !== undefined && until !== undefined && since >= until)
    return refused('since', 'must be before until, which is not part of the range');
  if (since !== undefined && since > now + TOLERATED_AHEAD_MS)
    return refused('since', `must not lie in the future; it is ${new Date(now).toISOString()}`);
  return null;
};

/** Short: a symbol may be listed at any time. */
const REMEMBER_MS = 10_000;
const MAX_REMEMBERED = 10_000;

const BAD_REQUESTS: ReadonlySet<ErrorCode> = new Set([
  'symbol_not_found',
  'interval_not_supported',
  'not_supported_by_exchange',
]);

export interface BadRequests {
  /** The error that this request met a short while ago. */
  recall(request: MarketRequest): AppError | undefined;
  /** Remembers it if it is the request's fault; otherwise does nothing. */
  note(request: MarketRequest, error: AppError): void;
}

/**
 * A symbol that the venue does not list is unknown whatever is asked of it; other faults belong to the kind of request,
 * also where the venue itself says that it does not know a symbol of its list: another endpoint may well.
 */
const symbolKey = ({ exchange, symbol }: MarketRequest): string => `${exchange} ${symbol}`;
const requestKey = (request: MarketRequest): string =>
  `${symbolKey(request)} ${request.kind} ${request.kind === 'ohlcv' ? request.interval : ''}`;

export const createBadRequests = (now: () => Millis): BadRequests => {
  const remembered = leastRecent<{ readonly error: AppError; readonly until: Millis }>(MAX_REMEMBERED);
  const find = (key: string): AppError | undefined => {
    const found = remembered.get(key);
    return found !== undefined && now() < found.until ? found.error : undefined;
  };
  return {
    recall: (request) => find(symbolKey(request)) ?? find(requestKey(request)),
    note(request, error) {
      if (!BAD_REQUESTS.has(error.code)) return;
      const key =
        error.code === 'symbol_not_found' && error.upstream === undefined
          ? symbolKey(request)
          : requestKey(request);
      remembered.set(key, { error, until: now() + REMEMBER_MS });
    },
  };
};
