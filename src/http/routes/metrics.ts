/** `GET /metrics`: what Prometheus scrapes. */
import type { FastifyInstance, FastifyPluginCallback } from 'fastify';
import type {} from '@fastify/swagger';
import type {} from '../limits/client-limit.js';
import type { Millis } from '../../schemas/common.js';
import type { Metrics } from '../../metrics/metrics.js';

export interface MetricsRouteOptions {
  readonly metrics: Pick<Metrics, 'contentType' | 'text'>;
  /** Monotonic; performance.now by default. */
  readonly monotonic?: () => Millis;
}

/** A rendering takes milliseconds of the serving thread and 100 kB: it is shared by all who ask within this time. */
const RENDERED_FOR_MS = 1000;

/** Renders at most once per RENDERED_FOR_MS, however many ask; a failure is not kept. */
const sharedRendering = (render: () => Promise<string>, monotonic: () => Millis) => {
  let rendering: Promise<Buffer> | null = null;
  let renderedAt: Millis = 0;
  return (): Promise<Buffer> => {
    const at = monotonic();
    if (rendering !== null && at - renderedAt < RENDERED_FOR_MS) return rendering;
    renderedAt = at;
    const begun = render().then((text) => Buffer.from(text));
    rendering = begun;
    begun.catch(() => {
      if (rendering === begun) rendering = null;
    });
    return begun;
  };
};

export const metricsRoutes: FastifyPluginCallback<MetricsRouteOptions> = (
  app: FastifyInstance,
  { metrics, monotonic = () => performance.now() },
  done,
) => {
  const rendered = sharedRendering(() => metrics.text(), monotonic);
  // Neither limits nor overload refuse Prometheus: metrics matter most then.
  app.get('/metrics', { schema: { hide: true }, config: { unlimited: true } }, async (_request, reply) => {
    const text = await rendered();
    return reply.header('cache-control', 'no-store').type(metrics.contentType).send(text);
  });
  done();
};
