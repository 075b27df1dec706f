// An answer that costs several units where the day has fewer left: refused, by whatever way it would be given.
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import type { Sandbox } from '../../../src/sandbox/sandbox.js';
import { testFolder, type TestFolder } from './access-app.js';
import { PlansRig, startVenues } from './plans-rig.js';
import { ask } from './stream-clients.js';

const TICKER = '/v1/markets/ticker?exchange=binance&symbol=BTC/USDT';
const CANDLES = '/v1/markets/ohlcv?exchange=binance&symbol=BTC/USDT';
const REFUSED = { status: 429, code: 'quota_exceeded', violated_policies: ['day'] };

let venues: Sandbox;
let folder: TestFolder;
let rig: PlansRig;
beforeAll(async () => {
  venues = await startVenues();
});
afterAll(() => venues.close());
beforeEach(async () => {
  folder = testFolder();
  rig = await PlansRig.start(venues, folder.file);
});
afterEach(async () => {
  await rig.close();
  await folder.end();
});

const used = async (key: string) => (await rig.me(key))['used'];

test('candles are refused where they cost more than is left, and what costs less is still answered', async () => {
  const key = await rig.keyOf({ day: 2 });
  expect((await rig.get(TICKER, key)).statusCode).toBe(200);
  const refused = await rig.get(`${CANDLES}&limit=501`, key);
  expect(refused.json()).toMatchObject(REFUSED);
  expect(refused.json<{ detail: string }>().detail).toContain('costs 2 units, and 1 of the 2');
  expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0);
  expect(await used(key)).toMatchObject({ day: 1 });
  expect((await rig.get(`${CANDLES}&limit=500`, key)).statusCode).toBe(200);
  expect(await used(key)).toMatchObject({ day: 2 });
});

test('of two at once that cost the rest of the day each, one is answered', async () => {
  const key = await rig.keyOf({ day: 3 });
  const both = await Promise.all([600, 700].map((limit) => rig.get(`${CANDLES}&limit=${limit}`, key)));
  expect(both.map(({ statusCode }) => statusCode).sort()).toEqual([200, 429]);
  expect(await used(key)).toMatchObject({ day: 2 });
});

test('the same from the cache, before Fastify and behind it; a refusal counts once against the window', async () => {
  const all = (await rig.issue()).key;
  const key = await rig.keyOf({ day: 3, requests: 10 });
  const headers = { 'x-api-key': key };
  const candles = `${CANDLES}&limit=1000`;
  expect((await ask(rig.port, candles, { headers: { 'x-api-key': all } })).status).toBe(200);
  const hit = await ask(rig.port, candles, { headers });
  expect([hit.status, hit.headers['x-cache']]).toEqual([200, 'HIT']);
  const refused = await ask(rig.port, candles, { headers });
  expect(refused.json).toMatchObject(REFUSED);
  expect(refused.headers['x-ratelimit-remaining']).toBe('8');
  // Injected, it passes by what answers before Fastify.
  expect((await rig.get(candles, key)).json()).toMatchObject(REFUSED);
  expect((await rig.get(TICKER, key)).statusCode).toBe(200);
  const usedUp = await ask(rig.port, TICKER, { headers });
  expect(usedUp.json).toMatchObject(REFUSED);
  expect(usedUp.headers['x-ratelimit-remaining']).toBe('5');
  expect(await used(key)).toMatchObject({ day: 3 });
});

test('on MCP it is an error of the tool', async () => {
  const key = await rig.keyOf({ day: 1 });
  const call = async (limit: number) => {
    const params = { name: 'get_ohlcv', arguments: { exchange: 'binance', symbol: 'BTC/USDT', limit } };
    const response = await rig.app.inject({
      method: 'POST',
      url: '/mcp',
      headers: { 'x-api-key': key, 'content-type': 'application/json', accept: 'application/json' },
      payload: { jsonrpc: '2.0', id: 1, method: 'tools/call', params },
    });
    return response.json<{ result: { isError?: boolean; _meta?: Record<string, unknown> } }>().result;
  };
  expect(await call(501)).toMatchObject({
    isError: true,
    _meta: { 'mcp-crypto-data-server/error': { code: 'quota_exceeded' } },
  });
  expect(await used(key)).toMatchObject({ day: 0 });
  expect((await call(500)).isError).not.toBe(true);
  expect(await used(key)).toMatchObject({ day: 1 });
});

test('charts by UDF cost what their bars do as candles, quotes one for each symbol', async () => {
  const key = await rig.keyOf({ day: 4, ohlcv_max: 800 });
  const to = Math.floor(Date.now() / 1000);
  const history = (range: string) =>
    rig.get(`/udf/history?symbol=BINANCE:BTC/USDT&resolution=60&to=${to}&${range}`, key);
  const bars = async (range: string) => (await history(range)).json<{ t: number[] }>().t;
  // The newest ones of a range with more bars than the plan has.
  const newest = await bars(`from=${to - 3000 * 3600}`);
  expect(newest).toHaveLength(800);
  expect(newest.at(-1)).toBeGreaterThan(to - 2 * 3600);
  expect(await used(key)).toMatchObject({ day: 2 });
  expect(
    (await rig.get('/udf/quotes?symbols=BINANCE:BTC/USDT,BINANCE:ETH/USDT,KRAKEN:BTC/USD', key)).json(),
  ).toMatchObject({
    s: 'error',
    code: 'quota_exceeded',
  });
  expect((await rig.get('/udf/quotes?symbols=BINANCE:BTC/USDT', key)).json()).toMatchObject({ s: 'ok' });
  expect((await history('from=0&countback=700')).json()).toMatchObject({
    s: 'error',
    code: 'quota_exceeded',
  });
  expect(await bars('from=0&countback=300')).toHaveLength(300);
  expect(await used(key)).toMatchObject({ day: 4 });
});
