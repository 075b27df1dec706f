import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { VERSION } from '../../../src/config/version.js';
import { startTestApp, type TestApp } from '../../support/app.js';

const BROWSER = 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8';
const indexBody = z.strictObject({
  name: z.literal('mcp-crypto-data-server'),
  version: z.literal(VERSION),
  links: z.record(z.string(), z.string()),
});

let page = '';
beforeAll(() => {
  page = mkdtempSync(join(tmpdir(), 'page-'));
  writeFileSync(join(page, 'index.html'), '<!doctype html>');
});
afterAll(() => rmSync(page, { recursive: true }));

let running: TestApp | undefined;
const start = async (env: Readonly<Record<string, string>>, dashboard = page): Promise<TestApp['app']> => {
  running = await startTestApp(env, { dashboard });
  return running.app;
};
afterEach(async () => {
  await running?.app.close();
  running = undefined;
});

test('browsers are sent to the page by a relative address', async () => {
  const app = await start({});
  for (const accept of [BROWSER, 'text/html', 'text/html, application/json']) {
    const { statusCode, headers } = await app.inject({ url: '/', headers: { accept } });
    expect({ statusCode, location: headers.location }, accept).toEqual({
      statusCode: 302,
      location: 'dashboard/',
    });
    expect(String(headers.vary).split(', '), accept).toContain('Accept');
  }
});

test('programs get the index, whose links all lead somewhere', async () => {
  const app = await start({});
  const accepts = [{}, { accept: '*/*' }, { accept: 'application/json' }, { accept: 'text/*' }];
  for (const headers of [
    ...accepts,
    { accept: 'text/html;q=0' },
    { accept: 'text/html;q=0.5, application/json' },
  ]) {
    const response = await app.inject({ url: '/', headers });
    expect(response.statusCode, JSON.stringify(headers)).toBe(200);
    expect(response.headers['content-type']).toBe('application/json; charset=utf-8');
    expect(String(response.headers.vary).split(', ')).toContain('Accept');
    indexBody.parse(response.json());
  }
  const response = await app.inject('/');
  const { links } = indexBody.parse(response.json());
  expect(links).toHaveProperty('dashboard', '/dashboard/');
  for (const [name, url] of Object.entries(links))
    if (name !== 'dashboard') {
      const { statusCode } = await app.inject({ method: 'OPTIONS', url });
      expect(statusCode, url).toBe(204);
    }
  const known = { 'if-none-match': String(response.headers.etag) };
  expect((await app.inject({ url: '/', headers: known })).statusCode).toBe(304);
});

test('without a page the index is for everybody', async () => {
  for (const [env, folder] of [
    [{ DASHBOARD: 'false' }, page],
    [{}, join(page, 'none')],
  ] as const) {
    const app = await start(env, folder);
    const response = await app.inject({ url: '/', headers: { accept: BROWSER } });
    expect(response.statusCode).toBe(200);
    expect(indexBody.parse(response.json()).links).not.toHaveProperty('dashboard');
    const { features } = (await app.inject('/v1/status')).json<{ features: { dashboard: boolean } }>();
    expect(features.dashboard).toBe(false);
    await app.close();
  }
});
