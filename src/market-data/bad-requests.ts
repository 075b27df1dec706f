/** Requests that a venue cannot answer, remembered for a short while so that they can't be used to hammer it. */
import { LRUCache } from 'lru-cache';
import type { AppError, ErrorCode } from '../errors.js';
import type { Millis } from '../schemas/common.js';
import type { MarketRequest } from '../exchanges/exchange-client.js';

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
  const remembered = new LRUCache<string, { readonly error: AppError; readonly until: Millis }>({
    max: MAX_REMEMBERED,
  });
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
