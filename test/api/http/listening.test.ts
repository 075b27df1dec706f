import { once } from 'node:events';
import { request, type IncomingMessage } from 'node:http';
import { connect, Server, type ListenOptions } from 'node:net';
import Fastify, { type FastifyInstance } from 'fastify';
import { afterEach, expect, test, vi } from 'vitest';
import { buildApp } from '../../../src/app/app.js';
import { loadConfig } from '../../../src/config/config.js';
import { createListening } from '../../../src/http/connections/listening.js';
import { silentLog } from '../../../src/log/log.js';
import { createFakeExchangeClient } from '../../support/fake-exchange-client.js';

// Two addresses of the loopback network stand for the two of `localhost`, so that a machine without IPv6 will do.
const TWO = { addressesOf: () => Promise.resolve(['127.0.0.1', '127.0.0.2']) };

let app: FastifyInstance | undefined;
afterEach(() => app?.close());

const get = (url: string) =>
  new Promise<IncomingMessage>((resolve, reject) => {
    request(url, { agent: false }, (response) => {
      response.resume().on('end', () => resolve(response));
    })
      .on('error', reject)
      .end();
  });

const builtApp = async () => {
  const exchangeClient = createFakeExchangeClient(Date.now);
  return buildApp(loadConfig({ REDIS_ENABLED: 'false' }), { exchangeClient, log: silentLog });
};

test('a host name with two addresses is served alike on both: health, the answer to CONNECT, the bound on connections', async () => {
  app = await builtApp();
  const urls = await createListening(app, TWO).listen({ host: 'localhost', port: 0 });
  expect(urls).toHaveLength(2);
  for (const url of urls) {
    expect((await get(`${url}/v1/health`)).statusCode).toBe(200);
    const { hostname, port } = new URL(url);
    const socket = connect(Number(port), hostname);
    socket.write('CONNECT a.example:443 HTTP/1.1\r\nHost: a.example\r\n\r\n');
    const [answer] = (await once(socket, 'data')) as [Buffer];
    expect(answer.toString()).toMatch(/^HTTP\/1\.1 400 .*application\/problem\+json/s);
    socket.destroy();
  }
});

test('on each of its addresses thousands may wait to be accepted: the clients of a server that has died come at once', async () => {
  const listen = vi.spyOn(Server.prototype, 'listen');
  app = await builtApp();
  await createListening(app, TWO).listen({ host: 'localhost', port: 0 });
  const asked = listen.mock.calls.map(([at]) => (at as ListenOptions).backlog);
  listen.mockRestore();
  expect(asked).toEqual([4_096, 4_096]);
});

test('the address told is the one bound, not one that it contains', async () => {
  app = await builtApp();
  const [url] = await createListening(app).listen({ host: '0.0.0.0', port: 0 });
  expect(url).toMatch(/^http:\/\/0\.0\.0\.0:\d+$/);
});

test('closing lets a request finish that came in by the second address', async () => {
  let answer: (() => void) | undefined;
  app = Fastify({ forceCloseConnections: 'idle' });
  const listening = createListening(app, TWO);
  app.addHook('onClose', () => listening.close());
  const asked = new Promise<void>((resolve) => {
    app?.get('/slow', async () => {
      resolve();
      await new Promise<void>((done) => (answer = done));
      return {};
    });
  });
  const [, url = ''] = await listening.listen({ host: 'localhost', port: 0 });
  const waiting = get(`${url}/slow`);
  await asked;
  const closed = app.close();
  answer?.();
  expect((await waiting).statusCode).toBe(200);
  await closed;
});

test('an address of a family that this machine has not got is passed over', async () => {
  // 2001:db8::/32 is for documentation: nobody has it.
  const addressesOf = () => Promise.resolve(['2001:db8::1', '127.0.0.1', '2001:db8::2']);
  app = await builtApp();
  const urls = await createListening(app, { addressesOf }).listen({ host: 'localhost', port: 0 });
  expect(urls).toEqual([expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+$/)]);
  expect((await get(`${urls[0] ?? ''}/v1/health`)).statusCode).toBe(200);
});
