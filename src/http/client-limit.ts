/** The client rate limit: counts every request but the health checks', tells its state in headers, refuses with 429. */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { AppError } from '../errors.js';
import type { ClientLimiter, LimitState } from '../access/client-limiter.js';
import { clientOf } from './client.js';
import type { HeaderPair } from './common-headers.js';

declare module 'fastify' {
  interface FastifyInstance {
    /**
     * Counts `more` requests beside the one that `request` is, for a body that holds several. Throws
     * `client_rate_limited` where they are too many; what was counted until then stays counted.
     */
    countMore(request: FastifyRequest, more: number): void;
    /** The same for a connection, whose request is over: `client` is what `clientOf` said of it. */
    countFor(client: string, more: number): void;
  }
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
  if (limiter === null) {
    app.decorate('countMore', () => undefined);
    app.decorate('countFor', () => undefined);
    return;
  }
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

  const refusalOf = ({ allowed, resetAt }: LimitState, at: number): AppError | undefined => {
    if (allowed) return undefined;
    const detail = `More than ${requests} requests within ${windowMs / 1000} seconds.`;
    return new AppError('client_rate_limited', detail, { retryAfterMs: Math.max(0, resetAt - at) });
  };

  /** Counts one; what refuses it, if it is one too many. */
  const count = (request: FastifyRequest): AppError | undefined => {
    const at = now();
    const state = limiter.hit(clientOf(request), at);
    request.limitHeaders = headersOf(state, at);
    return refusalOf(state, at);
  };

  app.decorate('countFor', (client: string, more: number) => {
    for (let i = 0; i < more; i++) {
      const at = now();
      const refusal = refusalOf(limiter.hit(client, at), at);
      if (refusal !== undefined) throw refusal;
    }
  });

  app.decorate('countMore', (request: FastifyRequest, more: number) => {
    for (let i = 0; i < more; i++) {
      const refusal = count(request);
      if (refusal !== undefined) throw refusal;
    }
  });
  app.addHook('onRequest', (request, _reply, done) => {
    done(request.routeOptions.config.unlimited === true ? undefined : count(request));
  });
};
