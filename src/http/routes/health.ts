/** Is the process alive (health), and can it do its work (ready)? Neither waits for anything. */
import type { FastifyPluginCallbackZod } from 'fastify-type-provider-zod';
import { JSON_CONTENT_TYPE } from '../answers/representations.js';
import { health, readiness as readinessAnswer, type Health, type Readiness } from '../../schemas/health.js';

export interface HealthRoutesOptions {
  readonly version: string;
  /** Seconds since the start. */
  readonly uptime: () => number;
  readonly readiness: () => Readiness;
}

/** When a load balancer should look again. */
const RETRY_AFTER_S = '5';

const HEALTH = {
  tags: ['health'],
  operationId: 'getHealth',
  summary: 'Is the process alive',
  description: 'Never waits for a dependency.',
  'x-answer': health,
};
const READY = {
  tags: ['health'],
  operationId: 'getReadiness',
  summary: 'Can it do its work',
  description:
    'degraded: some exchange or Redis is away; unavailable (503): shutting down, overloaded, or no exchange is left.',
  'x-answer': readinessAnswer,
  'x-responses': { 503: readinessAnswer },
};

export const healthRoutes: FastifyPluginCallbackZod<HealthRoutesOptions> = (app, options, done) => {
  const { version, uptime, readiness } = options;
  // A health check must never be refused for what other clients do, nor for what it says that it accepts.
  const config = { unlimited: true };

  app.get('/v1/health', { config, schema: HEALTH }, (_request, reply) => {
    const body: Health = { status: 'ok', uptime: Math.round(uptime() * 100) / 100, version };
    return reply
      .header('cache-control', 'no-store')
      .header('content-type', JSON_CONTENT_TYPE)
      .send(JSON.stringify(body));
  });

  app.get('/v1/health/ready', { config, schema: READY }, (_request, reply) => {
    const body = readiness();
    if (body.status === 'unavailable') reply.code(503).header('retry-after', RETRY_AFTER_S);
    return reply
      .header('cache-control', 'no-store')
      .header('content-type', JSON_CONTENT_TYPE)
      .send(JSON.stringify(body));
  });
  done();
};
