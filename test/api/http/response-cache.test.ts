// Over a real socket, since the response cache answers before anything that inject reaches.
import { request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { AppError } from '../../../src/errors.js';
import { START, startTestApp, type TestApp } from '../../support/app.js';

const TICKER = '/v1/markets/ticker?exchange=binance&symbol=BTC/USDT';
let rig: TestApp;
let port = 0;

const start = async (...args: Parameters<typeof startTestApp>): Promise<void> => {
  rig = await startTestApp(...args);
  await rig.app.listen({ port: 0, host: '127.0.0.1' });
  ({ port } = rig.app.server.address() as AddressInfo);
};
afterEach(async () => {
  await rig.app.close();
});

const get = (headers: Record<string, string> = {}, method = 'GET', path = TICKER) =>
  new Promise<{ status: number | undefined; headers: Record<string, unknown>; body: string }>(
    (resolve, reject) => {
      request({ port, path, method, headers, agent: false }, (response) => {
        let body = '';
        response.setEncoding('utf8');
        response.on('data', (chunk) => (body += String(chunk)));
        response.on('end', () => resolve({ status: response.statusCode, headers: response.headers, body }));
      })
        .on('error', reject)
        .end();
    },
  );

test('the second answer has the head and the body of the first, but for what must differ, and is reported', async () => {
  await start({ ACCESS_LOG: 'all' });
  const [miss, hit] = [await get(), await get()];
  expect(hit.body).toBe(miss.body);
  expect(Object.keys(hit.headers).sort()).toEqual(Object.keys(miss.headers).sort());
  const differing = Object.keys(hit.headers).filter((name) => hit.headers[name] !== miss.headers[name]);
  expect(differing.filter((name) => name !== 'date').sort()).toEqual(['x-cache', 'x-request-id']);
  expect(rig.log.lines.map(({ details }) => details)).toContainEqual(
    expect.objectContaining({
      cache: 'HIT',
      status: 200,
      route: '/v1/markets/ticker',
      exchange: 'binance',
      request_id: hit.headers['x-request-id'],
    }),
  );
});

test('304, HEAD, a kept request id and the bound of freshness hold as everywhere', async () => {
  await start();
  const first = await get();
  const etag = String(first.headers['etag']);
  expect((await get({ 'if-none-match': `W/${etag}` })).status).toBe(304);
  const head = await get({}, 'HEAD');
  expect(head).toMatchObject({ status: 200, body: '' });
  expect(head.headers['content-length']).toBe(String(first.body.length));
  expect((await get({ 'x-request-id': 'mine' })).headers['x-request-id']).toBe('mine');
  expect((await get({ accept: 'text/html' })).status).toBe(406);
  expect((await get({}, 'DELETE')).status).toBe(405);
  rig.clock.now = START + 2000;
  expect((await get()).headers['x-cache']).toBe('MISS');
});

test('the response cache is not used while the server refuses requests or shuts down', async () => {
  let overloaded = false;
  await start({}, { loadGauge: { overloaded: () => overloaded, lagMs: () => 0, close: () => undefined } });
  await get();
  overloaded = true;
  expect((await get()).status).toBe(503);
  overloaded = false;
  rig.app.lifeCycle.beginDraining();
  const last = await get();
  expect(last.headers).toMatchObject({ 'x-cache': 'HIT', connection: 'close' });
});

test.each([
  [{ CLIENT_RATE_LIMIT_REQUESTS: '2' }, [200, 200, 429]],
  [{ CORS_ORIGIN: 'https://a.example' }, [200, 200, 200]],
  [{ CORS_ORIGIN: '' }, [200, 200, 200]],
])('with %j every rule still holds', async (env, statuses) => {
  await start(env);
  const answers = [await get(), await get(), await get({ origin: 'https://a.example' })];
  expect(answers.map(({ status }) => status)).toEqual(statuses);
  const allowed = answers[2]?.headers['access-control-allow-origin'];
  expect(allowed).toBe('CORS_ORIGIN' in env ? env.CORS_ORIGIN || undefined : '*');
});

test('a bug in the response cache costs one connection, not the process', async () => {
  await start();
  await get();
  rig.app.onAnswer(({ cache }) => {
    if (cache === 'HIT') throw new Error('a listener with a bug');
  });
  await get().catch(() => undefined);
  expect(rig.log.lines.some(({ message }) => message === 'internal error')).toBe(true);
  expect((await get({}, 'GET', '/v1/health')).status).toBe(200);
});

test('what fails behind the response cache is answered by Fastify', async () => {
  await start();
  rig.venue.answer = () => Promise.reject(new AppError('upstream_unavailable', 'away'));
  expect((await get()).status).toBe(503);
});
