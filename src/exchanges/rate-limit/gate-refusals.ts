/** What the gate says to requests that may not leave. */
import { AppError } from '../../errors.js';
import type { ExchangeId, Millis } from '../../schemas/common.js';

const wholeMs = (ms: Millis): Millis => Math.max(1, Math.ceil(ms));

/** The venue has said, or is about to say, "too many requests". `status`: what it said so with, where it did. */
export const rateLimited = (
  exchange: ExchangeId,
  {
    retryAfterMs,
    status,
    reason,
  }: { readonly retryAfterMs: Millis; readonly status: number | null; readonly reason: string | null },
): AppError =>
  new AppError(
    'upstream_rate_limited',
    `${exchange} limits requests; none is sent until it allows them again.`,
    {
      retryAfterMs: wholeMs(retryAfterMs),
      upstream: { exchange, status: status ?? undefined },
      diagnosis: reason ?? undefined,
    },
  );

export const budgetExhausted = (exchange: ExchangeId, retryAfterMs: Millis): AppError =>
  new AppError('upstream_budget_exhausted', `This server's own request budget for ${exchange} is used up.`, {
    retryAfterMs: wholeMs(retryAfterMs),
    upstream: { exchange },
  });

/** The reason of whoever gave the call up, where it is one of ours. */
export const givenUpWaiting = (exchange: ExchangeId, signal: AbortSignal): AppError => {
  if (signal.reason instanceof AppError) return signal.reason;
  return new AppError('upstream_timeout', `The call to ${exchange} was given up while it waited.`, {
    upstream: { exchange },
    cause: signal.reason,
  });
};
