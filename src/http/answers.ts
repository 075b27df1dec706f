/**
 * One record per answer, for the access log and the metrics, whichever way the answer went out: through Fastify's
 * reply, hijacked by the hot path, or as a long-lived stream.
 */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { CacheState } from '../market-data/market-data-api.js';
import type { ErrorCode } from '../errors.js';

export interface AnswerRecord {
  readonly requestId: string;
  readonly method: string;
  /** The route's pattern, never the URL: a label that clients can't choose. `unmatched` where there is none. */
  readonly route: string;
  readonly status: number;
  readonly durationMs: number;
  readonly cache: CacheState | null;
  /** CCXT id of the venue the answer is about, where known. */
  readonly exchange: string | null;
  readonly errorCode: ErrorCode | null;
  /** The client left before we had answered. */
  readonly aborted: boolean;
  /** SSE and WebSocket: the duration is the connection's life, not a wait. */
  readonly longLived: boolean;
}

export type AnswerListener = (answer: AnswerRecord) => void;

declare module 'fastify' {
  interface FastifyInstance {
    /** Calls `listener` after each answer. Listeners are few, quick and never throw. */
    onAnswer(listener: AnswerListener): void;
    /** For those who answer before Fastify knows of the request (front-door.ts). */
    reportAnswer(answer: AnswerRecord): void;
    /** Requests being answered now, without the long-lived ones. */
    inFlight(): number;
  }
  interface FastifyRequest {
    cacheState: CacheState | null;
    exchangeId: string | null;
    errorCode: ErrorCode | null;
    /** performance.now() at the request's arrival. */
    arrivedAt: number;
  }
  interface FastifyContextConfig {
    /** SSE and WebSocket routes: exempt from the in-flight bound and from the slow-request log. */
    longLived?: boolean;
  }
}

const routeOf = (request: FastifyRequest): string =>
  request.is404 ? 'unmatched' : request.routeOptions.config.url;

/** Installed on the root instance, before any other hook, so that refused requests are counted too. */
export const addAnswers = (app: FastifyInstance): void => {
  const listeners: AnswerListener[] = [];
  let inFlight = 0;
  app.decorateRequest('cacheState', null);
  app.decorateRequest('exchangeId', null);
  app.decorateRequest('errorCode', null);
  app.decorateRequest('arrivedAt', 0);
  app.decorate('onAnswer', (listener: AnswerListener) => {
    listeners.push(listener);
  });
  const report = (answer: AnswerRecord): void => {
    for (const listener of listeners) listener(answer);
  };
  app.decorate('reportAnswer', report);
  app.decorate('inFlight', () => inFlight);
  app.addHook('onRequest', (request, reply, done) => {
    const { raw } = reply;
    const longLived = request.routeOptions.config.longLived === true;
    request.arrivedAt = performance.now();
    if (!longLived) inFlight += 1;
    // 'close' follows 'finish', and comes alone where the client left: exactly once in both cases. Cheaper than an
    // onResponse hook, which would add two listeners to every response.
    raw.on('close', () => {
      if (!longLived) inFlight -= 1;
      report({
        requestId: request.id,
        method: request.method,
        route: routeOf(request),
        status: raw.statusCode,
        durationMs: performance.now() - request.arrivedAt,
        cache: request.cacheState,
        exchange: request.exchangeId,
        errorCode: request.errorCode,
        aborted: !raw.writableEnded,
        longLived,
      });
    });
    done();
  });
};
