/** Two servers, one real Redis: one client limit. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { silentLog } from '../../../src/log/log.js';
import { createRedisCounts } from '../../../src/access/client-limiter-redis.js';
import type { SharedCounts } from '../../../src/access/client-limiter-sharing.js';
import { startTestApp, type TestApp } from '../../support/app.js';
import { startRedis, type RedisServer } from '../../support/redis-server.js';

const LIMIT = 5;
const PATIENT = { timeout: 15_000, interval: 20 };
const KEY = 'mcds:v1:clients:60000:192.0.2.1';

let redis: RedisServer;
let servers: TestApp[];
const startServers = async (): Promise<TestApp[]> => {
  const env = {
    REDIS_ENABLED: 'true',
    REDIS_URL: redis.url,
    CLIENT_RATE_LIMIT_REQUESTS: String(LIMIT),
    CLIENT_RATE_LIMIT_WINDOW: '60',
  };
  servers = await Promise.all([1, 2].map(() => startTestApp(env, { now: Date.now })));
  return servers;
};
const ask = async ({ app }: TestApp, remoteAddress: string): Promise<number> =>
  (await app.inject({ url: '/nothing', remoteAddress })).statusCode;
const askOften = async (server: TestApp, remoteAddress: string, times: number): Promise<number[]> => {
  const statuses: number[] = [];
  for (let i = 0; i < times; i++) statuses.push(await ask(server, remoteAddress));
  return statuses;
};
/** What Redis holds, as a number; null for nothing. */
const total = async (key = KEY): Promise<number | null> => {
  const [head, value] = (await redis.command('GET', key)).split('\r\n');
  return head === '$-1' ? null : Number(value);
};

beforeEach(async () => {
  redis = await startRedis();
  servers = [];
});
afterEach(async () => {
  await Promise.all(servers.map(({ app }) => app.close()));
  await redis.stop();
});

describe('two servers over one Redis', () => {
  test('refuse a client together, tell how much is left, and keep its count no longer than its window', async () => {
    const [a, b] = await startServers();
    expect(await askOften(a!, '192.0.2.1', LIMIT)).toEqual(Array(LIMIT).fill(404));
    await expect.poll(() => total(), PATIENT).toBe(LIMIT);
    // Its first request tells the second server of the first one's five.
    expect(await ask(b!, '192.0.2.1')).toBe(404);
    await expect.poll(() => ask(b!, '192.0.2.1'), PATIENT).toBe(429);
    const refused = await b!.app.inject({ url: '/nothing', remoteAddress: '192.0.2.1' });
    expect(refused.headers['x-ratelimit-remaining']).toBe('0');
    expect(refused.json()).toMatchObject({ code: 'client_rate_limited' });
    expect(await ask(b!, '192.0.2.2')).toBe(404);
    const left = Number((await redis.command('PTTL', KEY)).slice(1));
    expect(left).toBeGreaterThan(0);
    expect(left).toBeLessThanOrEqual(60_000);
  });

  test('a server that starts again does not forget', async () => {
    const [a] = await startServers();
    await askOften(a!, '192.0.2.1', LIMIT);
    await expect.poll(() => total(), PATIENT).toBe(LIMIT);
    await Promise.all(servers.map(({ app }) => app.close()));
    const [again] = await startServers();
    await expect.poll(() => ask(again!, '192.0.2.1'), PATIENT).toBe(429);
  });

  test('without Redis each counts for itself; when it is back they count together again', async () => {
    const [a, b] = await startServers();
    await ask(a!, '192.0.2.9');
    await expect.poll(() => total('mcds:v1:clients:60000:192.0.2.9'), PATIENT).toBe(1);
    await redis.kill();
    for (const server of [a!, b!])
      expect(await askOften(server, '192.0.2.1', LIMIT + 1)).toEqual([...Array(LIMIT).fill(404), 429]);
    await redis.restart();
    expect(await ask(a!, '192.0.2.3')).toBe(404);
    await expect.poll(() => total('mcds:v1:clients:60000:192.0.2.3'), PATIENT).toBe(1);
    await expect.poll(() => total(), PATIENT).toBe(2 * LIMIT);
    const warning = 'Redis does not answer; until it does, each server counts its clients for itself';
    expect(a!.log.warnings().filter((line) => line === warning)).toHaveLength(1);
  });
});

describe('what Redis says', () => {
  let counts: SharedCounts;
  const add = (key: string) =>
    counts.add([{ key, hits: 1, windowMs: 60_000, leftMs: 50_000, settle: () => undefined }]);
  beforeEach(async () => {
    const log = silentLog;
    counts = createRedisCounts({ url: redis.url, prefix: 'p', log, now: Date.now });
    await expect.poll(() => counts.isUp, PATIENT).toBe(true);
  });
  afterEach(() => counts.close());

  test('gives a number that lost its expiry a new one', async () => {
    await redis.command('SET', 'p:clients:60000:a', '41');
    expect(await add('a')).toEqual([{ total: 42, leftMs: 50_000 }]);
    expect(Number((await redis.command('PTTL', 'p:clients:60000:a')).slice(1))).toBeGreaterThan(0);
  });

  test.each([
    ['no number', 'pear'],
    ['a negative number', '-41'],
  ])('counts as no answer where it is %s', async (_what, value) => {
    await redis.command('SET', 'p:clients:60000:a', value);
    expect(await add('a')).toEqual([undefined]);
  });

  test('is in the order of the question, for more clients than one command takes', async () => {
    const clients = Array.from({ length: 450 }, (_, i) => i);
    const counted = clients.map((i) => ({
      key: `client ${i}`,
      hits: i + 1,
      windowMs: 60_000,
      leftMs: 50_000.5,
      settle: () => undefined,
    }));
    expect((await counts.add(counted)).map((count) => count?.total)).toEqual(clients.map((i) => i + 1));
  });
});
