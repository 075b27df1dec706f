// Tokens of a real authorization server on every interface, and the official MCP client through the whole flow.
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { WebSocket } from 'ws';
import {
  Client,
  ClientCredentialsProvider,
  StreamableHTTPClientTransport,
} from '@modelcontextprotocol/client';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { startTestApp, type TestApp } from '../../support/app.js';
import { FakeHub } from '../../support/fake-hub.js';
import { freePort } from '../../support/free-port.js';
import { testFolder } from './access-app.js';
import {
  CLIENT,
  INTROSPECTOR,
  startAuthorizationServer,
  type AuthorizationServer,
} from './authorization-server.js';
import { ask, MARKET, openSocket, openSse, opened } from './stream-clients.js';

let issuer: AuthorizationServer;
let rig: TestApp;
let port: number;
let publicUrl: string;
const folder = testFolder();

const settings = (file: string): Record<string, string> => ({
  AUTH_MODE: 'required',
  AUTH_STORE: `sqlite:${file}`,
  TICKER_CACHE_TTL: '600',
  PUBLIC_URL: `${publicUrl}/`,
  OAUTH_ISSUER: issuer.issuer,
  OAUTH_INTROSPECTION_URL: `${issuer.issuer}/token/introspection`,
  OAUTH_INTROSPECTION_CLIENT_ID: INTROSPECTOR.id,
  OAUTH_INTROSPECTION_CLIENT_SECRET: INTROSPECTOR.secret,
});

beforeAll(async () => {
  issuer = await startAuthorizationServer();
  port = await freePort();
  publicUrl = `http://127.0.0.1:${port}`;
  rig = await startTestApp(settings(folder.file), {
    hub: Object.assign(new FakeHub(), { latest: () => undefined }),
    now: Date.now,
  });
  // The venue's answers are of now, as the server's clock has it.
  rig.clock.now = Date.now();
  await rig.app.listen({ port, host: '127.0.0.1' });
});
afterAll(async () => {
  await rig.app.close();
  await issuer.close();
  await folder.end();
});

const bearer = (token: string) => ({ authorization: `Bearer ${token}` });
const tokenFor = (scope: string, path = '') => issuer.token({ resource: `${publicUrl}${path}`, scope });
const MCP_CALL = {
  method: 'POST',
  body: { jsonrpc: '2.0', id: 1, method: 'tools/list' },
};
const mcp = (headers: Record<string, string>) =>
  ask(port, '/mcp', { ...MCP_CALL, headers: { accept: 'application/json', ...headers } });

/** What `connection_init` of GraphQL with this credential gets: a message's type, or a close code. */
const initialised = async (authorization: string): Promise<unknown> => {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/graphql`, 'graphql-transport-ws');
  await once(socket, 'open');
  socket.send(JSON.stringify({ type: 'connection_init', payload: { authorization } }));
  const [said] = (await Promise.race([once(socket, 'message'), once(socket, 'close')])) as [Buffer | number];
  socket.terminate();
  return typeof said === 'number' ? said : (JSON.parse(said.toString()) as { type: string }).type;
};

describe.each(['jwt', 'opaque'] as const)('a token that is %s', (format) => {
  beforeAll(() => {
    issuer.format = format;
  });

  test('works on REST, event streams, WebSocket and MCP, and for a ticket', async () => {
    const token = await tokenFor('market:read stream:read');
    expect((await ask(port, '/v1/exchanges', { headers: bearer(token) })).status).toBe(200);
    expect((await mcp(bearer(token))).json).toMatchObject({ result: { tools: expect.any(Array) } });
    const stream = await openSse(port, '', bearer(token));
    expect(stream.status).toBe(200);
    stream.response.destroy();
    const inHeader = opened(await openSocket(port, '/ws', bearer(token)));
    inHeader.socket.close();
    const later = opened(await openSocket(port, '/ws'));
    later.send({ method: 'auth', params: { token }, req_id: 1 });
    expect(await later.next(({ req_id }) => req_id === 1)).toMatchObject({ success: true });
    later.socket.close();
    const { json } = await ask(port, '/v1/tickets', {
      method: 'POST',
      headers: bearer(token),
      body: { purpose: 'ws' },
    });
    const byTicket = opened(await openSocket(port, `/ws?ticket=${String(json['ticket'])}`));
    byTicket.socket.close();
  });

  test('without the scope is refused with the one to ask for', async () => {
    const token = await tokenFor('market:read');
    const refused = await openSse(port, '', bearer(token));
    expect([refused.status, refused.code]).toEqual([403, 'insufficient_scope']);
    const streamsOnly = await mcp(bearer(await tokenFor('stream:read')));
    expect(streamsOnly.status).toBe(403);
    expect(streamsOnly.headers['www-authenticate']).toContain('error="insufficient_scope", ');
    expect(streamsOnly.headers['www-authenticate']).toContain('scope="market:read"');
  });

  test('for MCP is good there alone, for another server nowhere', async () => {
    const forMcp = bearer(await tokenFor('market:read', '/mcp'));
    expect((await mcp(forMcp)).status).toBe(200);
    expect((await ask(port, '/v1/exchanges', { headers: forMcp })).json['code']).toBe('invalid_credentials');
    const ticker = `/v1/markets/ticker?${MARKET}`;
    const forAll = bearer(await tokenFor('market:read'));
    await ask(port, ticker, { headers: forAll });
    expect((await ask(port, ticker, { headers: forAll })).headers['x-cache']).toBe('HIT');
    expect((await ask(port, ticker, { headers: forMcp })).json['code']).toBe('invalid_credentials');
    expect(await initialised(forMcp.authorization)).toBe(4403);
    expect(await initialised(forAll.authorization)).toBe('connection_ack');
    const forOther = bearer(await issuer.token({ resource: 'https://other.example', scope: 'market:read' }));
    expect((await mcp(forOther)).status).toBe(401);
    expect((await ask(port, '/v1/exchanges', { headers: forOther })).status).toBe(401);
  });
});

test('streams end after their token has expired, and within the tolerance', async () => {
  const skew = 4;
  const other = testFolder();
  const { app } = await startTestApp(
    { ...settings(other.file), OAUTH_CLOCK_SKEW: String(skew) },
    { hub: Object.assign(new FakeHub(), { latest: () => undefined }), now: Date.now },
  );
  await app.listen({ port: 0, host: '127.0.0.1' });
  const { port: its } = app.server.address() as AddressInfo;
  const ends: Promise<{ readonly last: unknown; readonly late: number }>[] = [];
  for (const format of ['jwt', 'opaque'] as const) {
    issuer.format = format;
    // Issuers count whole seconds: one of one second may be over at once, and an opaque one is asked about after that.
    issuer.lifetime = format === 'jwt' ? 1 : 2;
    const token = await tokenFor('stream:read');
    const me = await ask(its, '/v1/me', { headers: bearer(token) });
    const expiresAt = Number(me.json['expires_at']);
    expect(expiresAt % 1000).toBe(0);
    const ended = (last: unknown) => ({ last, late: Date.now() - expiresAt });
    const { response } = await openSse(its, '', bearer(token));
    ends.push(text(response).then((body) => ended(JSON.parse(body.trim().split('data: ').at(-1) ?? ''))));
    const { messages, closed } = opened(await openSocket(its, '/ws', bearer(token)));
    ends.push(closed.then(() => ended(messages.at(-1))));
  }
  issuer.lifetime = 300;
  for (const { last, late } of await Promise.all(ends)) {
    expect(last).toMatchObject({ event_type: 'error', code: 'credentials_expired' });
    expect(late).toBeGreaterThanOrEqual(0);
    // Half of the tolerance; the rest is patience with the machine.
    expect(late).toBeLessThan(skew * 1000 + 10_000);
  }
  await app.close();
  await other.end();
});

test('an opaque token that its issuer does not know, or has revoked, is refused', async () => {
  issuer.format = 'opaque';
  const token = await tokenFor('market:read');
  await issuer.revoke(token);
  for (const headers of [bearer(token), bearer('unknown')]) {
    const { status, headers: told } = await ask(port, '/v1/exchanges', { headers });
    expect([status, told['www-authenticate']]).toEqual([
      401,
      `Bearer error="invalid_token", resource_metadata="${publicUrl}/.well-known/oauth-protected-resource"`,
    ]);
  }
});

describe('/mcp', () => {
  const METADATA = '/.well-known/oauth-protected-resource/mcp';

  test.each(['POST', 'GET', 'DELETE', 'PUT'])(
    'challenges %s before it says anything else',
    async (method) => {
      const { status, headers } = await ask(port, '/mcp', { method });
      expect(status).toBe(401);
      expect(headers['www-authenticate']).toBe(
        `Bearer resource_metadata="${publicUrl}${METADATA}", scope="market:read"`,
      );
      expect(headers['access-control-expose-headers']).toContain('WWW-Authenticate');
    },
  );

  test('says that it has no GET to who may ask', async () => {
    issuer.format = 'jwt';
    const headers = bearer(await tokenFor('market:read'));
    expect((await ask(port, '/mcp', { headers })).status).toBe(405);
  });

  test('has metadata that every page may read, and the server another', async () => {
    const { status, headers, json } = await ask(port, METADATA, {
      headers: { origin: 'https://page.example' },
    });
    expect([status, headers['access-control-allow-origin']]).toEqual([200, '*']);
    expect(json).toMatchObject({
      resource: `${publicUrl}/mcp`,
      authorization_servers: [issuer.issuer],
      scopes_supported: ['market:read'],
      bearer_methods_supported: ['header'],
    });
    const root = await ask(port, '/.well-known/oauth-protected-resource');
    expect(root.json['resource']).toBe(publicUrl);
    const preflight = await ask(port, METADATA, { method: 'OPTIONS' });
    expect(preflight.headers['access-control-allow-headers']).toContain('Mcp-Protocol-Version');
  });

  test('shows the SDK no credential of any kind', async () => {
    issuer.format = 'jwt';
    const token = await tokenFor('market:read');
    const { row, key } = await rig.app.access!.keys.create(
      { name: 'mcp', scopes: ['market:read'], plan: 'default', expiresAt: null },
      'cli',
    );
    const seen: Request[] = [];
    const Made = Request;
    class WatchedRequest extends Made {
      constructor(...given: ConstructorParameters<typeof Made>) {
        super(...given);
        if (this.url === 'http://localhost/mcp') seen.push(this);
      }
    }
    vi.stubGlobal('Request', WatchedRequest);
    try {
      for (const headers of [bearer(token), bearer(key), { 'x-api-key': key, cookie: 'session=secret' }])
        expect((await mcp({ ...headers, 'x-kept': 'yes' })).status).toBe(200);
    } finally {
      vi.unstubAllGlobals();
    }
    expect(seen).toHaveLength(3);
    for (const { headers } of seen) {
      expect(headers.get('x-kept')).toBe('yes');
      const shown = JSON.stringify([...headers]);
      for (const secret of [token, key, row.id, 'session=secret']) expect(shown).not.toContain(secret);
    }
  });

  test('takes the official client through the whole flow', async () => {
    issuer.format = 'jwt';
    const client = new Client({ name: 'test', version: '1' });
    const authProvider = new ClientCredentialsProvider({
      clientId: CLIENT.id,
      clientSecret: CLIENT.secret,
      expectedIssuer: issuer.issuer,
    });
    const transport = new StreamableHTTPClientTransport(new URL(`${publicUrl}/mcp`), { authProvider });
    await client.connect(transport);
    const { tools } = await client.listTools();
    expect(tools.map(({ name }) => name)).toContain('get_ticker');
    const { content } = await client.callTool({ name: 'list_exchanges', arguments: {} });
    expect(JSON.stringify(content)).toContain('binance');
    await client.close();
  });
});

test('without an issuer there is no metadata, and the challenge names none', async () => {
  const other = testFolder();
  const { app } = await startTestApp({ AUTH_MODE: 'required', AUTH_STORE: `sqlite:${other.file}` });
  for (const url of ['/.well-known/oauth-protected-resource', '/.well-known/oauth-authorization-server/mcp'])
    expect((await app.inject(url)).statusCode).toBe(404);
  const { statusCode, headers } = await app.inject({ method: 'POST', url: '/mcp' });
  expect([statusCode, headers['www-authenticate']]).toEqual([401, 'Bearer scope="market:read"']);
  await app.close();
  await other.end();
});

test('no token, secret or ticket is in the log', () => {
  const text = JSON.stringify(rig.log.lines);
  expect(text).not.toMatch(/eyJ|cdt_/);
  expect(text).not.toContain(INTROSPECTOR.secret);
});
