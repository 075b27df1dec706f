// A key is revoked on one server: what happens on another one, over connections and streams that are open already.
import { once } from 'node:events';
import { Agent, request, type IncomingMessage } from 'node:http';
import { text } from 'node:stream/consumers';
import { WebSocket } from 'ws';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createTestDatabase } from '../ledger/postgres.js';
import { startRedis, type RedisServer } from '../../support/redis-server.js';
import { startTcpProxy } from '../../support/tcp-proxy.js';
import { FakeHub } from '../../support/fake-hub.js';
import { startAccessApp, testFolder, type AccessRig } from './access-app.js';

const MARKET = 'exchange=binance&symbol=BTC/USDT';
/** Long for everything that is told at once. */
const DEADLINE_MS = 10_000;

const found = await createTestDatabase();
if (found === null) throw new Error('These tests need a PostgreSQL (TEST_POSTGRES_URL).');
const database = found;
let redis: RedisServer;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(async () => {
  await redis.stop();
  await database.drop();
});

let folder: ReturnType<typeof testFolder>;
const servers: AccessRig[] = [];
let agent: Agent;
beforeEach(async () => {
  await database.empty();
  folder = testFolder();
  agent = new Agent({ keepAlive: true, maxSockets: 1 });
});
afterEach(async () => {
  agent.destroy();
  for (const { app } of servers.splice(0)) await app.close();
  await folder.end();
});

const ways = [
  {
    way: 'Redis',
    env: () => ({
      AUTH_STORE: `sqlite:${folder.file}`,
      REDIS_ENABLED: 'true',
      REDIS_URL: redis.url,
      AUTH_SYNC_INTERVAL: '60',
    }),
    confirmed: 2,
  },
  { way: 'PostgreSQL', env: () => ({ AUTH_STORE: database.url, AUTH_SYNC_INTERVAL: '60' }), confirmed: 2 },
  {
    way: 'a look at the same SQLite file',
    env: () => ({ AUTH_STORE: `sqlite:${folder.file}` }),
    confirmed: 1,
  },
];

const start = async (env: Readonly<Record<string, string>>): Promise<AccessRig> => {
  const hub = Object.assign(new FakeHub(), { latest: () => undefined });
  const server = await startAccessApp(env, { hub });
  servers.push(server);
  return server;
};

/** Over one kept-alive connection. */
const ask = async (
  port: number,
  key: string,
): Promise<{ status: number | undefined; reused: boolean; code: unknown }> => {
  const asked = request({
    port,
    path: `/v1/markets/ticker?${MARKET}`,
    agent,
    headers: { 'x-api-key': key },
  }).end();
  const [response] = (await once(asked, 'response')) as [IncomingMessage];
  const body = JSON.parse(await text(response)) as { code?: string };
  return { status: response.statusCode, reused: asked.reusedSocket, code: body.code };
};

const openSse = async (port: number, key: string): Promise<IncomingMessage> => {
  const asked = request({
    port,
    path: `/v1/stream/ticker?${MARKET}`,
    headers: { 'x-api-key': key },
    agent: false,
  }).end();
  const [response] = (await once(asked, 'response')) as [IncomingMessage];
  return response;
};

const openWs = async (port: number, key: string, path: string) => {
  const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`, {
    headers: { authorization: `Bearer ${key}` },
  });
  const messages: { event_type: string; code?: string }[] = [];
  socket.on('message', (data: Buffer) =>
    messages.push(JSON.parse(data.toString()) as (typeof messages)[number]),
  );
  const closed = once(socket, 'close') as Promise<[number, Buffer]>;
  await once(socket, 'open');
  return { socket, messages, closed };
};

const lastEventOf = (body: string): unknown => {
  const data =
    body
      .split('\n')
      .filter((line) => line.startsWith('data: '))
      .at(-1) ?? '';
  return JSON.parse(data.slice('data: '.length));
};

describe.each(ways)('told by $way', ({ env, confirmed }) => {
  test('a new key is good on the other server, and once revoked ends everything there', async () => {
    const [one, other] = [await start(env()), await start(env())];
    const { id, key } = await one.issue();
    await expect.poll(async () => (await ask(other.port, key)).status, { timeout: DEADLINE_MS }).toBe(200);
    const sse = await openSse(other.port, key);
    expect(sse.statusCode).toBe(200);
    const body = text(sse);
    const sockets = [
      await openWs(other.port, key, `/ws/ticker?${MARKET}`),
      await openWs(other.port, key, '/ws'),
    ];
    expect(await ask(other.port, key)).toMatchObject({ status: 200, reused: true });

    const revoked = await one.access.keys.revoke(id, 'cli');
    expect(lastEventOf(await body)).toMatchObject({
      event_type: 'error',
      code: 'credentials_revoked',
      status: 401,
    });
    for (const { messages, closed } of sockets) {
      expect((await closed)[0]).toBe(1008);
      expect(messages.at(-1)).toMatchObject({ event_type: 'error', code: 'credentials_revoked' });
    }
    expect(await ask(other.port, key)).toEqual({ status: 401, reused: true, code: 'credentials_revoked' });
    expect((await ask(one.port, key)).status).toBe(401);
    expect((await one.access.keys.revoke(id, 'cli'))?.row.revokedAt).toBe(revoked?.row.revokedAt);
  });

  test('who revokes is told how many servers know it', async () => {
    const [one] = [await start(env()), await start(env())];
    // A busy machine may need more than the tenth of a second that is waited for the others' word.
    const revoke = async () => (await one.access.keys.revoke((await one.issue()).id, 'cli'))?.confirmed;
    await expect.poll(revoke, { timeout: DEADLINE_MS }).toBe(confirmed);
  });
});

test('streams end when their key expires, also where the expiry was moved while they run', async () => {
  const server = await start({ AUTH_STORE: `sqlite:${folder.file}` });
  const { id, key } = await server.issue();
  const { messages, closed } = await openWs(server.port, key, '/ws');
  const body = text(await openSse(server.port, key));
  await server.access.keys.update(id, { expiresAt: Date.now() + 1_000 }, 'cli');
  expect((await closed)[0]).toBe(1008);
  expect(messages.at(-1)).toMatchObject({ event_type: 'error', code: 'credentials_expired' });
  expect(lastEventOf(await body)).toMatchObject({ code: 'credentials_expired' });
  expect(await ask(server.port, key)).toMatchObject({ status: 401, code: 'credentials_expired' });
});

test('a stream ends when its key loses the scope; what the key may still do goes on', async () => {
  const server = await start({ AUTH_STORE: `sqlite:${folder.file}` });
  const { id, key } = await server.issue();
  const { messages, closed } = await openWs(server.port, key, '/ws');
  await server.access.keys.update(id, { scopes: ['market:read'] }, 'cli');
  expect((await closed)[0]).toBe(1008);
  expect(messages.at(-1)).toMatchObject({ code: 'insufficient_scope', required_scopes: ['stream:read'] });
  expect((await ask(server.port, key)).status).toBe(200);
});

describe('MCP calls under way', () => {
  /** A call whose exchange does not answer. */
  const hangingCall = async (accept: string, headers: Record<string, string> = {}) => {
    const server = await start({ AUTH_STORE: `sqlite:${folder.file}` });
    const { id, key } = await server.issue();
    let isAborted = false;
    const asked = new Promise<void>((resolve) => {
      server.venue.answer = (_request, { signal }) =>
        new Promise((_done, fail) => {
          signal?.addEventListener('abort', () => {
            isAborted = true;
            fail(new Error('aborted'));
          });
          resolve();
        });
    });
    const sent = request({
      port: server.port,
      path: '/mcp',
      method: 'POST',
      agent: false,
      headers: { 'x-api-key': key, 'content-type': 'application/json', accept, ...headers },
    });
    const about = { exchange: 'binance', symbol: 'BTC/USDT' };
    const params = { name: 'get_ticker', arguments: about };
    sent.end(JSON.stringify({ jsonrpc: '2.0', id: 'seven', method: 'tools/call', params }));
    const answered = once(sent, 'response') as Promise<[IncomingMessage]>;
    await asked;
    return { server, id, answered, isAborted: () => isAborted };
  };

  test('are refused like a new one, and their upstream call ends', async () => {
    const { server, id, answered, isAborted } = await hangingCall('application/json');
    await server.access.keys.revoke(id, 'cli');
    const [response] = await answered;
    expect([response.statusCode, response.headers['www-authenticate']]).toEqual([
      401,
      'Bearer error="invalid_token", scope="market:read"',
    ]);
    expect(JSON.parse(await text(response))).toMatchObject({ code: 'credentials_revoked' });
    await expect.poll(isAborted).toBe(true);
  });

  test.each([
    ['is revoked', (server: AccessRig, id: string) => server.access.keys.revoke(id, 'cli'), 'revoked'],
    [
      'expires',
      (server: AccessRig, id: string) =>
        server.access.keys.update(id, { expiresAt: Date.now() + 1_000 }, 'cli'),
      'expired',
    ],
  ])('that are streamed end with an error of JSON-RPC when the key %s', async (_when, end, code) => {
    const { server, id, answered, isAborted } = await hangingCall('application/json, text/event-stream');
    await end(server, id);
    const [response] = await answered;
    expect(response.headers['content-type']).toContain('text/event-stream');
    expect(lastEventOf(await text(response))).toMatchObject({
      jsonrpc: '2.0',
      id: 'seven',
      error: { code: -32_001, data: { code: `credentials_${code}`, status: 401 } },
    });
    await expect.poll(isAborted).toBe(true);
  });
});

test('a rotated key is good for the overlap, and its successor at once', async () => {
  const server = await start({ AUTH_STORE: `sqlite:${folder.file}` });
  const { id, key } = await server.issue();
  const next = await server.access.keys.rotate(id, 60_000, 'cli');
  expect((await ask(server.port, key)).status).toBe(200);
  expect((await ask(server.port, next?.key ?? '')).status).toBe(200);
  expect(next?.row.consumer).toBe(id);
  const leaked = await server.issue();
  await server.access.keys.rotate(leaked.id, 0, 'cli');
  expect((await ask(server.port, leaked.key)).code).toBe('credentials_expired');
});

test('without Redis a revocation still takes effect, after one interval of the poll', async () => {
  const proxy = await startTcpProxy(redis.port);
  const env = {
    AUTH_STORE: `sqlite:${folder.file}`,
    REDIS_ENABLED: 'true',
    REDIS_URL: `redis://127.0.0.1:${proxy.port}/0`,
  };
  const [one, other] = [await start(env), await start(env)];
  const { id, key } = await one.issue();
  await expect.poll(async () => (await ask(other.port, key)).status, { timeout: DEADLINE_MS }).toBe(200);
  await proxy.close();
  expect(await one.access.keys.revoke(id, 'cli')).toMatchObject({ confirmed: 1 });
  await expect.poll(async () => (await ask(other.port, key)).status, { timeout: DEADLINE_MS }).toBe(401);
});

test('a commit that nobody was told of is found by looking', async () => {
  const server = await start({ AUTH_STORE: database.url });
  const { id, key } = await server.issue();
  expect((await ask(server.port, key)).status).toBe(200);
  // As a process would leave it that died between commit and message.
  const { default: pg } = await import('pg');
  const client = new pg.Client({ connectionString: database.url });
  await client.connect();
  await client.query('BEGIN');
  await client.query('UPDATE access_version SET v = v + 1');
  await client.query(
    'UPDATE access_keys SET revoked_at = 1, version = (SELECT v FROM access_version) WHERE id = $1',
    [id],
  );
  await client.query('COMMIT');
  await client.end();
  await expect.poll(async () => (await ask(server.port, key)).status, { timeout: DEADLINE_MS }).toBe(401);
});
