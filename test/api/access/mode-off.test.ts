// AUTH_MODE=off: whatever credential a request brings makes no difference, and what access brings is not there.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { makeKey } from '../../../src/access/key-format.js';
import { startTestApp, type TestApp } from '../../support/app.js';

const TICKER = '/v1/markets/ticker?exchange=binance&symbol=BTC/USDT';
let rig: TestApp;
beforeAll(async () => {
  rig = await startTestApp();
});
afterAll(() => rig.app.close());

const KEY = makeKey();

test.each([
  ['a key that nobody has', { authorization: `Bearer ${KEY}` }],
  ['a malformed key', { 'x-api-key': 'cdk_1' }],
  ['two that differ', { authorization: `Bearer ${KEY}`, 'x-api-key': makeKey() }],
  ['another scheme', { authorization: 'Basic YTpi' }],
  ['a token', { authorization: 'Bearer eyJhbGciOiJub25lIn0.e30.' }],
])('%s is not looked at', async (_name, headers) => {
  for (let round = 0; round < 30; round += 1) {
    const answer = await rig.app.inject({ url: TICKER, headers });
    expect(answer.statusCode).toBe(200);
    expect(answer.headers['cache-control']).toMatch(/^public/);
    expect(String(answer.headers.vary)).not.toContain('Authorization');
    expect(answer.headers['www-authenticate']).toBeUndefined();
  }
});

test('a key in a URL is a parameter like others', async () => {
  expect((await rig.app.inject(`/v1/health?key=${KEY}`)).statusCode).toBe(200);
  expect((await rig.app.inject(`${TICKER}&key=${KEY}`)).json()).toMatchObject({ code: 'invalid_request' });
});

test.each([
  ['GET', '/v1/me'],
  ['POST', '/v1/tickets'],
  ['GET', '/v1/tickets'],
  ['GET', '/v1/admin/keys'],
  ['POST', '/v1/admin/keys'],
  ['DELETE', '/v1/admin/keys/4fTq0ZpW8sXa'],
  ['PUT', '/v1/admin/plans/trial'],
  ['GET', '/.well-known/oauth-protected-resource'],
  ['GET', '/.well-known/oauth-protected-resource/mcp'],
] as const)('%s %s is a 404, with a key too', async (method, url) => {
  for (const headers of [{}, { authorization: `Bearer ${KEY}` }]) {
    const answer = await rig.app.inject({ method, url, headers });
    expect([answer.statusCode, answer.json<{ code: string }>().code]).toEqual([404, 'not_found']);
  }
});

test('/v1/status says so', async () => {
  expect((await rig.app.inject('/v1/status')).json()).toMatchObject({ features: { auth: false } });
});
