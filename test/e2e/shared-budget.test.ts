/** Two servers as processes, one Redis and one sandbox: what the exchange sees of their budget. */
import { afterEach, expect, test, vi } from 'vitest';
import { startSandbox } from '../../src/sandbox/sandbox.js';
import { startRedis } from '../support/redis-server.js';
import { startServer } from './streams-rig.js';

const LIMIT = 10;
const WINDOW_MS = 2_500;
/** What a busy machine may need from the gate to the exchange, for one request more than for another. */
const BUSY_MS = 1_000;
const PATIENT = { timeout: 60_000, interval: 50 };

const closers: (() => Promise<unknown>)[] = [];
const owned = <T extends { close(): Promise<unknown> }>(thing: T): T => {
  closers.push(() => thing.close());
  return thing;
};
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

test('stay within the limit in every window of the exchange, with Redis, without it, and when it is back', async () => {
  const redis = await startRedis();
  closers.push(() => redis.stop());
  const sandbox = owned(await startSandbox({ ticksPerSecond: 0 }));
  const env = {
    ...{ SANDBOX: sandbox.url, REDIS_ENABLED: 'true', REDIS_URL: redis.url },
    ...{ RATE_LIMIT_REQUESTS: String(LIMIT), RATE_LIMIT_WINDOW: String(WINDOW_MS / 1_000) },
    ...{ TRADES_CACHE_TTL: '0.1', CLIENT_RATE_LIMIT_REQUESTS: '0' },
  };
  const servers = await Promise.all([startServer(env), startServer(env)]);
  for (const server of servers) owned(server);
  const busStates = () =>
    Promise.all(
      servers.map(async ({ url }) => {
        const { checks } = (await (await fetch(`${url}/v1/health/ready`)).json()) as {
          checks: { bus: { state: string; servers?: number } };
        };
        return [checks.bus.state, checks.bus.servers];
      }),
    );
  await vi.waitFor(
    async () =>
      expect(await busStates()).toEqual([
        ['ok', 2],
        ['ok', 2],
      ]),
    PATIENT,
  );

  let goesOn = true;
  const refusals = new Set<string>();
  const clients = servers.flatMap(({ url }) =>
    ['BTC/USDT', 'ETH/USDT', 'SOL/USDT'].map(async (symbol) => {
      while (goesOn) {
        const query = `exchange=binance&symbol=${symbol}`;
        const response = await fetch(`${url}/v1/markets/trades?${query}`);
        const body = (await response.json()) as { code?: string };
        if (response.status !== 200) refusals.add(body.code ?? String(response.status));
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }),
  );
  // Market lists have a reserve of their own.
  const times = () =>
    sandbox.control
      .requestLog()
      .filter(({ kind }) => kind === 'trades')
      .map(({ time }) => time);
  const untilMore = async (count: number): Promise<void> => {
    const before = times().length;
    await vi.waitFor(() => expect(times().length).toBeGreaterThan(before + count), PATIENT);
  };
  await untilMore(2 * LIMIT);
  await redis.kill();
  await vi.waitFor(
    async () => expect((await busStates()).flat()).toEqual(['unshared', 1, 'unshared', 1]),
    PATIENT,
  );
  await untilMore(2 * LIMIT);
  await redis.restart();
  await vi.waitFor(async () => expect((await busStates()).flat()).toEqual(['ok', 2, 'ok', 2]), PATIENT);
  await untilMore(2 * LIMIT);
  goesOn = false;
  await Promise.all(clients);

  const all = times();
  const fullest = Math.max(
    ...all.map((from) => all.filter((at) => at >= from && at < from + WINDOW_MS - BUSY_MS).length),
  );
  expect(fullest).toBeGreaterThan(LIMIT / 2);
  expect(fullest).toBeLessThanOrEqual(LIMIT);
  // Nothing fails because of Redis.
  expect([...refusals].filter((code) => code !== 'upstream_budget_exhausted')).toEqual([]);
}, 180_000);
