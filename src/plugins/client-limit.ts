/** The client rate limit: counts every request but the health checks', tells its state in headers, refuses with 429. */
import type { FastifyInstance } from 'fastify';
import { AppError } from '../errors.js';
import { clientKey, type ClientLimiter, type LimitState } from '../services/client-limiter.js';
import type { HeaderPair } from './common-headers.js';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Health checks must neither be refused nor counted. */
    unlimited?: boolean;
  }
}

export interface ClientLimitOptions {
  /** null: off. */
  readonly limiter: ClientLimiter | null;
  readonly requests: number;
  readonly windowMs: number;
  readonly now: () => number;
}

/** Installed on the root instance, after the common headers. */
export const addClientLimit = (app: FastifyInstance, options: ClientLimitOptions): void => {
  const { limiter, requests, windowMs, now } = options;
  if (limiter === null) return;
  const policy: HeaderPair = ['ratelimit-policy', `"default";q=${requests};w=${Math.ceil(windowMs / 1000)}`];
  const limit: HeaderPair = ['x-ratelimit-limit', String(requests)];

  /** draft-ietf-httpapi-ratelimit-headers, and the older names that people know (reset in seconds from now). */
  const headersOf = ({ remaining, resetAt }: LimitState, at: number): HeaderPair[] => {
    const seconds = Math.max(0, Math.ceil((resetAt - at) / 1000));
    return [
      ['ratelimit', `"default";r=${remaining};t=${seconds}`],
      policy,
      limit,
      ['x-ratelimit-remaining', String(remaining)],
      ['x-ratelimit-reset', String(seconds)],
    ];
  };

  app.addHook('onRequest', (request, _reply, done) => {
    if (request.routeOptions.config.unlimited === true) {
      done();
      return;
    }
    const at = now();
    const state = limiter.hit(clientKey(request.ip), at);
    request.limitHeaders = headersOf(state, at);
    if (state.allowed) {
      done();
      return;
    }
    const detail = `More than ${requests} requests within ${windowMs / 1000} seconds.`;
    done(new AppError('client_rate_limited', detail, { retryAfterMs: Math.max(0, state.resetAt - at) }));
  });
};
