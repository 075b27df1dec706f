import { afterEach, expect, test } from 'vitest';
import { startTestApp, type TestApp } from '../../support/app.js';

let rig: TestApp;
afterEach(async () => {
  await rig.app.close();
});

const askedThroughProxy = async (env: Record<string, string>) => {
  rig = await startTestApp(env);
  for (let asked = 0; asked < 3; asked += 1)
    await rig.app.inject({ url: '/v1/exchanges', headers: { 'x-forwarded-for': '192.0.2.1' } });
  return rig.log.warnings().filter((message) => message.includes('TRUST_PROXY'));
};

test('a client limit that takes everybody behind a proxy for one client is warned of, once', async () => {
  expect(await askedThroughProxy({ CLIENT_RATE_LIMIT_REQUESTS: '100' })).toHaveLength(1);
});

test.each([
  ['the proxy is trusted', { CLIENT_RATE_LIMIT_REQUESTS: '100', TRUST_PROXY: '1' }],
  ['there is no limit', {}],
])('nothing is said where %s', async (_why, env) => {
  expect(await askedThroughProxy(env)).toEqual([]);
});

test('behind a trusted proxy that adds ports, a client on many connections is one client', async () => {
  rig = await startTestApp({ CLIENT_RATE_LIMIT_REQUESTS: '2', TRUST_PROXY: '1' });
  const statuses: number[] = [];
  for (const port of [1111, 2222, 3333]) {
    const headers = { 'x-forwarded-for': `192.0.2.1:${port}` };
    statuses.push((await rig.app.inject({ url: '/v1/exchanges', headers })).statusCode);
  }
  expect(statuses).toEqual([200, 200, 429]);
});
