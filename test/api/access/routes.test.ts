// Every route that there is, with what it asks of its callers: a new one must be put into this table.
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { FastifyInstance } from 'fastify';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { DEFAULT_SCOPES } from '../../../src/access/principal.js';
import { SCOPES, type Scope } from '../../../src/schemas/access.js';
import { startAccessApp, type AccessRig } from './access-app.js';

/** any: a credential, whatever its scopes. */
type Asks = Scope | 'open' | 'any';
/** A credential may come as its first message. */
const LATER = 'GET /ws';

const ROUTES: Readonly<Record<Asks, readonly string[]>> = {
  open: [
    ...['GET /', 'GET /v1/health', 'GET /v1/health/ready', 'GET /openapi.json', 'GET /asyncapi.json'],
    ...['GET /widgets.json', 'GET /apps.json', 'GET /schema.graphql'],
    ...['GET /.well-known/oauth-protected-resource', 'GET /.well-known/oauth-protected-resource/mcp'],
    ...['GET /docs', 'GET /docs/', 'GET /docs/start.js', 'GET /docs/errors', 'GET /docs/errors/'],
    ...['GET /docs/swagger-ui-bundle.js', 'GET /docs/swagger-ui.css'],
    ...['GET /redoc', 'GET /redoc/', 'GET /redoc/start.js', 'GET /redoc/redoc.standalone.js'],
    ...['GET /dashboard', 'GET /dashboard/', 'GET /dashboard/assets/:file'],
    ...['GET /graphiql', 'GET /graphiql/', 'GET /graphiql/start.js', 'GET /graphiql/graphiql.min.js'],
    ...['GET /graphiql/graphiql.min.css', 'GET /graphiql/react.production.min.js'],
    'GET /graphiql/react-dom.production.min.js',
  ],
  any: ['GET /v1/me'],
  'market:read': [
    ...['GET /v1/exchanges', 'GET /v1/status', 'GET /v1/markets', 'GET /v1/markets/ticker'],
    ...['GET /v1/markets/tickers', 'GET /v1/markets/ohlcv', 'GET /v1/markets/orderbook'],
    ...[
      'GET /v1/markets/trades',
      'POST /mcp',
      'GET /graphql',
      'POST /graphql',
      'GET /udf/config',
      'GET /udf/time',
    ],
    ...['GET /udf/symbols', 'GET /udf/search', 'GET /udf/history', 'GET /udf/timescale_marks'],
    ...['GET /udf/quotes', 'GET /udf/*'],
  ],
  'stream:read': ['GET /v1/stream/ticker', 'GET /ws', 'GET /ws/ticker', 'POST /v1/tickets'],
  'history:read': [
    ...['GET /v1/markets/ohlcv/coverage', 'GET /v1/markets/ohlcv/revisions'],
    ...['GET /v1/markets/ohlcv/export', 'GET /v1/backfills', 'GET /v1/backfills/:id'],
  ],
  'backfill:write': ['POST /v1/backfills', 'DELETE /v1/backfills/:id'],
  'metrics:read': ['GET /metrics'],
  admin: [
    ...['GET /v1/admin/keys', 'POST /v1/admin/keys', 'GET /v1/admin/keys/:id', 'PATCH /v1/admin/keys/:id'],
    ...['DELETE /v1/admin/keys/:id', 'POST /v1/admin/keys/:id/rotate', 'GET /v1/admin/plans'],
    ...['PUT /v1/admin/plans/:name', 'GET /v1/admin/usage', 'GET /v1/admin/audit'],
  ],
};
const TABLE = Object.entries(ROUTES).flatMap(([asks, routes]) =>
  routes.map((route) => [route, asks as Asks] as const),
);

const SETTINGS = {
  ...{ ADMIN_API: 'true', BACKFILL_API: 'true', METRICS_AUTH: 'true' },
  ...{ OAUTH_ISSUER: 'http://127.0.0.1:9', PUBLIC_URL: 'http://127.0.0.1:8000' },
};

let folder = '';
const found: string[] = [];
const apps: AccessRig[] = [];
const collect = (message: unknown): void => {
  const { fastify } = message as { readonly fastify: FastifyInstance };
  fastify.addHook('onRoute', ({ method, url }) => {
    for (const each of [method].flat())
      // HEAD goes without saying wherever there is GET, and a preflight brings no credential.
      if (each !== 'HEAD' && each !== 'OPTIONS') found.push(`${each} ${url}`);
  });
};
const start = async (mode: 'optional' | 'required'): Promise<AccessRig> => {
  const stores = {
    AUTH_STORE: `sqlite:${folder}/${mode}.db`,
    STORE_URL: `sqlite:${folder}/${mode}-candles.db`,
  };
  const rig = await startAccessApp(
    { ...SETTINGS, ...stores, AUTH_MODE: mode },
    { dashboard: folder, store: null },
  );
  apps.push(rig);
  return rig;
};

/** The code of the refusal, or null where the request was let in. */
const askedBy = async ({ app }: AccessRig, route: string, key?: string): Promise<string | null> => {
  const [method = '', pattern = ''] = route.split(' ');
  const url = pattern.replace(':id', '4fTq0ZpW8sXa').replace(/:\w+|\*/, 'nothing');
  const { statusCode, headers, body } = await app.inject({
    method: method,
    url: pattern === '/graphql' && method === 'GET' ? `${url}?query={__typename}` : url,
    headers: key === undefined ? {} : { 'x-api-key': key },
    ...(method === 'GET' || method === 'HEAD' ? {} : { payload: url === '/graphql' ? QUERY : {} }),
  });
  if (statusCode !== 401 && statusCode !== 403) return null;
  expect(headers['www-authenticate']).toMatch(/^Bearer/);
  expect(headers['cache-control']).not.toMatch(/public/);
  return method === 'HEAD' ? String(statusCode) : (JSON.parse(body) as { code: string }).code;
};
const QUERY = { query: '{ __typename }' };

const isOneOf = (scopes: readonly Scope[], asks: Asks): boolean => scopes.some((scope) => scope === asks);
/** A key with these scopes alone; one for each set of them. */
const keys = new Map<string, Promise<string>>();
const keyWith = (scopes: readonly Scope[]): Promise<string> => {
  const made = keys.get(scopes.join()) ?? required.issue({ scopes }).then(({ key }) => key);
  keys.set(scopes.join(), made);
  return made;
};

let required: AccessRig;
let optional: AccessRig;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'routes-'));
  mkdirSync(join(folder, 'assets'));
  writeFileSync(join(folder, 'index.html'), '<!doctype html><title>page</title>');
  writeFileSync(join(folder, 'files.json'), '{"files":["index.html"]}');
  subscribe('fastify.initialization', collect);
  required = await start('required');
  unsubscribe('fastify.initialization', collect);
  optional = await start('optional');
});
afterAll(async () => {
  for (const { app } of apps) await app.close();
  rmSync(folder, { recursive: true });
});

test('there is no route that this table does not have, and it has none that is not there', () => {
  expect([...new Set(found)].sort()).toEqual(TABLE.map(([route]) => route).sort());
});

describe.each(TABLE)('%s asks for %s:', (route, asks) => {
  const isScope = isOneOf(SCOPES, asks);
  const isLetIn = asks === 'open' || route === LATER;

  test('a caller without a key', async () => {
    expect(await askedBy(required, route)).toBe(isLetIn ? null : 'unauthenticated');
    const refusal = isScope && !isOneOf(DEFAULT_SCOPES, asks) ? 'insufficient_scope' : null;
    expect(await askedBy(optional, route)).toBe(route === 'POST /v1/tickets' ? null : refusal);
  });

  test('a key with every other scope', async () => {
    const key = await keyWith(SCOPES.filter((scope) => scope !== asks));
    const refusal = isScope ? 'insufficient_scope' : null;
    expect(await askedBy(required, route, key)).toBe(refusal);
  });

  test('a key with this scope alone', async () => {
    const scopes: readonly Scope[] = isScope ? [asks as Scope] : ['stream:read'];
    expect(await askedBy(required, route, await keyWith(scopes))).toBeNull();
  });
});
