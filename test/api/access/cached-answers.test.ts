// Cached answers over real sockets: who gets them, with which limits, and that no check is skipped for them.
import { once } from 'node:events';
import { Agent, request, type IncomingHttpHeaders, type IncomingMessage } from 'node:http';
import { text } from 'node:stream/consumers';
import { afterEach, expect, test } from 'vitest';
import { makeKey } from '../../../src/access/key-format.js';
import { startTestApp, type TestApp } from '../../support/app.js';
import { startAccessApp, testFolder, type AccessRig } from './access-app.js';

const TICKER = '/v1/markets/ticker?exchange=binance&symbol=BTC/USDT';
const folder = testFolder();
const agent = new Agent({ keepAlive: true, maxSockets: 1 });
let rig: TestApp | undefined;
afterEach(async () => {
  await rig?.app.close();
  await folder.end();
});

interface Answer {
  readonly status: number | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly code: unknown;
}

const get = async (
  port: number,
  headers: Record<string, string>,
  options: object = { agent: false },
): Promise<Answer> => {
  const asked = request({ port, path: TICKER, headers, ...options }).end();
  const [response] = (await once(asked, 'response')) as [IncomingMessage];
  const body = await text(response);
  const code = body === '' ? undefined : (JSON.parse(body) as { code?: unknown }).code;
  return { status: response.statusCode, headers: response.headers, code };
};

const start = async (env: Record<string, string> = {}): Promise<AccessRig> => {
  const started = await startAccessApp({
    AUTH_STORE: `sqlite:${folder.file}`,
    TICKER_CACHE_TTL: '600',
    ...env,
  });
  rig = started;
  return started;
};

test('an answer that one key brought is given to another at once, and to nobody without one', async () => {
  const { app, port, issue, venue } = await start();
  const [one, other] = [await issue(), await issue()];
  expect((await get(port, { 'x-api-key': one.key })).headers['x-cache']).toBe('MISS');
  const keys: unknown[] = [];
  app.onAnswer(({ principal, cache }) => keys.push([principal?.id, cache]));
  expect((await get(port, { authorization: `Bearer ${other.key}` })).headers['x-cache']).toBe('HIT');
  expect(keys).toEqual([[other.id, 'HIT']]);
  const calls = venue.fetched.length;
  for (const headers of [
    {},
    { 'x-api-key': makeKey() },
    { 'x-api-key': one.key, authorization: `Bearer ${other.key}` },
  ] as Record<string, string>[])
    expect((await get(port, headers)).status).not.toBe(200);
  expect(venue.fetched).toHaveLength(calls);
});

test('scope, expiry and revocation hold for answers that are kept, 304s too', async () => {
  const { port, issue, access } = await start();
  const good = await issue();
  const { headers } = await get(port, { 'x-api-key': good.key });
  const etag = String(headers.etag);
  const streams = await issue({ scopes: ['stream:read'] });
  expect(await get(port, { 'x-api-key': streams.key, 'if-none-match': etag })).toMatchObject({ status: 403 });
  const kept = { agent };
  expect((await get(port, { 'x-api-key': good.key, 'if-none-match': etag }, kept)).status).toBe(304);
  await access.keys.update(good.id, { scopes: ['stream:read'] }, 'cli');
  expect(await get(port, { 'x-api-key': good.key, 'if-none-match': etag }, kept)).toMatchObject({
    status: 403,
  });
  await access.keys.update(good.id, { scopes: ['market:read'] }, 'cli');
  expect((await get(port, { 'x-api-key': good.key }, kept)).status).toBe(200);
  await access.keys.revoke(good.id, 'cli');
  expect(await get(port, { 'x-api-key': good.key, 'if-none-match': etag }, kept)).toMatchObject({
    status: 401,
    code: 'credentials_revoked',
  });
  agent.destroy();
});

test('a client limit does not turn the response cache off: it counts there too, and its headers are the same', async () => {
  const started = await startTestApp({ CLIENT_RATE_LIMIT_REQUESTS: '4', TICKER_CACHE_TTL: '600' });
  rig = started;
  await started.app.listen({ port: 0, host: '127.0.0.1' });
  const address = started.app.server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const answers = [
    await get(port, {}),
    await get(port, {}),
    await get(port, {}),
    await get(port, {}),
    await get(port, {}),
  ];
  expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200, 429]);
  expect(answers.map(({ headers }) => headers['x-ratelimit-remaining'])).toEqual(['3', '2', '1', '0', '0']);
  expect(answers[1]?.headers['x-cache']).toBe('HIT');
  expect(Object.keys(answers[1]?.headers ?? {}).sort()).toEqual(
    Object.keys(answers[0]?.headers ?? {}).sort(),
  );
});

test('behind proxies that are trusted, each client has a limit of its own for cached answers', async () => {
  const started = await startTestApp({
    CLIENT_RATE_LIMIT_REQUESTS: '2',
    TICKER_CACHE_TTL: '600',
    TRUST_PROXY: 'loopback',
  });
  rig = started;
  await started.app.listen({ port: 0, host: '127.0.0.1' });
  const address = started.app.server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const statuses: unknown[] = [];
  const kept = { agent: new Agent({ keepAlive: true, maxSockets: 1 }) };
  for (const client of ['9.9.9.1', '9.9.9.2', '9.9.9.1', '9.9.9.2', '9.9.9.1', '6.6.6.6, 9.9.9.2'])
    statuses.push((await get(port, { 'x-forwarded-for': client }, kept)).status);
  expect(statuses).toEqual([200, 200, 200, 200, 429, 429]);
  kept.agent.destroy();
});

test('a cached answer for a good key never reaches Fastify', async () => {
  const started = await start({ CLIENT_RATE_LIMIT_REQUESTS: '100' });
  const { key } = await started.issue();
  await get(started.port, { 'x-api-key': key });
  let reached = 0;
  // Added behind the response cache, which has answered by then.
  started.app.server.on('request', (_request, response) => {
    if (!response.writableEnded) reached += 1;
  });
  expect((await get(started.port, { 'x-api-key': key })).headers['x-cache']).toBe('HIT');
  expect(reached).toBe(0);
  expect((await get(started.port, { 'x-api-key': makeKey() })).status).toBe(401);
  expect(reached).toBe(1);
});
