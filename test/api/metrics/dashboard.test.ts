import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import type { FastifyInstance } from 'fastify';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { buildApp } from '../../../src/app/app.js';
import { loadConfig } from '../../../src/config/config.js';
import { silentLog } from '../../../src/log/log.js';
import { testFolder } from '../access/access-app.js';
import { createFakeExchangeClient } from '../../support/fake-exchange-client.js';

const read = (file: string) => readFileSync(new URL(`../../../docker/${file}`, import.meta.url), 'utf8');

const dashboard = z
  .object({
    uid: z.string(),
    panels: z.array(
      z.object({
        id: z.int(),
        title: z.string(),
        gridPos: z.object({ x: z.int(), w: z.int() }),
        targets: z.array(z.object({ expr: z.string(), legendFormat: z.string() })).optional(),
      }),
    ),
    templating: z.object({
      list: z.array(z.object({ name: z.string(), definition: z.string().optional() })),
    }),
  })
  .parse(JSON.parse(read('grafana/dashboard.json')));

const alerts = z
  .strictObject({
    groups: z.array(
      z.strictObject({
        name: z.string(),
        rules: z.array(
          z.strictObject({
            alert: z.string().regex(/^CryptoData[A-Z]\w+$/),
            expr: z.string(),
            for: z
              .string()
              .regex(/^\d+m$/)
              .optional(),
            labels: z.strictObject({ severity: z.enum(['info', 'warning', 'critical']) }),
            annotations: z.strictObject({ summary: z.string().min(1), description: z.string().min(1) }),
          }),
        ),
      }),
    ),
  })
  .parse(parse(read('prometheus/alerts.yml')));
const rules = alerts.groups.flatMap((group) => group.rules);

/** Names of metrics in PromQL: what is not a function, a label, a keyword or within quotes, braces or brackets. */
const metricsIn = (expr: string): string[] => {
  const bare = expr
    .replace(/\{[^}]*\}/g, ' ')
    .replace(/\[[^\]]*\]/g, ' ')
    .replace(/\b(by|without|on|ignoring)\s*\([^)]*\)/g, ' ')
    .replace(/\$\w+/g, ' ');
  return [...bare.matchAll(/\b([a-z_][a-z0-9_]*)\b(?!\s*\()/g)]
    .map(([, name = '']) => name)
    .filter((name) => !['by', 'sum', 'min', 'max', 'count', 'and', 'or', 'unless', 'bool'].includes(name));
};

const exported = new Set<string>();
const keys = testFolder();
let app: FastifyInstance;
beforeAll(async () => {
  const exchangeClient = createFakeExchangeClient(Date.now);
  app = await buildApp(
    loadConfig({
      REDIS_URL: 'redis://127.0.0.1:1/0',
      AUTH_MODE: 'optional',
      AUTH_STORE: `sqlite:${keys.file}`,
    }),
    { exchangeClient, log: silentLog },
  );
  // The first answer is counted once it has gone out: the second one tells of it.
  await app.inject('/metrics');
  const { body } = await app.inject('/metrics');
  for (const [, name = ''] of body.matchAll(/^# TYPE (\w+) (?:counter|gauge)$/gm)) exported.add(name);
  for (const [, name = ''] of body.matchAll(/^# TYPE (\w+) histogram$/gm))
    for (const part of ['_bucket', '_sum', '_count']) exported.add(name + part);
});
afterAll(async () => {
  await app.close();
  await keys.end();
});

const queries = [
  ...dashboard.panels.flatMap(({ title, targets = [] }) => targets.map(({ expr }) => [title, expr] as const)),
  ...rules.map(({ alert, expr }) => [alert, expr] as const),
];

test('the reader of queries finds the metrics in them', () => {
  expect(metricsIn('sum by (a, b) (rate(x_total{c="d"}[5m])) / max (y) > 0.05')).toEqual(['x_total', 'y']);
});

test.each(queries)('%s asks for metrics that the server exports: %s', (_title, expr) => {
  const names = metricsIn(expr).filter((name) => name !== 'up');
  if (!expr.startsWith('up{')) expect(names.length).toBeGreaterThan(0);
  for (const name of names) expect([...exported]).toContain(name);
});

test('every metric of ours is on the dashboard', () => {
  const shown = new Set(queries.flatMap(([, expr]) => metricsIn(expr)));
  const ours = [...exported].filter((name) => name.startsWith('crypto_data_') && !/_(sum|count)$/.test(name));
  expect(ours.filter((name) => !shown.has(name))).toEqual([]);
});

test('the dashboard’s panels have numbers of their own and fit the grid', () => {
  const ids = dashboard.panels.map(({ id }) => id);
  expect(new Set(ids).size).toBe(ids.length);
  for (const { gridPos } of dashboard.panels) expect(gridPos.x + gridPos.w).toBeLessThanOrEqual(24);
  expect(dashboard.templating.list.find(({ name }) => name === 'instance')?.definition).toContain(
    'crypto_data_build_info',
  );
});

test('Prometheus scrapes every server of the compose file, under the job that the alerts know', () => {
  const config = z
    .object({
      rule_files: z.array(z.string()),
      scrape_configs: z.array(
        z.object({
          job_name: z.string(),
          dns_sd_configs: z.array(z.object({ names: z.array(z.string()), type: z.string(), port: z.int() })),
        }),
      ),
    })
    .parse(parse(read('prometheus/prometheus.yml')));
  expect(config.rule_files).toEqual(['alerts.yml']);
  expect(config.scrape_configs).toMatchObject([
    { job_name: 'crypto-data', dns_sd_configs: [{ names: ['server'], type: 'A', port: 8000 }] },
  ]);
  expect(rules.find(({ alert }) => alert === 'CryptoDataDown')?.expr).toContain('job="crypto-data"');
});
