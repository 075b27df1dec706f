// What a caller meets with a good, a wrong and no credential.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { idOf, makeKey } from '../../../src/access/key-format.js';
import { startAccessApp, testFolder, type AccessRig } from './access-app.js';

const TICKER = '/v1/markets/ticker?exchange=binance&symbol=BTC/USDT';
const folder = testFolder();
let rig: AccessRig;
let good: { id: string; key: string };
beforeAll(async () => {
  rig = await startAccessApp({ AUTH_STORE: `sqlite:${folder.file}` });
  good = await rig.issue();
});
afterAll(async () => {
  await rig.app.close();
  await folder.end();
});

const ask = (
  headers: Record<string, string> = {},
  path = TICKER,
  method: 'GET' | 'OPTIONS' | 'POST' = 'GET',
) => rig.app.inject({ method, url: path, headers });

/** An answer without what differs between any two. */
const comparable = ({ statusCode, headers, body }: Awaited<ReturnType<typeof ask>>) => {
  const id = headers['x-request-id'];
  return {
    statusCode,
    headers: { ...headers, date: '', 'x-request-id': '' },
    body: body.replaceAll(String(id), '<id>'),
  };
};

test.each([
  ['Authorization: Bearer', () => ({ authorization: `Bearer ${good.key}` })],
  ['a scheme in lower case', () => ({ authorization: `bearer ${good.key}` })],
  ['X-API-Key', () => ({ 'x-api-key': good.key })],
  ['both alike', () => ({ authorization: `Bearer ${good.key}`, 'x-api-key': good.key })],
])('a good key is taken: %s', async (_name, headers) => {
  const answer = await ask(headers());
  expect(answer.statusCode).toBe(200);
});

test('two keys that differ are a 400', async () => {
  const other = await rig.issue();
  const answer = await ask({ authorization: `Bearer ${good.key}`, 'x-api-key': other.key });
  expect(answer.statusCode).toBe(400);
  expect(answer.json()).toMatchObject({ code: 'invalid_request' });
});

test('without a credential the answer asks for one, and is kept by nobody', async () => {
  const answer = await ask();
  expect(answer.statusCode).toBe(401);
  expect(answer.json()).toMatchObject({ code: 'unauthenticated', retryable: false });
  expect(answer.headers).toMatchObject({ 'www-authenticate': 'Bearer', 'cache-control': 'no-store' });
  expect(answer.headers['access-control-expose-headers']).toContain('WWW-Authenticate');
});

describe('what is no good credential is refused, never served as anonymous:', () => {
  test.each([
    ['another scheme', () => ({ authorization: `Basic ${Buffer.from('a:b').toString('base64')}` })],
    ['no scheme', () => ({ authorization: good.key })],
    ['two words', () => ({ authorization: `Bearer ${good.key} x` })],
    ['an empty key', () => ({ 'x-api-key': '' })],
    ['a wrong CRC', () => ({ 'x-api-key': `${good.key.slice(0, -1)}${good.key.endsWith('0') ? '1' : '0'}` })],
    ['a key and more', () => ({ 'x-api-key': `${good.key}abc` })],
    ['the key twice', () => ({ 'x-api-key': `${good.key}, ${good.key}` })],
    ['an unknown key', () => ({ 'x-api-key': makeKey() })],
    ['__proto__', () => ({ 'x-api-key': '__proto__' })],
    ['a key of 9 kB', () => ({ 'x-api-key': 'c'.repeat(9000) })],
    ['a token that nobody can look at', () => ({ authorization: 'Bearer eyJhbGciOiJub25lIn0.e30.' })],
  ])('%s', async (_name, headers) => {
    const answer = await ask(headers());
    expect(answer.statusCode).toBe(401);
    expect(answer.json()).toMatchObject({ code: 'invalid_credentials' });
    expect(answer.headers['www-authenticate']).toBe('Bearer error="invalid_token"');
  });
});

test('an unknown id and a wrong secret get the same bytes', async () => {
  const alike = makeKey();
  // The id of a key that exists, with another secret and the CRC that belongs to it.
  let wrong = makeKey();
  const { crc32 } = await import('node:zlib');
  const BASE62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
  const body = `cdk_${good.id}_${wrong.slice(17, 49)}`;
  let code = '';
  for (let rest = crc32(body); code.length < 6; rest = Math.floor(rest / 62))
    code = BASE62.charAt(rest % 62) + code;
  wrong = body + code;
  expect(idOf(wrong)).toBe(good.id);
  const answers = [await ask({ 'x-api-key': wrong }), await ask({ 'x-api-key': alike })].map(comparable);
  expect(answers[0]).toEqual(answers[1]);
});

test('what an expired or revoked key was is told only to who has its secret', async () => {
  const revoked = await rig.issue();
  await rig.access.keys.revoke(revoked.id, 'cli');
  const expired = await rig.issue();
  await rig.access.keys.update(expired.id, { expiresAt: Date.now() + 1_000 }, 'cli');
  await expect
    .poll(async () => (await ask({ 'x-api-key': expired.key })).json<{ code: string }>().code)
    .toBe('credentials_expired');
  const answer = await ask({ 'x-api-key': revoked.key });
  expect(answer.statusCode).toBe(401);
  expect(answer.json()).toMatchObject({ code: 'credentials_revoked' });
});

test('a scope that is missing is named', async () => {
  const { key } = await rig.issue({ scopes: ['stream:read'] });
  const answer = await ask({ 'x-api-key': key });
  expect(answer.statusCode).toBe(403);
  expect(answer.json()).toMatchObject({ code: 'insufficient_scope', required_scopes: ['market:read'] });
  expect(answer.headers['www-authenticate']).toBe('Bearer error="insufficient_scope", scope="market:read"');
  const streams = await ask(
    { 'x-api-key': (await rig.issue({ scopes: ['market:read'] })).key },
    '/v1/stream/ticker?exchange=binance&symbol=BTC/USDT',
  );
  expect(streams.json()).toMatchObject({ code: 'insufficient_scope', required_scopes: ['stream:read'] });
});

test.each(['/', '/v1/health', '/v1/health/ready', '/openapi.json', '/metrics'])(
  '%s is open',
  async (path) => {
    expect((await ask({}, path)).statusCode).not.toBe(401);
    expect((await ask({ 'x-api-key': 'wrong' }, path)).statusCode).not.toBe(401);
  },
);

test('what is not open says nothing of itself to callers without a credential', async () => {
  for (const [path, method] of [
    ['/nothing', 'GET'],
    ['/mcp', 'GET'],
    ['/mcp', 'POST'],
    ['/v1/exchanges', 'POST'],
  ] as const)
    expect((await ask({}, path, method)).statusCode, path).toBe(401);
  expect((await ask({ 'x-api-key': good.key }, '/nothing')).statusCode).toBe(404);
  expect((await ask({ 'x-api-key': good.key }, '/mcp')).statusCode).toBe(405);
});

test('a preflight needs no credential, and allows the header of keys', async () => {
  const headers = { 'access-control-request-method': 'GET', origin: 'https://a.example' };
  const answer = await ask(headers, '/v1/markets/ticker', 'OPTIONS');
  expect(answer.statusCode).toBe(204);
  expect(answer.headers['access-control-allow-headers']).toContain('X-API-Key');
});

describe('a key in a URL', () => {
  test.each([
    ['in the query', (key: string) => `${TICKER}&api_key=${key}`],
    ['in the path', (key: string) => `/v1/${key}`],
    ['percent-encoded', (key: string) => `${TICKER}&k=${key.replaceAll('_', '%5F')}`],
    ['on an open route', (key: string) => `/v1/health?token=${key}`],
  ])('is refused, counts as leaked, and works on in a header: %s', async (_name, urlWith) => {
    const { id, key } = await rig.issue();
    const answer = await ask({ 'x-api-key': key }, urlWith(key));
    expect(answer.statusCode).toBe(400);
    expect(answer.json()).toMatchObject({ code: 'credential_in_url', instance: '/' });
    expect(answer.body).not.toContain(key);
    await expect.poll(async () => (await rig.access.keys.find(id))?.leakedAt).toBeTypeOf('number');
    expect((await ask({ 'x-api-key': key })).statusCode).toBe(200);
    expect(
      rig.log.lines.filter(({ level, details }) => level === 'warn' && JSON.stringify(details).includes(id)),
    ).toHaveLength(1);
    expect(JSON.stringify(rig.log.lines)).not.toContain(key);
  });

  test('is refused unknown too; who only guesses an id marks nobody', async () => {
    const answer = await ask({ 'x-api-key': good.key }, `${TICKER}&k=${makeKey()}`);
    expect(answer.json()).toMatchObject({ code: 'credential_in_url' });
    expect((await rig.access.keys.find(good.id))?.leakedAt).toBeNull();
  });
});

test('from the 21st wrong credential within a minute on an address is told so; its good keys are served', async () => {
  const own = testFolder();
  const apart = await startAccessApp({ AUTH_STORE: `sqlite:${own.file}` });
  try {
    const { key } = await apart.issue();
    const codes: string[] = [];
    for (let i = 0; i < 22; i += 1)
      codes.push(
        (await apart.app.inject({ url: TICKER, headers: { 'x-api-key': makeKey() } })).json<{
          code: string;
        }>().code,
      );
    expect(codes.slice(0, 20)).toEqual(Array<string>(20).fill('invalid_credentials'));
    expect(codes.slice(20)).toEqual(['too_many_auth_failures', 'too_many_auth_failures']);
    const refused = await apart.app.inject({ url: TICKER, headers: { 'x-api-key': makeKey() } });
    expect(refused.statusCode).toBe(429);
    expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0);
    expect((await apart.app.inject({ url: TICKER, headers: { 'x-api-key': key } })).statusCode).toBe(200);
  } finally {
    await apart.app.close();
    await own.end();
  }
});

test('with AUTH_MODE=optional who brings nothing is served, who brings a wrong credential is not', async () => {
  const own = testFolder();
  const apart = await startAccessApp({ AUTH_STORE: `sqlite:${own.file}`, AUTH_MODE: 'optional' });
  try {
    const answered = async (headers: Record<string, string>, url = TICKER) =>
      (await apart.app.inject({ url, headers })).statusCode;
    expect(await answered({})).toBe(200);
    expect(await answered({ 'x-api-key': makeKey() })).toBe(401);
    expect(await answered({}, `${TICKER}&k=${makeKey()}`)).toBe(400);
  } finally {
    await apart.app.close();
    await own.end();
  }
});
