// /ws where a credential is asked for, and comes as a message.
import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { FakeHub } from '../../support/fake-hub.js';
import { startAccessApp, testFolder, type AccessRig } from './access-app.js';
import { MARKET, openSocket, opened } from './stream-clients.js';

let folder: ReturnType<typeof testFolder>;
let server: AccessRig;
const start = async (mode: 'required' | 'optional' = 'required'): Promise<AccessRig> => {
  const hub = Object.assign(new FakeHub(), { latest: () => undefined });
  server = await startAccessApp({ AUTH_STORE: `sqlite:${folder.file}`, AUTH_MODE: mode }, { hub });
  return server;
};
beforeEach(() => {
  folder = testFolder();
});
afterEach(async () => {
  await server.app.close();
  await folder.end();
});

const auth = (token: string, req_id = 1) => ({ method: 'auth', params: { token }, req_id });
const SUBSCRIBE = {
  method: 'subscribe',
  params: { channel: 'ticker', exchange: 'binance', symbol: 'BTC/USDT' },
  req_id: 2,
};

describe('/ws with AUTH_MODE=required', () => {
  test('opens without a credential, and serves once one has come', async () => {
    const { port, issue } = await start();
    const { key } = await issue();
    const { send, next, socket } = opened(await openSocket(port, '/ws'));
    send({ method: 'list', req_id: 0 });
    expect(await next(({ req_id }) => req_id === 0)).toMatchObject({
      event_type: 'error',
      code: 'unauthenticated',
    });
    send(auth(key));
    send(SUBSCRIBE);
    expect(await next(({ req_id }) => req_id === 1)).toEqual({
      event_type: 'reply',
      method: 'auth',
      req_id: 1,
      success: true,
    });
    expect(await next(({ req_id }) => req_id === 2)).toMatchObject({ success: true, symbol: 'BTC/USDT' });
    socket.close();
  });

  test('refuses before the upgrade a credential that is not good, and /ws/ticker without one', async () => {
    const { port } = await start();
    expect(await openSocket(port, '/ws', { authorization: 'Bearer nonsense' })).toBe(401);
    expect(await openSocket(port, `/ws/ticker?${MARKET}`)).toBe(401);
  });

  test.each([
    [
      'an unknown key',
      'invalid_credentials',
      () => Promise.resolve(`cdk_${'a'.repeat(12)}_${'b'.repeat(38)}`),
    ],
    ['what could stand in no header', 'invalid_credentials', () => Promise.resolve('a\nb')],
    ['a ticket', 'invalid_credentials', () => Promise.resolve(`cdt_${'a'.repeat(43)}`)],
    [
      'a key without the scope',
      'insufficient_scope',
      async () => (await server.issue({ scopes: ['market:read'] })).key,
    ],
  ])('ends a connection that brings %s', async (_what, code, credential) => {
    const { port } = await start();
    const { send, closed, messages } = opened(await openSocket(port, '/ws'));
    send(auth(await credential()));
    expect(await closed).toBe(1008);
    expect(messages).toMatchObject([{ event_type: 'error', code, method: 'auth', req_id: 1 }]);
  });

  test('ends a connection that says nothing for five seconds', async () => {
    const { port } = await start();
    const { closed, messages } = opened(await openSocket(port, '/ws'));
    expect(await closed).toBe(1008);
    expect(messages).toMatchObject([{ event_type: 'error', code: 'unauthenticated' }]);
  });

  test('ends a connection when the key that came as a message is revoked', async () => {
    const { port, issue, access } = await start();
    const { id, key } = await issue();
    const { send, next, closed, messages } = opened(await openSocket(port, '/ws'));
    send(auth(key));
    await next(({ req_id }) => req_id === 1);
    await access.keys.revoke(id, 'cli');
    expect(await closed).toBe(1008);
    expect(messages.at(-1)).toMatchObject({ event_type: 'error', code: 'credentials_revoked' });
  });

  test('takes the next credential of the same caller, and of no other', async () => {
    const { port, issue, access } = await start();
    const { id, key } = await issue();
    const { key: foreign } = await issue();
    const rotated = await access.keys.rotate(id, 60_000, 'cli');
    const { send, next, closed, messages } = opened(
      await openSocket(port, '/ws', { authorization: `Bearer ${key}` }),
    );
    send(auth(rotated?.key ?? ''));
    expect(await next(({ req_id }) => req_id === 1)).toMatchObject({ success: true });
    await access.keys.revoke(id, 'cli');
    send({ method: 'list', req_id: 2 });
    expect(await next(({ req_id }) => req_id === 2)).toMatchObject({ success: true });
    send(auth(foreign, 3));
    expect(await closed).toBe(1008);
    expect(messages.at(-1)).toMatchObject({ code: 'invalid_credentials', req_id: 3 });
  });

  test('lets a hundred connections wait for their credential, and one more when one has said it', async () => {
    const { port, issue } = await start();
    const { key } = await issue();
    const waiting = await Promise.all(
      Array.from({ length: 100 }, async () => opened(await openSocket(port, '/ws'))),
    );
    expect(await openSocket(port, '/ws')).toBe(503);
    const named = opened(await openSocket(port, '/ws', { 'x-api-key': key }));
    const [first, second] = waiting;
    first?.send(auth(key));
    await first?.next(({ req_id }) => req_id === 1);
    const third = opened(await openSocket(port, '/ws'));
    expect(await openSocket(port, '/ws')).toBe(503);
    second?.socket.close();
    await second?.closed;
    await once(third.socket, 'close');
    named.socket.close();
  });
});

describe('/ws with AUTH_MODE=optional', () => {
  test('serves at once, and takes a credential later', async () => {
    const { port, issue, access } = await start('optional');
    const { id, key } = await issue();
    const { send, next, closed } = opened(await openSocket(port, '/ws'));
    send({ method: 'list', req_id: 0 });
    expect(await next(({ req_id }) => req_id === 0)).toMatchObject({ success: true });
    send(auth(key));
    expect(await next(({ req_id }) => req_id === 1)).toMatchObject({ success: true });
    await access.keys.revoke(id, 'cli');
    expect(await closed).toBe(1008);
  });
});
