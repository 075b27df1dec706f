/** One Redis, two servers: the venue is asked once for both. */
import type { FastifyInstance } from 'fastify';
import { afterEach, expect, test, vi } from 'vitest';
import { buildApp } from '../../../src/app/app.js';
import { createRedisCache } from '../../../src/cache/redis-cache.js';
import { loadConfig } from '../../../src/config/config.js';
import { silentLog } from '../../../src/log/log.js';
import { startSandbox } from '../../../src/sandbox/sandbox.js';
import { startRedis } from '../../support/redis-server.js';

const closers: (() => Promise<unknown>)[] = [];
const owned = <T extends object>(thing: T, close: (thing: T) => Promise<unknown>): T => {
  closers.push(() => close(thing));
  return thing;
};
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

/**
 * A thousand requests take seconds of the one thread on a busy machine, longer than a claim lasts: the clock of these
 * servers goes so much slower during a round, and Redis keeps a claim for a round whatever it takes.
 */
const SLOWNESS = 10;
const CLAIM_MS = 60_000;

/** In this process, so that Redis can be given more time than a server would on a busy machine. */
const open = async (redisUrl: string, sandboxUrl: string, now: () => number): Promise<FastifyInstance> => {
  const config = loadConfig({
    SANDBOX: sandboxUrl,
    EXCHANGE_WORKERS: '0',
    ENABLED_EXCHANGES: 'binance',
    // The budget is each server's own: the cache alone is shared here.
    BUS: 'none',
    RATE_LIMIT_REQUESTS: '10000',
    TICKER_CACHE_TTL: '60',
    UPSTREAM_TIMEOUT: '60',
    REQUEST_TIMEOUT: '60',
    // Nobody is served the expired answer because the new one takes seconds of a busy machine.
    STALE_IF_ERROR: '0',
  });
  const shared = createRedisCache({ url: redisUrl, log: silentLog, now, commandTimeoutMs: CLAIM_MS });
  const redis: typeof shared = { ...shared, claim: (key) => shared.claim(key, CLAIM_MS) };
  await vi.waitFor(() => expect(redis.health().state).toBe('ok'), { timeout: 10_000 });
  // Two servers, their clients and the venue share one thread here: its lag says nothing.
  const loadGauge = { overloaded: () => false, lagMs: () => 0, close: () => undefined };
  return owned(await buildApp(config, { log: silentLog, redis, now, loadGauge }), (app) => app.close());
};

test('two servers with one Redis make one upstream call for 1,000 requests for a cold key, and again at each expiry', async () => {
  let ahead = 0;
  let [slowFrom, slowAt] = [Infinity, 0];
  const now = (): number => {
    const time = Date.now() + ahead;
    return time < slowFrom ? time : slowAt + Math.floor((time - slowFrom) / SLOWNESS);
  };
  const sandbox = owned(await startSandbox({ ticksPerSecond: 0, latencyMs: 50 }), (it) => it.close());
  const redis = owned(await startRedis(), (it) => it.stop());
  const apps = [await open(redis.url, sandbox.url, now), await open(redis.url, sandbox.url, now)];
  const ask = (i: number, symbol: string) =>
    apps[i % 2]!.inject({ url: '/v1/markets/ticker', query: { exchange: 'binance', symbol } });
  // Markets are loaded before anything is counted.
  for (const i of [0, 1]) expect((await ask(i, 'ETH/USDT')).statusCode).toBe(200);
  for (let round = 0; round < 3; round++) {
    sandbox.control.resetLog();
    slowFrom = slowAt = now();
    const answers = await Promise.all(Array.from({ length: 1_000 }, (_, i) => ask(i, 'BTC/USDT')));
    expect(answers.every(({ statusCode }) => statusCode === 200)).toBe(true);
    expect(new Set(answers.map(({ headers }) => headers.etag)).size).toBe(1);
    expect(sandbox.control.requestLog().filter(({ kind }) => kind === 'ticker').length).toBe(1);
    slowFrom = Infinity;
    ahead += 60_001;
  }
}, 120_000);
