// Streams opened with a ticket, over two servers with one store of each kind.
import type { AddressInfo } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createTestDatabase } from '../ledger/postgres.js';
import { extent } from '../../support/extent.js';
import { FakeHub } from '../../support/fake-hub.js';
import { startTestApp } from '../../support/app.js';
import { startAccessApp, testFolder, type AccessRig } from './access-app.js';
import { ask, MARKET, openSocket, openSse, opened } from './stream-clients.js';

const PAGE = 'https://page.example';

const found = await createTestDatabase();
if (found === null) throw new Error('These tests need a PostgreSQL (TEST_POSTGRES_URL).');
const database = found;
afterAll(() => database.drop());

let folder: ReturnType<typeof testFolder>;
const apps: FastifyInstance[] = [];
beforeEach(async () => {
  await database.empty();
  folder = testFolder();
});
afterEach(async () => {
  for (const app of apps.splice(0)) await app.close();
  await folder.end();
});

const start = async (env: Readonly<Record<string, string>> = {}): Promise<AccessRig> => {
  const hub = Object.assign(new FakeHub(), { latest: () => undefined });
  const server = await startAccessApp({ AUTH_STORE: `sqlite:${folder.file}`, ...env }, { hub });
  apps.push(server.app);
  return server;
};

const take = async (port: number, key: string, [purpose, origin]: [string, string?] = ['sse']) =>
  ask(port, '/v1/tickets', {
    method: 'POST',
    headers: { 'x-api-key': key, ...(origin === undefined ? {} : { origin }) },
    body: { purpose },
  });

const ticketOf = async (...given: Parameters<typeof take>): Promise<string> =>
  String((await take(...given)).json['ticket']);

describe('a ticket', () => {
  test('is taken with a credential, kept by nobody, and opens one event stream', async () => {
    const { port, issue } = await start();
    const { key } = await issue();
    const { status, headers, json } = await take(port, key, ['sse', PAGE]);
    expect(status).toBe(201);
    expect(headers['cache-control']).toBe('no-store');
    expect(Object.keys(json)).toEqual(['ticket', 'purpose', 'expires_at']);
    const ticket = String(json['ticket']);
    const stream = await openSse(port, `&ticket=${ticket}&last_event_id=7`, { origin: PAGE });
    expect(stream.status).toBe(200);
    stream.response.destroy();
    expect(await openSse(port, `&ticket=${ticket}`, { origin: PAGE })).toMatchObject({
      status: 401,
      code: 'ticket_invalid',
    });
  });

  test('opens a WebSocket, on /ws without an auth message', async () => {
    const { port, issue } = await start();
    const { key } = await issue();
    const ticker = opened(
      await openSocket(port, `/ws/ticker?${MARKET}&ticket=${await ticketOf(port, key, ['ws'])}`),
    );
    ticker.socket.close();
    const many = opened(await openSocket(port, `/ws?ticket=${await ticketOf(port, key, ['ws'])}`));
    many.send({ method: 'list', req_id: 1 });
    expect(await many.next(({ req_id }) => req_id === 1)).toMatchObject({ success: true, subscriptions: [] });
    many.socket.close();
  });

  test.each([
    ['of another purpose', 'ws', PAGE, PAGE],
    ['from another origin', 'sse', PAGE, 'https://other.example'],
    ['without the origin that it was taken from', 'sse', PAGE, undefined],
  ])('%s is refused and burnt', async (...[, purpose, taken, used]) => {
    const { port, issue } = await start();
    const { key } = await issue();
    const ticket = await ticketOf(port, key, [purpose, taken]);
    const headers = used === undefined ? {} : { origin: used };
    expect((await openSse(port, `&ticket=${ticket}`, headers)).code).toBe('ticket_invalid');
    expect((await openSse(port, `&ticket=${ticket}`, { origin: PAGE })).code).toBe('ticket_invalid');
    expect(await openSocket(port, `/ws?ticket=${ticket}`, { origin: PAGE })).toBe(401);
  });

  test('of a page of this server needs no Origin when the stream is opened', async () => {
    const { port, issue } = await start();
    const { key } = await issue();
    const ticket = await ticketOf(port, key, ['sse', `http://127.0.0.1:${port}`]);
    const stream = await openSse(port, `&ticket=${ticket}`, { host: `127.0.0.1:${port}` });
    expect(stream.status).toBe(200);
    stream.response.destroy();
  });

  test('is worth nothing once its key is revoked', async () => {
    const { port, issue, access } = await start();
    const { id, key } = await issue();
    const ticket = await ticketOf(port, key);
    await access.keys.revoke(id, 'cli');
    expect((await openSse(port, `&ticket=${ticket}`)).code).toBe('ticket_invalid');
  });

  test('ends its stream when its key is revoked', async () => {
    const { port, issue, access } = await start();
    const { id, key } = await issue();
    const socket = opened(await openSocket(port, `/ws?ticket=${await ticketOf(port, key, ['ws'])}`));
    await access.keys.revoke(id, 'cli');
    expect(await socket.closed).toBe(1008);
    expect(socket.messages.at(-1)).toMatchObject({ event_type: 'error', code: 'credentials_revoked' });
  });

  test('needs the scope stream:read, a purpose that there is, and a credential', async () => {
    const { port, issue } = await start({ AUTH_MODE: 'optional' });
    const { key } = await issue({ scopes: ['market:read'] });
    expect((await take(port, key)).json).toMatchObject({
      code: 'insufficient_scope',
      required_scopes: ['stream:read'],
    });
    const { key: good } = await issue();
    expect((await take(port, good, ['mail'])).json).toMatchObject({
      code: 'invalid_request',
      errors: [{ parameter: 'purpose' }],
    });
    const nobody = await ask(port, '/v1/tickets', { method: 'POST', body: { purpose: 'sse' } });
    expect([nobody.status, nobody.json['code']]).toEqual([401, 'unauthenticated']);
  });

  test('stands beside no other credential', async () => {
    const { port, issue } = await start();
    const { key } = await issue();
    const ticket = await ticketOf(port, key);
    const both = await openSse(port, `&ticket=${ticket}`, { 'x-api-key': key });
    expect([both.status, both.code]).toEqual([400, 'invalid_request']);
  });

  test('is not there with AUTH_MODE=off', async () => {
    const hub = Object.assign(new FakeHub(), { latest: () => undefined });
    const off = await startTestApp({}, { hub });
    await off.app.listen({ port: 0, host: '127.0.0.1' });
    apps.push(off.app);
    const { port } = off.app.server.address() as AddressInfo;
    expect((await ask(port, '/v1/tickets', { method: 'POST', body: { purpose: 'sse' } })).status).toBe(404);
    const stream = await openSse(port, '&ticket=anything');
    expect(stream.status).toBe(200);
    stream.response.destroy();
  });
});

describe.each([
  ['one SQLite file', () => ({ AUTH_STORE: `sqlite:${folder.file}` })],
  ['PostgreSQL', () => ({ AUTH_STORE: database.url })],
])('over two servers with %s', (_store, env) => {
  test('one of many who use a ticket at once gets the stream', async () => {
    const [one, other] = [await start(env()), await start(env())];
    const { key } = await one.issue();
    for (let round = 0; round < extent({ short: 1, long: 20 }); round++) {
      const ticket = await ticketOf(one.port, key, ['ws']);
      const uses = extent({ short: 10, long: 100 });
      const all = await Promise.all(
        Array.from({ length: uses }, (_, i) =>
          openSocket((i % 2 === 0 ? one : other).port, `/ws?ticket=${ticket}`),
        ),
      );
      const winners = all.filter((outcome) => typeof outcome !== 'number');
      for (const { socket } of winners) socket.close();
      expect(winners).toHaveLength(1);
      const refusals = all.filter((outcome) => typeof outcome === 'number');
      expect(refusals).toEqual(Array(uses - 1).fill(401));
    }
  });

  test('a ticket of a key that was made a moment ago is good on the other server', async () => {
    const [one, other] = [await start(env()), await start(env())];
    const { key } = await one.issue();
    const stream = await openSse(other.port, `&ticket=${await ticketOf(one.port, key)}`);
    expect(stream.status).toBe(200);
    stream.response.destroy();
  });
});
