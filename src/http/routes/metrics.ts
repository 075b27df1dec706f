/** `GET /metrics`: what Prometheus scrapes. */
import type { FastifyInstance, FastifyPluginCallback } from 'fastify';
import type {} from '@fastify/swagger';
import type {} from '../client-limit.js';
import type { Metrics } from '../../metrics/metrics.js';

export interface MetricsRouteOptions {
  readonly metrics: Metrics;
}

export const metricsRoutes: FastifyPluginCallback<MetricsRouteOptions> = (
  app: FastifyInstance,
  { metrics },
  done,
) => {
  // Neither limits nor overload keep Prometheus out: it is then that somebody looks.
  app.get('/metrics', { schema: { hide: true }, config: { unlimited: true } }, async (_request, reply) => {
    const text = await metrics.text();
    return reply.header('cache-control', 'no-store').type(metrics.contentType).send(text);
  });
  done();
};
