import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { gunzipSync } from 'node:zlib';
import openapiTs, { astToString, COMMENT_HEADER } from 'openapi-typescript';
import prettier from 'prettier';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { VERSION } from '../../../src/config/version.js';
import { ERROR_CODES } from '../../../src/errors.js';
import { problem } from '../../../src/schemas/problem.js';
import { startTestApp, type TestApp } from '../../support/app.js';
import { makeDocumentation } from '../../support/documentation.js';

let rig: TestApp;
beforeAll(async () => {
  rig = await startTestApp({}, { documentation: await makeDocumentation() });
}, 60_000);
afterAll(async () => {
  await rig.app.close();
});

const media = z.looseObject({ examples: z.record(z.string(), z.object({ value: z.unknown() })).optional() });
const operation = z.looseObject({
  operationId: z.string(),
  responses: z.record(
    z.string(),
    z.looseObject({
      headers: z.record(z.string(), z.unknown()).optional(),
      content: z.record(z.string(), media).optional(),
    }),
  ),
});
const document = z.looseObject({
  openapi: z.string(),
  info: z.looseObject({ version: z.string() }),
  paths: z.record(
    z.string(),
    z.object({ get: operation.optional(), post: operation.optional(), delete: operation.optional() }),
  ),
});
const openApi = async () => document.parse((await rig.app.inject('/openapi.json')).json());

describe('the OpenAPI document', () => {
  test('is version 3.1 and has every endpoint of the contract, and none that is not', async () => {
    const { openapi, paths } = await openApi();
    expect(openapi).toMatch(/^3\.1\./);
    expect(Object.keys(paths).sort()).toEqual([
      '/v1/backfills',
      '/v1/backfills/{id}',
      '/v1/exchanges',
      '/v1/health',
      '/v1/health/ready',
      '/v1/markets',
      '/v1/markets/ohlcv',
      '/v1/markets/ohlcv/coverage',
      '/v1/markets/ohlcv/export',
      '/v1/markets/ohlcv/revisions',
      '/v1/markets/orderbook',
      '/v1/markets/ticker',
      '/v1/markets/trades',
      '/v1/status',
      '/v1/stream/ticker',
      '/v1/tickets',
    ]);
  });

  test('has an example for each answer, and for each error a problem that is one', async () => {
    const { paths } = await openApi();
    const codes = new Set<string>();
    const operations = Object.entries(paths).flatMap(([path, methods]) =>
      [methods.get, methods.post, methods.delete].flatMap((found) =>
        found === undefined ? [] : [{ path, ...found }],
      ),
    );
    for (const { path, responses } of operations) {
      for (const [status, response] of Object.entries(responses)) {
        const bodies = Object.entries(response.content ?? {});
        // Candles are CSV too.
        const forms = path === '/v1/markets/ohlcv' && status === '200' ? 2 : 1;
        if (status !== '304') expect(bodies, `${path} ${status}`).toHaveLength(forms);
        for (const [type, { examples }] of bodies) {
          expect(Object.keys(examples ?? {}).length, `${path} ${status}`).toBeGreaterThan(0);
          if (type !== 'application/problem+json') continue;
          for (const [code, { value }] of Object.entries(examples ?? {})) {
            codes.add(code);
            expect(problem.strict().parse(value)).toMatchObject({
              code,
              status: Number(status),
              instance: path,
            });
          }
        }
        if (['429', '503'].includes(status)) expect(response.headers).toHaveProperty('Retry-After');
      }
    }
    const ofAccess = [
      ...['credential_in_url', 'credentials_expired', 'credentials_revoked', 'ticket_invalid'],
      ...['plan_forbids', 'quota_exceeded', 'too_many_auth_failures'],
    ];
    const elsewhere = [
      ...ofAccess,
      'origin_not_allowed',
      'method_not_allowed',
      'request_timeout',
      'payload_too_large',
      'expectation_failed',
      // Of GraphQL, which has a schema of its own.
      'graphql_parse_failed',
      'graphql_validation_failed',
      'query_too_complex',
      'batch_not_allowed',
      'persisted_query_not_found',
      'unsupported_media_type',
    ];
    expect([...codes].sort()).toEqual(
      Object.keys(ERROR_CODES)
        .filter((code) => !elsewhere.includes(code))
        .sort(),
    );
  });

  test('tells of health checks what they answer, and no refusal that never meets them', async () => {
    const { paths } = await openApi();
    const told = (path: string) =>
      Object.entries(paths[path]?.get?.responses ?? {}).map(([status, { content }]) => [
        status,
        Object.keys(content ?? {}).join(' '),
      ]);
    const problems = ['414', '431', '500'].map((status) => [status, 'application/problem+json']);
    expect(told('/v1/health')).toEqual([['200', 'application/json'], ...problems]);
    expect(told('/v1/health/ready')).toEqual([
      ['200', 'application/json'],
      ...problems,
      ['503', 'application/json'],
    ]);
    const { content } = paths['/v1/health/ready']?.get?.responses['503'] ?? {};
    expect(content?.['application/json']?.['schema']).toEqual({ $ref: '#/components/schemas/Readiness' });
    rig.venue.healthOf = { coolDownUntil: Infinity };
    const unready = await rig.app.inject('/v1/health/ready');
    rig.venue.healthOf = {};
    expect([unready.statusCode, unready.headers['content-type']]).toEqual([
      503,
      'application/json; charset=utf-8',
    ]);
  });

  test('names all headers of the client limit', async () => {
    const headers = Object.keys((await openApi()).paths['/v1/markets']?.get?.responses['200']?.headers ?? {});
    expect(headers).toEqual(
      expect.arrayContaining([
        ...['RateLimit', 'RateLimit-Policy', 'X-RateLimit-Limit'],
        ...['X-RateLimit-Remaining', 'X-RateLimit-Reset'],
      ]),
    );
  });

  test('gives each operation an id of its own', async () => {
    const ids = Object.values((await openApi()).paths).map(({ get }) => get?.operationId);
    expect(new Set(ids).size).toBe(ids.length);
  });

  test('says what the types in the repository say', async () => {
    const file = join(mkdtempSync(join(tmpdir(), 'openapi-')), 'openapi.json');
    writeFileSync(file, (await rig.app.inject('/openapi.json')).body);
    const kept = fileURLToPath(new URL('../../support/openapi-types.ts', import.meta.url));
    const generated = COMMENT_HEADER + astToString(await openapiTs(pathToFileURL(file)));
    const options = await prettier.resolveConfig(kept);
    const formatted = await prettier.format(generated, { ...options, filepath: kept });
    const isCurrent = readFileSync(kept, 'utf8') === formatted;
    expect(isCurrent, 'npm run openapi:types writes the file anew').toBe(true);
  });
});

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
