import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import openapiTs, { astToString, COMMENT_HEADER } from 'openapi-typescript';
import prettier from 'prettier';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { ERROR_CODES } from '../../../src/errors.js';
import { ACCESS_ERRORS } from '../../../src/http/openapi/security.js';
import { problem } from '../../../src/schemas/problem.js';
import { udfError } from '../../../src/schemas/udf.js';
import { startTestApp, type TestApp } from '../../support/app.js';
import { makeDocumentation } from '../../support/documentation.js';
import { testFolder } from '../access/access-app.js';
import { codesOf, openApiOf, operationsOf } from './openapi-operations.js';

let rig: TestApp;
/** Servers of the modes that ask callers who they are. */
const asking = new Map<'optional' | 'required', TestApp>();
const keys = testFolder();
beforeAll(async () => {
  const documentation = await makeDocumentation();
  rig = await startTestApp({}, { documentation });
  for (const mode of ['optional', 'required'] as const) {
    const env = { AUTH_MODE: mode, AUTH_STORE: `sqlite:${keys.file}` };
    asking.set(mode, await startTestApp(env, { documentation }));
  }
}, 60_000);
afterAll(async () => {
  await Promise.all([rig, ...asking.values()].map(({ app }) => app.close()));
  await keys.end();
});

const serverOf = (mode: 'optional' | 'required'): TestApp => {
  const server = asking.get(mode);
  if (server === undefined) throw new Error(`There is no server of AUTH_MODE=${mode}.`);
  return server;
};

/** Its refusals are UDF's. */
const isChart = (path: string): boolean => /^\/(?:udf\/|widgets|apps)/.test(path);

/** What the contract asks of the callers of each operation that is not open. */
const SCOPE_OF: Readonly<Record<string, readonly string[]>> = {
  ...Object.fromEntries(
    [
      'exchanges',
      'markets',
      'markets/ohlcv',
      'markets/orderbook',
      'markets/ticker',
      'markets/tickers',
      'markets/trades',
      'status',
    ].map((name) => [`get /v1/${name}`, ['market:read']]),
  ),
  ...Object.fromEntries(
    [
      'markets/ohlcv/coverage',
      'markets/ohlcv/export',
      'markets/ohlcv/revisions',
      'backfills',
      'backfills/{id}',
    ].map((name) => [`get /v1/${name}`, ['history:read']]),
  ),
  ...Object.fromEntries(
    ['config', 'time', 'symbols', 'search', 'history', 'timescale_marks', 'quotes'].map((name) => [
      `get /udf/${name}`,
      ['market:read'],
    ]),
  ),
  'post /v1/backfills': ['backfill:write'],
  'delete /v1/backfills/{id}': ['backfill:write'],
  'get /v1/stream/ticker': ['stream:read'],
  'post /v1/tickets': ['stream:read'],
  'get /v1/me': [],
  ...Object.fromEntries(
    [
      ...[
        'get /v1/admin/keys',
        'post /v1/admin/keys',
        'get /v1/admin/keys/{id}',
        'patch /v1/admin/keys/{id}',
      ],
      ...['delete /v1/admin/keys/{id}', 'post /v1/admin/keys/{id}/rotate', 'get /v1/admin/plans'],
      ...['put /v1/admin/plans/{name}', 'get /v1/admin/usage', 'get /v1/admin/audit'],
    ].map((name) => [name, ['admin']]),
  ),
};

describe('the OpenAPI document', () => {
  test('is version 3.1 and has every endpoint of the contract, and none that is not', async () => {
    const { openapi, paths } = await openApiOf(rig);
    expect(openapi).toMatch(/^3\.1\./);
    expect(Object.keys(paths).sort()).toEqual([
      '/apps.json',
      '/udf/config',
      '/udf/history',
      '/udf/quotes',
      '/udf/search',
      '/udf/symbols',
      '/udf/time',
      '/udf/timescale_marks',
      '/v1/admin/audit',
      '/v1/admin/keys',
      '/v1/admin/keys/{id}',
      '/v1/admin/keys/{id}/rotate',
      '/v1/admin/plans',
      '/v1/admin/plans/{name}',
      '/v1/admin/usage',
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
      '/v1/markets/tickers',
      '/v1/markets/trades',
      '/v1/me',
      '/v1/status',
      '/v1/stream/ticker',
      '/v1/tickets',
      '/widgets.json',
    ]);
  });

  test('has an example for each answer, and for each error a problem that is one', async () => {
    const codes = new Set<string>();
    const documents = [
      await openApiOf(rig),
      await openApiOf(serverOf('optional')),
      await openApiOf(serverOf('required')),
    ];
    const operations = documents.flatMap(operationsOf);
    for (const { path, responses } of operations) {
      for (const [status, response] of Object.entries(responses)) {
        const bodies = Object.entries(response.content ?? {});
        // Candles are CSV too.
        const forms = path === '/v1/markets/ohlcv' && status === '200' ? 2 : 1;
        if (status !== '304') expect(bodies, `${path} ${status}`).toHaveLength(forms);
        for (const [type, { examples }] of bodies) {
          expect(Object.keys(examples ?? {}).length, `${path} ${status}`).toBeGreaterThan(0);
          if (isChart(path) && status !== '200' && status !== '431') {
            for (const [code, { value }] of Object.entries(examples ?? {}))
              expect(udfError.strict().parse(value)).toMatchObject({ s: 'error', code });
            expect(type, path).toBe('application/json');
          }
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
    const elsewhere = [
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

  test('lists for health checks only the answers that they can give', async () => {
    const { paths } = await openApiOf(rig);
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
    const headers = Object.keys(
      (await openApiOf(rig)).paths['/v1/markets']?.get?.responses['200']?.headers ?? {},
    );
    expect(headers).toEqual(
      expect.arrayContaining([
        ...['RateLimit', 'RateLimit-Policy', 'X-RateLimit-Limit'],
        ...['X-RateLimit-Remaining', 'X-RateLimit-Reset'],
      ]),
    );
  });

  test('gives each operation an id of its own', async () => {
    const ids = operationsOf(await openApiOf(rig)).map(({ operationId }) => operationId);
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

describe('the OpenAPI document of each AUTH_MODE', () => {
  const schemes = z.looseObject({
    components: z.looseObject({ securitySchemes: z.record(z.string(), z.looseObject({})).optional() }),
  });
  const schemesOf = (app: TestApp['app'] | undefined) =>
    app?.inject('/openapi.json').then((answer) => schemes.parse(answer.json()).components.securitySchemes);
  const OPEN = ['get /v1/health', 'get /v1/health/ready', 'get /widgets.json', 'get /apps.json'];
  const ABSENT = /^\w+ \/v1\/(?:me|tickets|admin)/;

  test('off: nothing is asked for, and what there is not is a 404', async () => {
    expect(await schemesOf(rig.app)).toBeUndefined();
    const operations = operationsOf(await openApiOf(rig));
    expect(operations.filter(({ security }) => security !== undefined)).toEqual([]);
    const ofAccess: readonly string[] = ACCESS_ERRORS;
    for (const one of operations) {
      expect(codesOf(one).filter((code) => ofAccess.includes(code))).toEqual([]);
      if (ABSENT.test(one.name)) expect(codesOf(one)).toContain('not_found');
    }
    const { statusCode } = await rig.app.inject('/v1/me');
    expect(statusCode).toBe(404);
  });

  test.each(['optional', 'required'] as const)('%s: how a credential is sent', async (mode) => {
    expect(await schemesOf(serverOf(mode).app)).toMatchObject({
      bearer: { type: 'http', scheme: 'bearer' },
      apiKey: { type: 'apiKey', in: 'header', name: 'X-API-Key' },
      ticket: { type: 'apiKey', in: 'query', name: 'ticket' },
    });
  });

  test.each(['optional', 'required'] as const)('%s: what each operation asks for', async (mode) => {
    const operations = operationsOf(await openApiOf(serverOf(mode)));
    const nobody = mode === 'optional' ? [{}] : [];
    for (const { name, security, ...one } of operations) {
      expect(codesOf(one), name).toContain('credential_in_url');
      if (OPEN.includes(name)) {
        expect(security, name).toBeUndefined();
        expect(codesOf(one), name).not.toContain('invalid_credentials');
        continue;
      }
      const scope = SCOPE_OF[name];
      expect(scope, name).toBeDefined();
      const ways = [{ bearer: scope }, { apiKey: scope }];
      const ticket = name === 'get /v1/stream/ticker' ? [{ ticket: scope }] : [];
      expect(security, name).toEqual([...nobody, ...ways, ...ticket]);
      const asksWho = mode === 'required' || name.includes('/v1/admin');
      expect(codesOf(one).includes('unauthenticated'), name).toBe(asksWho);
      expect(codesOf(one).includes('insufficient_scope'), name).toBe(scope?.length === 1);
      expect(codesOf(one), name).toContain('credentials_revoked');
      if (name.includes('/v1/admin')) expect(codesOf(one), name).toContain('not_found');
      if (/^(?:post|delete) \/v1\/backfills/.test(name))
        expect(codesOf(one), name).toContain('feature_disabled');
    }
    expect(operations.map(({ name }) => name).sort()).toEqual([...OPEN, ...Object.keys(SCOPE_OF)].sort());
  });

  test.each(['optional', 'required'] as const)('%s: it is what the server does', async (mode) => {
    const server = serverOf(mode);
    const operations = operationsOf(await openApiOf(server));
    for (const { name, path, security = [], ...one } of operations) {
      const method = name.split(' ', 1)[0]?.toUpperCase() as 'GET';
      const refused = security.length > 0 && !security.some((way) => Object.keys(way).length === 0);
      const answer = await server.app.inject({ method, url: path.replace(/\{\w+\}/, 'x') });
      const code =
        answer.headers['content-type']?.toString().startsWith('application/problem') === true ||
        (isChart(path) && answer.statusCode >= 400)
          ? answer.json<{ code: string }>().code
          : null;
      if (refused) expect(code, name).toBe('unauthenticated');
      else if (code !== null) expect(codesOf(one), name).toContain(code);
    }
  });

  test('refusals carry the challenge, and answers say that they are private', async () => {
    const found = operationsOf(await openApiOf(serverOf('required'))).find(
      ({ name }) => name === 'get /v1/markets/ticker',
    );
    expect(found?.responses['401']?.headers).toHaveProperty('WWW-Authenticate');
    expect(found?.responses['403']?.headers).toHaveProperty('WWW-Authenticate');
    expect(JSON.stringify(found?.responses['200']?.headers)).toContain('private, max-age=2');
  });

  test.each([
    [() => rig, undefined],
    [() => serverOf('optional'), 3],
    [() => serverOf('required'), 3],
  ])('AsyncAPI tells of credentials where they are asked for', async (server, schemesTold) => {
    const answer = await server().app.inject('/asyncapi.json');
    const { securitySchemes } = answer.json<{ components: { securitySchemes?: object } }>().components;
    expect(securitySchemes && Object.keys(securitySchemes).length).toBe(schemesTold);
  });
});
