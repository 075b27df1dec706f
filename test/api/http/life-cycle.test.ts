import { once } from 'node:events';
import { request } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import { startTestApp } from '../../support/app.js';
import { holdAnswers } from '../../support/fake-exchange-client.js';

const TICKER = '/v1/markets/ticker?exchange=binance&symbol=BTC/USDT';

interface Answer {
  readonly status: number | undefined;
  readonly body: string;
}

const get = (port: number, path: string): Promise<Answer> =>
  new Promise((resolve, reject) => {
    request({ port, path }, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (chunk) => (body += String(chunk)));
      response.on('end', () => resolve({ status: response.statusCode, body }));
    })
      .on('error', reject)
      .end();
  });

test('close lets what is under way finish, then closes the services, users before what they use', async () => {
  const { app, venue } = await startTestApp();
  const closed: string[] = [];
  venue.close = () => {
    closed.push('exchanges');
    return Promise.resolve();
  };
  app.addHook('preClose', (done) => {
    closed.push('preClose');
    done();
  });
  await app.listen({ port: 0, host: '127.0.0.1' });
  const { port } = app.server.address() as AddressInfo;
  const release = holdAnswers(venue);
  const waiting = get(port, TICKER);
  await expect.poll(() => app.inFlight()).toBe(1);
  const ended = app.close();
  await expect.poll(() => closed).toEqual(['preClose']);
  expect(app.lifeCycle.draining).toBe(true);
  release();
  expect((await waiting).status).toBe(200);
  await ended;
  expect(closed).toEqual(['preClose', 'exchanges']);
  await expect(get(port, '/v1/health')).rejects.toThrow();
});

test('close does not wait for a connection on which nothing was ever sent', async () => {
  const { app } = await startTestApp();
  await app.listen({ port: 0, host: '127.0.0.1' });
  const { port } = app.server.address() as AddressInfo;
  const unused = connect(port, '127.0.0.1');
  await once(unused, 'connect');
  // The server has it, too, once it has answered another.
  expect((await get(port, '/v1/health')).status).toBe(200);
  const cut = once(unused, 'close');
  await app.close();
  await cut;
});

test('a request that comes while the server closes is a 503 shutting_down; health still answers', async () => {
  const { app, venue } = await startTestApp();
  let release: (() => void) | undefined;
  const gate = new Promise<void>((resolve) => (release = resolve));
  app.addHook('preClose', async () => {
    await gate;
  });
  await app.listen({ port: 0, host: '127.0.0.1' });
  const { port } = app.server.address() as AddressInfo;
  const ended = app.close();
  await expect.poll(() => app.lifeCycle.draining).toBe(true);
  const late = await get(port, TICKER);
  expect(late.status).toBe(503);
  expect(JSON.parse(late.body)).toMatchObject({ code: 'shutting_down', retryable: true });
  expect((await get(port, '/v1/health')).status).toBe(200);
  expect(venue.fetched).toEqual([]);
  release?.();
  await ended;
});

test('what was under way when the end began is answered over a connection that closes, also for what is pipelined behind it', async () => {
  const { app, venue } = await startTestApp();
  await app.listen({ port: 0, host: '127.0.0.1' });
  const { port } = app.server.address() as AddressInfo;
  const release = holdAnswers(venue);
  let arrived = 0;
  app.server.on('request', () => (arrived += 1));
  const socket = connect(port, '127.0.0.1');
  let received = '';
  socket.on('data', (chunk: Buffer) => (received += chunk.toString()));
  const gone = new Promise((resolve) => socket.once('close', resolve));
  socket.write(`GET ${TICKER} HTTP/1.1\r\nHost: x\r\n\r\n`);
  await expect.poll(() => app.inFlight()).toBe(1);
  const ended = app.close();
  await expect.poll(() => app.lifeCycle.draining).toBe(true);
  socket.write('GET /v1/exchanges HTTP/1.1\r\nHost: x\r\n\r\n');
  await expect.poll(() => arrived).toBe(2);
  release();
  await gone;
  await ended;
  // Nothing follows an answer that closes its connection: the client knows that the rest was not done.
  expect(received).toMatch(/^HTTP\/1.1 200 /);
  expect(received.toLowerCase()).toContain('connection: close');
  expect(received.lastIndexOf('HTTP/1.1')).toBe(0);
});

test('a service that fails to close is a warning, and the others still close', async () => {
  const { app, venue, log } = await startTestApp();
  venue.close = () => Promise.reject(new Error('stuck'));
  await app.ready();
  await app.close();
  expect(log.warnings()).toContain('a service did not close cleanly');
});
