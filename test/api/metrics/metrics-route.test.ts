import Fastify from 'fastify';
import { expect, test } from 'vitest';
import { metricsRoutes } from '../../../src/http/routes/metrics.js';
import { createMetrics } from '../../../src/metrics/metrics.js';
import { createUpstreamMeter } from '../../../src/metrics/upstream-meter.js';
import { fullSources } from '../../unit/metrics/sources.js';

test('GET /metrics answers what Prometheus reads', async () => {
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

test('however many ask, the metrics are rendered once a second; a rendering that failed is not kept', async () => {
  let at = 0;
  let rendered = 0;
  let fails = false;
  const metrics = {
    contentType: 'text/plain',
    text: () => {
      rendered += 1;
      return fails ? Promise.reject(new Error('a bug')) : Promise.resolve(`rendering ${rendered}`);
    },
  };
  const app = Fastify();
  await app.register(metricsRoutes, { metrics, monotonic: () => at });
  const ask = () => Promise.all(Array.from({ length: 50 }, () => app.inject('/metrics')));
  expect(new Set((await ask()).map(({ body }) => body))).toEqual(new Set(['rendering 1']));
  at = 999;
  expect((await app.inject('/metrics')).body).toBe('rendering 1');
  at = 1000;
  fails = true;
  expect((await app.inject('/metrics')).statusCode).toBe(500);
  fails = false;
  expect((await app.inject('/metrics')).body).toBe('rendering 3');
  expect(rendered).toBe(3);
  await app.close();
});
