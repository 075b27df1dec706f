import Fastify from 'fastify';
import { expect, test } from 'vitest';
import { metricsRoutes } from '../../../src/http/routes/metrics.js';
import { createMetrics } from '../../../src/metrics/metrics.js';
import { createUpstreamMeter } from '../../../src/metrics/upstream-meter.js';
import { fullSources } from '../../unit/metrics/sources.js';

test('GET /metrics answers what Prometheus reads, fresh each time', async () => {
  const metrics = createMetrics({
    version: '1.0.0',
    upstream: createUpstreamMeter(),
    sources: fullSources(),
  });
  const app = Fastify();
  await app.register(metricsRoutes, { metrics });
  const answer = await app.inject('/metrics');
  expect(answer.statusCode).toBe(200);
  expect(answer.headers).toMatchObject({
    'content-type': 'text/plain; version=0.0.4; charset=utf-8',
    'cache-control': 'no-store',
  });
  // Each line is a comment or a sample, and no sample appears twice.
  const lines = answer.body.split('\n').filter((line) => line !== '');
  for (const line of lines)
    expect(line).toMatch(
      /^(# (HELP|TYPE) [a-z_]\w* .+|[a-z_]\w*(\{[a-z_]+="[^"]*"(,[a-z_]+="[^"]*")*\})? \S+)$/,
    );
  const samples = lines.filter((line) => !line.startsWith('#')).map((line) => line.replace(/ \S+$/, ''));
  expect(new Set(samples).size).toBe(samples.length);
  await app.close();
});
