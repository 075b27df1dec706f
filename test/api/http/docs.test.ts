import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { VERSION } from '../../../src/config/version.js';
import { ERROR_CODES } from '../../../src/errors.js';
import { startTestApp, type TestApp } from '../../support/app.js';
import { makeDocumentation } from '../../support/documentation.js';

let rig: TestApp;
beforeAll(async () => {
  rig = await startTestApp({}, { documentation: await makeDocumentation() });
}, 60_000);
afterAll(() => rig.app.close());

describe('the pages', () => {
  test.each([
    ['/docs', 'swagger-ui-bundle.js'],
    ['/redoc', 'redoc.standalone.js'],
    ['/docs/errors', 'client_rate_limited'],
  ])('%s is a page under a policy that lets nothing in from elsewhere', async (url, needle) => {
    const { statusCode, headers, body } = await rig.app.inject(url);
    expect(statusCode).toBe(200);
    expect(headers['content-type']).toBe('text/html; charset=utf-8');
    expect(body).toContain(needle);
    expect(headers['content-security-policy']).toContain("script-src 'self'");
    expect(headers['content-security-policy']).not.toMatch(/https?:/);
    // Relative addresses only, so that a page works below the path prefix of a proxy.
    expect(body).not.toMatch(/(?:src|href)="(?:https?:|\/)/);
    expect(headers['referrer-policy']).toBe('no-referrer');
  });

  test.each(['/docs', '/redoc', '/docs/errors'])('%s/ leads there', async (url) => {
    const { statusCode, headers } = await rig.app.inject(`${url}/`);
    expect(statusCode).toBe(308);
    expect(headers.location).toBe(`../${url.split('/').at(-1) ?? ''}`);
  });

  test.each([
    ['/docs/start.js', 'text/javascript; charset=utf-8', 100],
    ['/docs/swagger-ui-bundle.js', 'text/javascript; charset=utf-8', 500_000],
    ['/docs/swagger-ui.css', 'text/css; charset=utf-8', 50_000],
    ['/redoc/start.js', 'text/javascript; charset=utf-8', 100],
    ['/redoc/redoc.standalone.js', 'text/javascript; charset=utf-8', 500_000],
  ])('%s comes from this server, with a validator', async (url, type, atLeast) => {
    const first = await rig.app.inject(url);
    expect(first.headers['content-type']).toBe(type);
    expect(first.rawPayload.length).toBeGreaterThan(atLeast);
    const again = await rig.app.inject({ url, headers: { 'if-none-match': String(first.headers.etag) } });
    expect(again.statusCode).toBe(304);
    const packed = await rig.app.inject({ url, headers: { 'accept-encoding': 'gzip' } });
    expect(packed.headers).toMatchObject({ 'content-encoding': 'gzip', vary: 'Accept-Encoding' });
    expect(packed.headers.etag).not.toBe(first.headers.etag);
    expect(gunzipSync(packed.rawPayload).equals(first.rawPayload)).toBe(true);
  });

  test('the AsyncAPI document is served as JSON, with a validator', async () => {
    const { headers, json } = await rig.app.inject('/asyncapi.json');
    expect(headers['content-type']).toBe('application/json; charset=utf-8');
    expect(json()).toMatchObject({ asyncapi: '3.0.0', info: { version: VERSION } });
    const again = { url: '/asyncapi.json', headers: { 'if-none-match': String(headers.etag) } };
    expect((await rig.app.inject(again)).statusCode).toBe(304);
  });

  test('requests of the documentation go below the path where the document lies', async () => {
    const { servers } = (await rig.app.inject('/openapi.json')).json<{ servers: { url: string }[] }>();
    expect(servers.map(({ url }) => url)).toEqual(['.']);
  });

  test('a server that was not built says so', async () => {
    const { app } = await startTestApp({}, { documentation: join(tmpdir(), 'no-such-folder') });
    const { statusCode, json } = await app.inject('/docs');
    expect([statusCode, json<{ code: string }>().code]).toEqual([404, 'not_found']);
    await app.close();
  });

  test("ReDoc's bundle asks no other host for its logo", async () => {
    expect((await rig.app.inject('/redoc/redoc.standalone.js')).body).not.toContain('cdn.redoc.ly');
  });

  test('each error code has its place on the page that problems lead to', async () => {
    const { body } = await rig.app.inject('/docs/errors');
    for (const code of Object.keys(ERROR_CODES)) expect(body).toContain(`id="${code}"`);
  });
});
