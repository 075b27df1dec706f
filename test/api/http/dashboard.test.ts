/** The files of the page as the server sends them; what the page does is test/e2e/dashboard.test.ts. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { brotliCompressSync, brotliDecompressSync, gunzipSync, gzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { startTestApp, type TestApp } from '../../support/app.js';

const SCRIPT = 'console.log("page");'.repeat(100);
const HTML = '<!doctype html><meta name="dashboard-watch" content="" data-watch /><title>page</title>';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'page-'));
  mkdirSync(join(folder, 'assets'));
  writeFileSync(join(folder, 'index.html'), HTML);
  writeFileSync(join(folder, 'secret.txt'), 'not named by the list');
  writeFileSync(join(folder, 'assets/main-1.js'), SCRIPT);
  writeFileSync(join(folder, 'assets/main-1.js.gz'), gzipSync(SCRIPT));
  writeFileSync(join(folder, 'assets/main-1.js.br'), brotliCompressSync(SCRIPT));
  writeFileSync(join(folder, 'files.json'), JSON.stringify({ files: ['assets/main-1.js', 'index.html'] }));
});
afterAll(() => rmSync(folder, { recursive: true }));

let running: TestApp | undefined;
const start = async (env: Readonly<Record<string, string>> = {}): Promise<TestApp['app']> => {
  running = await startTestApp(env, { dashboard: folder });
  return running.app;
};
afterEach(async () => {
  await running?.app.close();
  running = undefined;
});

test('the page may load what is its own, and nothing else; it is checked with each visit', async () => {
  const app = await start();
  const { statusCode, headers, body } = await app.inject('/dashboard/');
  expect({ statusCode, body }).toEqual({ statusCode: 200, body: HTML.replace(' data-watch', '') });
  expect(headers['content-type']).toBe('text/html; charset=utf-8');
  expect(headers['cache-control']).toBe('no-cache');
  expect(headers['x-frame-options']).toBe('DENY');
  expect(String(headers['content-security-policy']).split('; ')).toEqual([
    ...[
      "default-src 'none'",
      "script-src 'self'",
      "style-src 'self'",
      "img-src 'self' data:",
      "connect-src 'self'",
    ],
    ...["base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"],
    ...["require-trusted-types-for 'script'", "trusted-types 'none'"],
  ]);
  const again = await app.inject({ url: '/dashboard/', headers: { 'if-none-match': String(headers.etag) } });
  expect({ status: again.statusCode, body: again.body }).toEqual({ status: 304, body: '' });
});

test('its parts are kept for a year, in the coding that the browser takes', async () => {
  const app = await start();
  const get = (coding: string) =>
    app.inject({ url: '/dashboard/assets/main-1.js', headers: { 'accept-encoding': coding } });
  const [plain, gzip, br] = await Promise.all(['identity', 'gzip', 'gzip, deflate, br'].map(get));
  for (const { headers } of [plain!, gzip!, br!]) {
    expect(headers['cache-control']).toBe('public, max-age=31536000, immutable');
    expect(headers['content-type']).toBe('text/javascript; charset=utf-8');
    expect(headers.vary).toContain('Accept-Encoding');
  }
  expect(plain!.body).toBe(SCRIPT);
  expect(gunzipSync(gzip!.rawPayload).toString()).toBe(SCRIPT);
  expect(brotliDecompressSync(br!.rawPayload).toString()).toBe(SCRIPT);
  expect(new Set([plain, gzip, br].map((answer) => answer!.headers.etag)).size).toBe(3);
});

test('the address without its slash leads to the page by a relative one, and only listed files are served', async () => {
  const app = await start();
  const { statusCode, headers } = await app.inject('/dashboard');
  expect({ statusCode, location: headers.location }).toEqual({ statusCode: 308, location: 'dashboard/' });
  for (const name of ['secret.txt', 'main-2.js', '..%2fsecret.txt', '%2e%2e%2fsecret.txt', 'main-1.js.gz']) {
    const answer = await app.inject(`/dashboard/assets/${name}`);
    expect({ name, status: answer.statusCode }).toEqual({ name, status: 404 });
  }
});

test('settings name the first watch list and who may frame the page', async () => {
  const app = await start({
    DASHBOARD_WATCH: 'binance:BTC/USDT, kraken:A"><script>/USD',
    DASHBOARD_FRAME_ANCESTORS: 'https://desk.example,https://other.example',
  });
  const { headers, body } = await app.inject('/dashboard/');
  expect(body).toContain('content="binance:BTC/USDT, kraken:A&quot;&gt;&lt;script&gt;/USD"');
  expect(headers['content-security-policy']).toContain(
    'frame-ancestors https://desk.example https://other.example;',
  );
  expect(headers['x-frame-options']).toBeUndefined();
});

test.each([
  ['DASHBOARD_WATCH', 'BTC/USDT'],
  ['DASHBOARD_FRAME_ANCESTORS', "'self'; script-src *"],
])('a bad %s is refused', async (name, value) => {
  await expect(start({ [name]: value })).rejects.toThrow(name);
});

test('with DASHBOARD=false there is no page', async () => {
  const app = await start({ DASHBOARD: 'false' });
  for (const url of ['/dashboard', '/dashboard/', '/dashboard/assets/main-1.js'])
    expect((await app.inject(url)).statusCode).toBe(404);
  const status = (await app.inject('/v1/status')).json<{ features: { dashboard: boolean } }>();
  expect(status.features.dashboard).toBe(false);
});
