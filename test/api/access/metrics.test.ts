// What Prometheus is told of callers: by plan and outcome, never by key; and who may ask for it.
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { makeKey } from '../../../src/access/key-format.js';
import { startTestApp, type TestApp } from '../../support/app.js';
import { startAccessApp, testFolder, type AccessRig } from './access-app.js';

const TICKER = '/v1/markets/ticker?exchange=binance&symbol=BTC/USDT';
const ends: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

const start = async (env: Record<string, string> = {}): Promise<AccessRig> => {
  const folder = testFolder();
  ends.push(() => folder.end());
  const rig = await startAccessApp({ AUTH_STORE: `sqlite:${folder.file}`, TICKER_CACHE_TTL: '60', ...env });
  ends.push(() => rig.app.close());
  return rig;
};
const setPlan = async ({ access }: AccessRig, name: string): Promise<void> => {
  await access.store().setPlan({ name, limits: '{}' }, { actor: 'cli', at: Date.now() });
  await access.changed();
};
const bearer = (key: string) => ({ authorization: `Bearer ${key}` });
const linesOf = async ({ app }: Pick<TestApp, 'app'>, name: string): Promise<string[]> => {
  const { body } = await app.inject('/metrics');
  return body.split('\n').filter((line) => line.startsWith(`crypto_data_${name}`));
};

test('answers are counted by plan and outcome, from the cache too, and no key or id is told', async () => {
  const rig = await start();
  await setPlan(rig, 'gold');
  await setPlan(rig, 'narrow');
  const { id, key } = await rig.issue({ plan: 'gold' });
  const narrow = await rig.issue({ plan: 'narrow', scopes: ['stream:read'] });
  for (let round = 0; round < 3; round += 1) await rig.app.inject({ url: TICKER, headers: bearer(key) });
  const elsewhere = '/v1/markets/ticker?exchange=nowhere&symbol=BTC/USDT';
  await rig.app.inject({ url: elsewhere, headers: bearer(key) });
  await rig.app.inject({ url: TICKER, headers: bearer(narrow.key) });
  await rig.app.inject({ url: TICKER, headers: bearer(makeKey()) });
  await rig.app.inject(TICKER);
  await rig.app.inject('/v1/health');
  await rig.app.inject(`${TICKER}&key=${key}`);
  expect((await linesOf(rig, 'access_requests_total')).sort()).toEqual([
    'crypto_data_access_requests_total{plan="gold",outcome="failed"} 1',
    'crypto_data_access_requests_total{plan="gold",outcome="ok"} 3',
    'crypto_data_access_requests_total{plan="narrow",outcome="insufficient_scope"} 1',
    'crypto_data_access_requests_total{plan="none",outcome="credential_in_url"} 1',
    'crypto_data_access_requests_total{plan="none",outcome="invalid_credentials"} 1',
    'crypto_data_access_requests_total{plan="none",outcome="unauthenticated"} 1',
  ]);
  const { body } = await rig.app.inject('/metrics');
  expect(body).not.toContain(id);
  expect(body).not.toContain(narrow.id);
});

test('plans beyond the hundredth share one series', async () => {
  const rig = await start();
  for (let i = 0; i < 102; i += 1) {
    await setPlan(rig, `plan-${i}`);
    const { key } = await rig.issue({ plan: `plan-${i}` });
    await rig.app.inject({ url: TICKER, headers: bearer(key) });
  }
  const lines = await linesOf(rig, 'access_requests_total');
  expect(lines).toHaveLength(101);
  expect(lines).toContain('crypto_data_access_requests_total{plan="other",outcome="ok"} 2');
});

test.each(['optional', 'required'])('the mode and the store of keys are told: %s', async (mode) => {
  const rig = await start({ AUTH_MODE: mode });
  expect(await linesOf(rig, 'auth_mode')).toEqual(
    ['off', 'optional', 'required'].map(
      (name) => `crypto_data_auth_mode{mode="${name}"} ${name === mode ? 1 : 0}`,
    ),
  );
  expect(await linesOf(rig, 'access_up')).toEqual(['crypto_data_access_up 1']);
});

test('with AUTH_MODE=off nobody is counted by plan, and there is no store to be up', async () => {
  const rig = await startTestApp();
  ends.push(() => rig.app.close());
  await rig.app.inject({ url: TICKER, headers: bearer(makeKey()) });
  expect(await linesOf(rig, 'auth_mode')).toContain('crypto_data_auth_mode{mode="off"} 1');
  expect([...(await linesOf(rig, 'access_up')), ...(await linesOf(rig, 'access_requests_total'))]).toEqual(
    [],
  );
});

/** Asks for /metrics where this server has it; gives the status. */
const scrapes = async ({ app, port }: AccessRig) => {
  await app.metricsApp?.listen({ port: 0, host: '127.0.0.1' });
  const at = app.metricsApp === null ? port : (app.metricsApp.server.address() as AddressInfo).port;
  return async (headers: Record<string, string> = {}, query = ''): Promise<number> => {
    const answer = await fetch(`http://127.0.0.1:${at}/metrics${query}`, { headers });
    await answer.text();
    return answer.status;
  };
};

test.each([
  ['the main port', {}],
  ['METRICS_PORT', { METRICS_PORT: '0' }],
])('METRICS_AUTH=true asks for metrics:read, on %s', async (_where, env) => {
  const rig = await start({ METRICS_AUTH: 'true', ...env });
  const scrape = await scrapes(rig);
  const reader = await rig.issue({ scopes: ['metrics:read'] });
  const other = await rig.issue();
  expect(await scrape()).toBe(401);
  expect(await scrape(bearer(makeKey()))).toBe(401);
  expect(await scrape(bearer(other.key))).toBe(403);
  expect(await scrape(bearer(reader.key))).toBe(200);
  await rig.access.keys.revoke(reader.id, 'cli');
  expect(await scrape(bearer(reader.key))).toBe(401);
});

test('without METRICS_AUTH the port of metrics is open; a key in its URL is refused all the same', async () => {
  const rig = await start({ METRICS_PORT: '0' });
  const scrape = await scrapes(rig);
  const { id, key } = await rig.issue();
  expect(await scrape()).toBe(200);
  expect(await scrape({}, `?token=${key}`)).toBe(400);
  await expect.poll(async () => (await rig.access.keys.find(id))?.leakedAt).toBeTypeOf('number');
});
