// What docs/python.md and docs/grafana.md offer, against the app over simulated venues.
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import type { Sandbox } from '../../../src/sandbox/sandbox.js';
import { blocksOf } from '../../e2e/readme-blocks.js';
import { findPandas } from '../../support/python.js';
import { quietSandbox, startSandboxApp, type SandboxApp } from '../../support/sandbox-app.js';

const read = (path: string): string => readFileSync(new URL(`../../../${path}`, import.meta.url), 'utf8');

let sandbox: Sandbox;
let server: SandboxApp;
beforeAll(async () => {
  sandbox = await quietSandbox();
  server = await startSandboxApp(sandbox);
});
afterAll(async () => {
  await server.app.close();
  await sandbox.close();
});

const python = findPandas();

test(`pandas reads candles from their address (${python === undefined ? 'compiled only: no pandas here' : 'run'})`, async () => {
  const page = blocksOf(read('docs/python.md'), 'docs/python.md');
  const code =
    page.find(({ marker }) => marker === 'pandas')?.text.replaceAll('http://localhost:8000', server.url) ??
    '';
  const compile = ['-c', 'import sys; compile(sys.argv[1], "page", "exec")', code];
  const { stdout } = await promisify(execFile)(
    python ?? 'python3',
    python === undefined ? compile : ['-c', code],
  );
  // pandas 2.2 writes an hour as h, older ones as H.
  if (python !== undefined)
    expect(stdout).toMatch(/^\['open', 'high', 'low', 'close', 'volume'\] 99 [hH]\nTrue\n$/);
});

const source = z.strictObject({ type: z.literal('yesoreyeram-infinity-datasource'), uid: z.string() });
/** As the plugin's own types have it (src/types/query.types.ts of grafana/grafana-infinity-datasource). */
const target = z.strictObject({
  refId: z.string(),
  datasource: source,
  type: z.literal('json'),
  source: z.literal('url'),
  format: z.enum(['table', 'timeseries', 'dataframe']),
  parser: z.literal('backend'),
  root_selector: z.string(),
  url: z.string(),
  url_options: z.strictObject({
    method: z.literal('GET'),
    params: z.array(z.strictObject({ key: z.string(), value: z.string() })),
  }),
  columns: z.array(
    z.strictObject({
      selector: z.string(),
      text: z.string(),
      type: z.enum(['string', 'number', 'timestamp', 'timestamp_epoch', 'timestamp_epoch_s']),
    }),
  ),
  filters: z.array(z.never()),
});
const dashboard = z.object({
  uid: z.string(),
  schemaVersion: z.int(),
  time: z.strictObject({ from: z.string(), to: z.string() }),
  templating: z.object({
    list: z.array(
      z.object({
        name: z.string(),
        type: z.enum(['textbox', 'custom']),
        query: z.string(),
        current: z.object({ value: z.string() }),
      }),
    ),
  }),
  panels: z.array(
    z.object({
      id: z.int(),
      type: z.literal('candlestick'),
      gridPos: z.strictObject({ x: z.int(), y: z.int(), w: z.int(), h: z.int() }),
      datasource: source,
      options: z.object({ fields: z.record(z.string(), z.string()) }),
      targets: z.array(target),
    }),
  ),
});

test('the question of the Grafana dashboard is one that the server answers with the columns it reads', async () => {
  const { templating, panels } = dashboard.parse(JSON.parse(read('docker/grafana/infinity/candles.json')));
  const now = Date.now();
  const values = new Map([
    ...templating.list.map(({ name, current }): [string, string] => [name, current.value]),
    ['server', server.url],
    ['__from', String(now - 86_400_000)],
    ['__to', String(now)],
  ]);
  const filled = (text: string): string =>
    text.replace(/\$\{(\w+)\}/g, (_, name: string) => values.get(name) ?? '?');
  const [panel] = panels;
  const [asked] = panel?.targets ?? [];
  const url = new URL(filled(asked?.url ?? ''));
  for (const { key, value } of asked?.url_options.params ?? []) url.searchParams.set(key, filled(value));
  const answer = (await (await fetch(url)).json()) as Record<string, Record<string, unknown>[]>;
  const rows = answer[asked?.root_selector ?? ''] ?? [];
  expect(rows.length).toBeGreaterThan(90);
  for (const { selector, type } of asked?.columns ?? []) {
    expect(typeof rows[0]?.[selector], `${selector}: ${type}`).toBe('number');
    // The plugin reads milliseconds.
    if (type === 'timestamp_epoch') expect(Number(rows[0]?.[selector])).toBeGreaterThan(now - 2 * 86_400_000);
  }
  expect(asked?.columns.map(({ type }) => type)).toContain('timestamp_epoch');
  const columns = asked?.columns.map(({ text }) => text) ?? [];
  expect(Object.values(panel?.options.fields ?? {}).filter((field) => !columns.includes(field))).toEqual([]);
});

test('each interval that the Grafana dashboard offers is one of its first exchange', async () => {
  const { templating } = dashboard.parse(JSON.parse(read('docker/grafana/infinity/candles.json')));
  const of = (name: string) => templating.list.find((each) => each.name === name);
  const { exchanges } = (await (await fetch(`${server.url}/v1/exchanges`)).json()) as {
    exchanges: { id: string; intervals: string[] }[];
  };
  const { intervals } = exchanges.find(({ id }) => id === of('exchange')?.current.value) ?? {};
  const offered = of('interval_text')?.query.split(',') ?? [];
  expect(offered).toContain(of('interval_text')?.current.value);
  expect(intervals).toEqual(expect.arrayContaining(offered));
});

test('the data source is the one that the dashboard names', () => {
  const { datasources } = z
    .strictObject({
      apiVersion: z.literal(1),
      datasources: z.array(
        z.strictObject({
          ...{ name: z.string(), uid: z.string(), type: z.string(), access: z.literal('proxy') },
          jsonData: z.strictObject({ allowedHosts: z.array(z.url()) }),
        }),
      ),
    })
    .parse(parse(read('docker/grafana/infinity/datasource.yml')));
  const { panels, templating } = dashboard.parse(JSON.parse(read('docker/grafana/infinity/candles.json')));
  const named = panels.flatMap(({ targets }) => targets.map(({ datasource }) => datasource));
  expect(datasources.map(({ uid, type }) => ({ uid, type }))).toEqual(named);
  // The plugin refuses a URL that begins with none of them.
  const asked = templating.list.find(({ name }) => name === 'server')?.current.value ?? '';
  const allowed = datasources.flatMap(({ jsonData }) => jsonData.allowedHosts);
  expect(allowed.some((begin) => asked.startsWith(begin))).toBe(true);
});
