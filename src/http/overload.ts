/** Refuses early what would be answered late: 503 `overloaded` before any work is done. */
import type { FastifyInstance } from 'fastify';
import { AppError } from '../errors.js';
import type { LoadGauge } from './load-gauge.js';

/** Requests waiting for their answers at once, streams aside. About 10 kB each. */
const MAX_IN_FLIGHT = 4096;
/** When a refused client should come back. */
const RETRY_AFTER_MS = 2000;

declare module 'fastify' {
  interface FastifyInstance {
    /** Does this server refuse requests at this moment? */
    isOverloaded(): boolean;
  }
}

export interface OverloadOptions {
  readonly gauge: Pick<LoadGauge, 'overloaded'>;
  readonly maxInFlight?: number | undefined;
}

/** Installed on the root instance, after the answers' count. Health checks (`unlimited`) always pass. */
export const addOverloadProtection = (
  app: FastifyInstance,
  { gauge, maxInFlight = MAX_IN_FLIGHT }: OverloadOptions,
): void => {
  app.decorate('isOverloaded', () => app.inFlight() > maxInFlight || gauge.overloaded());
  app.addHook('onRequest', (request, _reply, done) => {
    if (app.isOverloaded() && request.routeOptions.config.unlimited !== true) {
      const detail = 'This server has more requests than it can answer in time.';
      done(new AppError('overloaded', detail, { retryAfterMs: RETRY_AFTER_MS }));
      return;
    }
    done();
  });
};
