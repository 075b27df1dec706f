// Plans: what a key may ask for, how often, and how much it is told of that; over every transport.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Sandbox } from '../../../src/sandbox/sandbox.js';
import { testFolder, type TestFolder } from './access-app.js';
import { PlansRig, startVenues, subscribe } from './plans-rig.js';

const TICKER = '/v1/markets/ticker?exchange=binance&symbol=BTC/USDT';
const CANDLES = '/v1/markets/ohlcv?exchange=binance&symbol=BTC/USDT';
const PATIENT = { timeout: 10_000 };

let venues: Sandbox;
beforeAll(async () => {
  venues = await startVenues();
});
afterAll(() => venues.close());

let folder: TestFolder;
let rig: PlansRig;
const start = async (env: Readonly<Record<string, string>> = {}): Promise<void> => {
  rig = await PlansRig.start(venues, folder.file, env);
};
beforeEach(() => {
  folder = testFolder();
});
afterEach(async () => {
  await rig.close();
  await folder.end();
});

const get = (url: string, key?: string) => rig.get(url, key);
const me = (key?: string) => rig.me(key);

describe('requests a window', () => {
  test('are counted by key, told in headers, and refused beyond the plan', async () => {
    await start();
    const key = await rig.keyOf({ requests: 2, window: 60, day: 100 });
    const first = await get(TICKER, key);
    expect(first.statusCode).toBe(200);
    expect(first.headers).toMatchObject({
      'x-ratelimit-limit': '2',
      'x-ratelimit-remaining': '1',
      'ratelimit-policy': '"window";q=2;w=60, "day";q=100;w=86400',
    });
    expect(first.headers['ratelimit']).toMatch(/^"window";r=1;t=\d+, "day";r=100;t=\d+$/);
    expect((await get(TICKER, key)).statusCode).toBe(200);
    const refused = await get(TICKER, key);
    expect(refused.json()).toMatchObject({
      status: 429,
      code: 'client_rate_limited',
      violated_policies: ['window'],
    });
    expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0);
    expect((await get(TICKER, (await rig.issue()).key)).statusCode).toBe(200);
  });

  test('go on with the key that replaces one', async () => {
    await start();
    await rig.setPlan({ requests: 1 });
    const { id, key } = await rig.issue({ plan: 'trial' });
    expect((await get(TICKER, key)).statusCode).toBe(200);
    const next = await rig.access.keys.rotate(id, 60_000, 'cli');
    expect((await get(TICKER, next?.key)).statusCode).toBe(429);
  });

  test('follow a change of the plan at once', async () => {
    await start();
    const key = await rig.keyOf({ requests: 1 });
    await get(TICKER, key);
    expect((await get(TICKER, key)).statusCode).toBe(429);
    await rig.setPlan({ requests: 5 });
    expect((await get(TICKER, key)).statusCode).toBe(200);
  });

  test('that a missing scope refused count too', async () => {
    await start();
    await rig.setPlan({ requests: 2 });
    const { key } = await rig.issue({ plan: 'trial', scopes: ['stream:read'] });
    for (let i = 0; i < 2; i++) expect((await get(TICKER, key)).statusCode).toBe(403);
    expect((await get('/v1/me', key)).statusCode).toBe(429);
  });

  test('of callers without a key are limited by CLIENT_RATE_LIMIT, a key without a window is not', async () => {
    await start({ AUTH_MODE: 'optional', CLIENT_RATE_LIMIT_REQUESTS: '1' });
    expect((await get(TICKER)).statusCode).toBe(200);
    const refused = await get(TICKER);
    expect(refused.json()).toMatchObject({ code: 'client_rate_limited', violated_policies: ['window'] });
    const { key } = await rig.issue();
    for (let i = 0; i < 5; i++) expect((await get(TICKER, key)).statusCode).toBe(200);
  });

  test('of callers without a key are those of AUTH_ANONYMOUS_PLAN', async () => {
    await start({ AUTH_MODE: 'optional', AUTH_ANONYMOUS_PLAN: 'guests' });
    await rig.setPlan({ requests: 1, exchanges: ['kraken'] }, 'guests');
    expect((await get(TICKER)).json()).toMatchObject({ code: 'plan_forbids' });
    expect((await get(TICKER)).statusCode).toBe(429);
    expect(await me((await rig.issue()).key)).toMatchObject({ type: 'key', plan: 'default', limits: {} });
  });
});

describe('backfills', () => {
  // More pages than the budget admits: the rest is named, and a job is queued for it.
  const read = async (market: string, key: string) => {
    const url = `/v1/markets/ohlcv?${market}&since=2024-01-01&limit=2000`;
    const body = (await get(url, key)).json<{ gaps?: readonly { reason: string }[] }>();
    expect(body.gaps).toMatchObject([{ reason: 'not_loaded_yet' }]);
  };
  const jobs = async (key: string) =>
    (await get('/v1/backfills', key)).json<{ backfills: readonly unknown[] }>().backfills;

  test('are queued behind the answers of a plan that has them, of no other', async () => {
    await start({ STORE_URL: `sqlite:${folder.file}.candles`, RATE_LIMIT_REQUESTS: '1' });
    const without = await rig.keyOf({ backfill: false });
    const { key } = await rig.issue();
    await read('exchange=binance&symbol=BTC/USDT', without);
    // Jobs are queued one after the other: that of the first read would be there before that of the second.
    await read('exchange=coinbasepro&symbol=BTC/USD', key);
    await expect.poll(() => jobs(key), PATIENT).toMatchObject([{ symbol: 'BTC/USD' }]);
  });
});

describe('units of a day', () => {
  test('are spent by good answers, and refuse once they are used up; /v1/me still answers', async () => {
    await start();
    const key = await rig.keyOf({ day: 3 });
    expect((await get(`${TICKER}X`, key)).statusCode).toBeLessThan(500);
    expect((await get('/v1/markets/ticker?exchange=nowhere&symbol=BTC/USDT', key)).statusCode).toBe(400);
    expect((await get(`${CANDLES}&limit=501`, key)).statusCode).toBe(200);
    expect(await me(key)).toMatchObject({ used: { day: expect.any(Number) as number } });
    await get(TICKER, key);
    await get(TICKER, key);
    const refused = await get(TICKER, key);
    expect(refused.json()).toMatchObject({
      status: 429,
      code: 'quota_exceeded',
      violated_policies: ['day'],
    });
    const answered = await get('/v1/me', key);
    expect(answered.statusCode).toBe(200);
    expect(answered.headers['cache-control']).toMatch(/^private/);
    expect(answered.json()).toMatchObject({ limits: { day: 3 }, plan: 'trial', name: 'test' });
  });

  test('are what was used before, after a restart and on another server', async () => {
    await start();
    const key = await rig.keyOf({ day: 1 });
    expect((await get(TICKER, key)).statusCode).toBe(200);
    await rig.close();
    await start();
    expect((await get(TICKER, key)).json()).toMatchObject({ code: 'quota_exceeded' });
  });

  test('are spent by answers from the cache and by 304s like by others', async () => {
    await start();
    const key = await rig.keyOf({ day: 100 });
    const first = await get(TICKER, key);
    const again = await rig.app.inject({
      url: TICKER,
      headers: { authorization: `Bearer ${key}`, 'if-none-match': String(first.headers.etag) },
    });
    expect([again.statusCode, again.headers['x-cache']]).toEqual([304, 'HIT']);
    expect(await me(key)).toMatchObject({ used: { day: 2, month: 2, window: 0 } });
  });
});

describe('what the plan leaves out is refused', () => {
  test('exchanges: over REST, from the cache too', async () => {
    await start();
    const all = (await rig.issue()).key;
    const key = await rig.keyOf({ exchanges: ['binance'] });
    const kraken = '/v1/markets/ticker?exchange=kraken&symbol=BTC/USD';
    expect((await get(kraken, all)).statusCode).toBe(200);
    expect((await get(kraken, key)).json()).toMatchObject({ status: 403, code: 'plan_forbids' });
    expect((await get('/v1/markets?exchange=kraken', key)).json()).toMatchObject({ code: 'plan_forbids' });
    expect((await get(TICKER, key)).statusCode).toBe(200);
  });

  test('candles: more than the plan has; without a limit as many as it has', async () => {
    await start();
    const all = (await rig.issue()).key;
    const key = await rig.keyOf({ ohlcv_max: 2 });
    const countOf = async (url: string, by: string) =>
      (await get(url, by)).json<{ candles: unknown[] }>().candles.length;
    const whole = await countOf(CANDLES, all);
    expect(whole).toBeGreaterThan(2);
    expect((await get(`${CANDLES}&limit=3`, all)).statusCode).toBe(200);
    expect((await get(`${CANDLES}&limit=3`, key)).json()).toMatchObject({
      code: 'plan_forbids',
      errors: [{ parameter: 'limit' }],
    });
    expect(await countOf(CANDLES, key)).toBe(2);
    expect(await countOf(CANDLES, all)).toBe(whole);
    expect(await countOf(`${CANDLES}&limit=2`, key)).toBe(2);
  });
});

describe('what is open at once', () => {
  test('streams are bounded, and one that ends frees its slot', async () => {
    await start();
    const key = await rig.keyOf({ streams: 1 });
    const first = await rig.open('/ws', key);
    await expect(rig.open('/ws', key)).rejects.toThrow('429');
    const sse = await fetch(
      `http://127.0.0.1:${rig.port}/v1/stream/ticker?exchange=binance&symbol=BTC/USDT`,
      {
        headers: { 'x-api-key': key },
      },
    );
    expect(await sse.json()).toMatchObject({ status: 429, code: 'stream_limit_reached' });
    first.terminate();
    await expect.poll(() => rig.open('/ws', key).then((socket) => socket.readyState), PATIENT).toBe(1);
  });

  test('subscriptions, symbols and exchanges are bounded, each subscription answered for itself', async () => {
    await start();
    const key = await rig.keyOf({ subscriptions: 2, symbols: 2, exchanges: ['binance'] });
    const socket = await rig.open('/ws', key);
    expect(await subscribe(socket, 'BTC/USD', 'kraken')).toMatchObject({
      success: false,
      problem: { code: 'plan_forbids' },
    });
    expect(await subscribe(socket, 'BTC/USDT')).toMatchObject({ success: true });
    expect(await subscribe(socket, 'ETH/USDT')).toMatchObject({ success: true });
    expect(await subscribe(socket, 'LTC/USDT')).toMatchObject({
      success: false,
      problem: { code: 'stream_limit_reached' },
    });
    expect(await me(key)).toMatchObject({ used: { day: 2 } });
  });
});

test('answers are the caller’s alone: private, and varying by credential', async () => {
  await start();
  const { key } = await rig.issue();
  for (let i = 0; i < 2; i++) {
    const { headers } = await get(TICKER, key);
    expect(headers['cache-control']).toMatch(/^private, max-age=/);
    expect(String(headers.vary)).toContain('Authorization, X-API-Key');
  }
  expect((await get('/v1/exchanges', key)).headers['cache-control']).toMatch(/^(private, max-age|no-cache)/);
  expect((await get(TICKER)).headers['cache-control']).toBe('no-store');
});

describe('MCP', () => {
  const send = async (key: string, payload: object) =>
    rig.app.inject({
      method: 'POST',
      url: '/mcp',
      headers: { 'x-api-key': key, 'content-type': 'application/json', accept: 'application/json' },
      payload,
    });
  const toolCall = (id: number, name: string, args: Record<string, unknown>) => {
    const params = { name, arguments: args };
    return { jsonrpc: '2.0', id, method: 'tools/call', params };
  };
  const call = async (key: string, name: string, args: Record<string, unknown>) => {
    const response = await send(key, toolCall(1, name, args));
    expect(response.statusCode).toBe(200);
    return response.json<{
      result: {
        isError?: boolean;
        _meta?: Record<string, unknown>;
        structuredContent?: { candles: unknown[] };
      };
    }>().result;
  };
  const ERROR = 'mcp-crypto-data-server/error';
  const about = { exchange: 'binance', symbol: 'BTC/USDT' };

  test('tools refuse what the plan leaves out, and cost what their twins do', async () => {
    await start();
    const key = await rig.keyOf({ exchanges: ['binance'], ohlcv_max: 2, requests: 10 });
    const kraken = { exchange: 'kraken', symbol: 'BTC/USD' };
    for (const [tool, args] of [
      ['get_ticker', kraken],
      ['get_ohlcv', kraken],
      ['search_markets', { exchange: 'kraken' }],
      ['get_ohlcv', { ...about, limit: 3 }],
    ] as const)
      expect(await call(key, tool, args)).toMatchObject({
        isError: true,
        _meta: { [ERROR]: { code: 'plan_forbids' } },
      });
    expect(await rig.me(key)).toMatchObject({ used: { window: 5, day: 0 } });
    expect((await call(key, 'get_ohlcv', about)).structuredContent?.candles).toHaveLength(2);
    expect((await call(key, 'get_ticker', about)).isError).not.toBe(true);
    expect(await rig.me(key)).toMatchObject({ used: { window: 8, day: 2 } });
  });

  test('a batch that costs more than the day has left is refused whole, and of two at once one', async () => {
    await start();
    const key = await rig.keyOf({ day: 3 });
    const tickers = (count: number) =>
      Array.from({ length: count }, (_, id) => toolCall(id, 'get_ticker', about));
    expect((await send(key, tickers(4))).json()).toMatchObject({
      code: 'quota_exceeded',
      violated_policies: ['day'],
    });
    const candles = toolCall(9, 'get_ohlcv', { ...about, limit: 1501 });
    expect((await send(key, [candles, { ...candles, id: 8 }])).statusCode).toBe(429);
    const together = await Promise.all([send(key, tickers(2)), send(key, tickers(2))]);
    expect(together.map(({ statusCode }) => statusCode).sort()).toEqual([200, 429]);
    expect(await me(key)).toMatchObject({ used: { day: 2 } });
    // What costs nothing needs no units.
    const list = { jsonrpc: '2.0', id: 7, method: 'tools/list' };
    expect((await send(key, [list, { ...list, id: 6 }, ...tickers(1)])).statusCode).toBe(200);
    expect(await me(key)).toMatchObject({ used: { day: 3 } });
  });

  test('is refused where the day is used up', async () => {
    await start();
    const key = await rig.keyOf({ day: 1 });
    await call(key, 'get_ticker', about);
    const refused = await send(key, {});
    expect(refused.json()).toMatchObject({ code: 'quota_exceeded' });
  });
});
