/** Four servers of one cluster that ask an exchange as fast as they may: what it sees, with Redis and without it, and after a 429. */
import { expect, onTestFinished, test } from 'vitest';
import type { LoggedRequest } from '../../src/sandbox/request-log.js';
import { Fleet, fullestWindow, type FleetServer } from '../support/server-fleet.js';

const SERVERS = 4;
const PATIENT = { timeout: 120_000, interval: 50 };
const SYMBOLS = ['BTC/USDT', 'ETH/USDT', 'SOL/USDT', 'XRP/USDT'];
/** CCXT's own spacing would be the limit, were it as the venue asks. */
const QUICK = {
  EXCHANGE_OPTIONS: '{"binance":{"rateLimit":5}}',
  TRADES_CACHE_TTL: '0.1',
  CLIENT_RATE_LIMIT_REQUESTS: '0',
};

const startAsking = async (env: Record<string, string>) => {
  const fleet = await Fleet.start({ ticksPerSecond: 0 });
  onTestFinished(() => fleet.close());
  const servers: FleetServer[] = [];
  for (let i = 0; i < SERVERS; i += 1) servers.push(await fleet.server({ ...QUICK, ...env }));
  const states = async (): Promise<string[]> =>
    (await Promise.all(servers.map((server) => server.bus()))).map(({ state }) => state);
  await expect.poll(states, PATIENT).toEqual(servers.map(() => 'ok'));
  let goesOn = true;
  const refusals = new Set<string>();
  const asking = servers.flatMap(({ url }, server) =>
    SYMBOLS.map(async (symbol, place) => {
      // Answers of other servers are found in Redis, but for what differs.
      for (let limit = 1; goesOn; limit = (limit % 400) + 1) {
        const query = `exchange=binance&symbol=${symbol}&limit=${100 * (server + 1) + ((limit + place) % 100)}`;
        const response = await fetch(`${url}/v1/markets/trades?${query}`);
        const body = (await response.json()) as { code?: string };
        if (response.status !== 200) refusals.add(body.code ?? String(response.status));
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }),
  );
  /** Market lists have a reserve of their own. */
  const requests = (): LoggedRequest[] =>
    fleet.sandbox.control.requestLog().filter(({ kind }) => kind === 'trades');
  const untilMore = async (count: number): Promise<void> => {
    const before = requests().length;
    await expect.poll(() => requests().length, PATIENT).toBeGreaterThan(before + count);
  };
  const stop = async (): Promise<void> => {
    goesOn = false;
    await Promise.all(asking);
  };
  return { fleet, servers, states, requests, untilMore, stop, refusals };
};

test('together they stay within the limit in every window, while Redis is there, away, and back', async () => {
  const [limit, windowMs] = [40, 4_000];
  /** What a busy machine may need from the gate to the exchange, for one request more than for another. */
  const busyMs = 400;
  const { fleet, states, requests, untilMore, stop, refusals } = await startAsking({
    ...{ RATE_LIMIT_REQUESTS: String(limit), RATE_LIMIT_WINDOW: String(windowMs / 1_000) },
  });
  await untilMore(2 * limit);
  await fleet.redis.kill();
  await expect.poll(async () => new Set(await states()), PATIENT).toEqual(new Set(['unshared']));
  const awayFrom = requests().length;
  await untilMore(2 * limit);
  const whileAway = requests().length - awayFrom;
  await fleet.redis.restart();
  await expect.poll(async () => new Set(await states()), PATIENT).toEqual(new Set(['ok']));
  await untilMore(2 * limit);
  await stop();
  const times = requests().map(({ time }) => time);
  const fullest = fullestWindow(times, windowMs - busyMs);
  console.info(
    `${times.length} requests, ${whileAway} while Redis was away; fullest window ${fullest} of ${limit}`,
  );
  expect(fullest).toBeGreaterThan(limit / 2);
  expect(fullest).toBeLessThanOrEqual(limit);
  // Nothing fails because of Redis.
  expect([...refusals].filter((code) => code !== 'upstream_budget_exhausted')).toEqual([]);
});

test('a 429 of the exchange to one of them stops all', async () => {
  const [stopMs, slow, retryAfter] = [100, 10, 5];
  const { fleet, requests, untilMore, stop } = await startAsking({
    RATE_LIMIT_REQUESTS: '20000',
    MAX_RETRIES: '0',
  });
  const latest: number[] = [];
  for (let round = 0; round < 5; round += 1) {
    await untilMore(50);
    const { control } = fleet.sandbox;
    control.setFault({ match: 'trades', fault: { type: 'status', status: 429, retryAfter }, times: 1 });
    const refused = () => requests().findLast(({ status }) => status === 429);
    const seen = requests().filter(({ status }) => status === 429).length;
    await expect
      .poll(() => requests().filter(({ status }) => status === 429).length, PATIENT)
      .toBeGreaterThan(seen);
    const at = refused()!.time;
    await expect.poll(() => Date.now() - at, PATIENT).toBeGreaterThan(retryAfter * 1_000 - 500);
    const after = requests().filter(({ time }) => time > at && time < at + retryAfter * 1_000 - 500);
    latest.push(Math.max(0, ...after.map(({ time }) => time - at)));
    await untilMore(10);
  }
  await stop();
  console.info(`the last request after a 429, ms: ${latest.join(', ')}`);
  expect(Math.max(...latest)).toBeLessThan(slow * stopMs);
});
