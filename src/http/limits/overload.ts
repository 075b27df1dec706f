/** Load shedding: 503 `overloaded` before any work is done, where the answer would come too late. */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { AppError } from '../../errors.js';
import { clientOf } from '../requests/client.js';
import type { LoadGauge } from './load-gauge.js';

/** Requests waiting for their answers at once, streams aside. About 10 kB each. */
const MAX_IN_FLIGHT = 4096;
/** What one client address may have of them, so that it cannot fill the server. */
const CLIENT_SHARE = 0.75;
/** Below this share requests are not counted by client, which saves the work on a server without load. */
const UNCOUNTED_SHARE = 0.25;
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

const overloaded = (detail: string): AppError =>
  new AppError('overloaded', detail, { retryAfterMs: RETRY_AFTER_MS });

/** Installed on the root instance, after the answers' count. Health checks (`unlimited`) always pass. */
export const addOverloadProtection = (
  app: FastifyInstance,
  { gauge, maxInFlight = MAX_IN_FLIGHT }: OverloadOptions,
): void => {
  const uncounted = Math.floor(maxInFlight * UNCOUNTED_SHARE);
  const perClient = Math.ceil(maxInFlight * CLIENT_SHARE) - uncounted;
  /** Requests of each client beyond the uncounted ones; as many clients as there are such requests at most. */
  const counted = new Map<string, number>();

  /** Counts the request until it is answered; false where its client has its share already. */
  const count = (request: FastifyRequest): boolean => {
    const client = clientOf(request);
    const own = counted.get(client) ?? 0;
    if (own >= perClient) return false;
    counted.set(client, own + 1);
    const { answered } = request;
    let held = true;
    request.answered = () => {
      answered();
      if (!held) return;
      held = false;
      const left = (counted.get(client) ?? 1) - 1;
      if (left === 0) counted.delete(client);
      else counted.set(client, left);
    };
    return true;
  };

  app.decorate('isOverloaded', () => app.inFlight() > maxInFlight || gauge.overloaded());
  app.addHook('onRequest', (request, _reply, done) => {
    const { unlimited, longLived } = request.routeOptions.config;
    if (unlimited === true) done();
    else if (app.isOverloaded())
      done(overloaded('This server has more requests than it can answer in time.'));
    else if (longLived !== true && app.inFlight() > uncounted && !count(request))
      done(overloaded('This client waits for more answers than one client may.'));
    else done();
  });
};
