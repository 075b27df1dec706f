/** Gates of several servers over one real Redis: together they keep to one budget, whatever happens to Redis. */
import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createMembership, type Membership } from '../../../src/cluster/membership.js';
import { createRedisBudget, type RedisBudget } from '../../../src/cluster/redis-budget.js';
import { AppError } from '../../../src/errors.js';
import { createUpstreamGate } from '../../../src/exchanges/rate-limit/exchange-gate.js';
import type { AdmitRequest, UpstreamGate } from '../../../src/exchanges/rate-limit/upstream-gate.js';
import { steadyNow } from '../../../src/lib/steady-clock.js';
import { silentLog } from '../../../src/log/log.js';
import { startRedis, type RedisServer } from '../../support/redis-server.js';
import { startTcpProxy } from '../../support/tcp-proxy.js';

const PATIENT = { timeout: 30_000, interval: 10 };
const EXCHANGE = 'binance';

interface TestServer {
  readonly gate: UpstreamGate;
  readonly shared: RedisBudget;
  readonly membership: Membership;
}

let redis: RedisServer;
let servers: TestServer[];
/** When each request left, by one clock: all servers are in this process. */
let departures: number[];

const startServer = async (
  requests: number,
  windowMs: number,
  {
    egress = 'direct',
    id = randomUUID().replaceAll('-', '').slice(0, 12),
    url = redis.url,
    now = steadyNow,
  } = {},
): Promise<TestServer> => {
  const settings = { url, namespace: 'default', serverId: id, egress, sandbox: true };
  const budget = { requests, windowMs };
  const shared = createRedisBudget({ settings, exchanges: [EXCHANGE], budget, log: silentLog, now });
  const gate = createUpstreamGate({ budget, now: steadyNow, wall: Date.now, shared });
  const membership = createMembership({
    ...{ settings, limit: requests, topics: () => ({ owned: 0, followed: 0 }), log: silentLog },
    ...{ now: Date.now, monotonic: steadyNow },
  });
  membership.start();
  gate.state(EXCHANGE);
  const server = { gate, shared, membership };
  servers.push(server);
  await expect.poll(() => shared.isShared, PATIENT).toBe(true);
  await expect.poll(() => membership.health.state, PATIENT).toBe('ok');
  return server;
};
const startServers = async (count: number, requests: number, windowMs: number): Promise<TestServer[]> => {
  for (let i = 0; i < count; i++) await startServer(requests, windowMs);
  await expect
    .poll(() => servers.map(({ membership }) => membership.servers.length), PATIENT)
    .toEqual(servers.map(() => count));
  return servers;
};

const request = (ms: number, rest: Partial<AdmitRequest> = {}): AdmitRequest => ({
  ...{ exchange: EXCHANGE, kind: 'data', priority: 'caller', deadline: steadyNow() + ms },
  ...rest,
});
/** null: it left; else why not. */
const send = async ({ gate }: TestServer, ms: number, rest: Partial<AdmitRequest> = {}) => {
  try {
    await gate.admit(request(ms, rest));
    departures.push(steadyNow());
    return null;
  } catch (thrown) {
    return AppError.from(thrown).code;
  }
};
const sendMany = (server: TestServer, count: number, ms: number) =>
  Promise.all(Array.from({ length: count }, () => send(server, ms)));
const leftOf = (codes: readonly (string | null)[]): number => codes.filter((code) => code === null).length;

/** The fullest window there was. */
const fullest = (windowMs: number): number => {
  const times = [...departures].sort((a, b) => a - b);
  return Math.max(0, ...times.map((from) => times.filter((at) => at >= from && at < from + windowMs).length));
};
/** Each sends until `enough`, its requests refused or not; at most so many wait at once. */
const sendWhile = async (goOn: () => boolean, ms: number): Promise<void> => {
  await Promise.all(
    servers.flatMap((server) =>
      Array.from({ length: 5 }, async () => {
        while (goOn()) {
          const code = await send(server, ms);
          // Refused at once: the event loop is let go on.
          if (code !== null) await new Promise((resolve) => setTimeout(resolve, 5));
        }
      }),
    ),
  );
};

beforeEach(async () => {
  redis = await startRedis();
  servers = [];
  departures = [];
});
afterEach(async () => {
  await redis.stop();
  await Promise.all(
    servers.map(async ({ gate, shared, membership }) => {
      gate.close();
      await Promise.all([shared.close(), membership.close()]);
    }),
  );
});

describe('two servers', () => {
  test('never send more than the limit in any rolling window, and use it up', async () => {
    const [limit, windowMs] = [20, 1_000];
    await startServers(2, limit, windowMs);
    await sendWhile(() => departures.length < 5 * limit, 2_000);
    expect(fullest(windowMs)).toBeLessThanOrEqual(limit);
    // A slot whose answer came too late is not used.
    expect(fullest(windowMs)).toBeGreaterThan(limit * 0.8);
  });

  test('keep apart where they leave by different addresses', async () => {
    const one = await startServer(5, 60_000, { egress: 'one' });
    const two = await startServer(5, 60_000, { egress: 'two' });
    expect(leftOf(await sendMany(one, 8, 2_000))).toBe(5);
    expect(leftOf(await sendMany(two, 8, 2_000))).toBe(5);
  });

  test('keep to the lowest of their limits', async () => {
    const low = await startServer(4, 60_000);
    const high = await startServer(50, 60_000);
    await expect.poll(() => high.membership.servers.length, PATIENT).toBe(2);
    expect(leftOf(await sendMany(high, 10, 2_000))).toBe(4);
    expect(leftOf(await sendMany(low, 3, 2_000))).toBe(0);
    expect(low.gate.state(EXCHANGE).budget.remaining).toBe(0);
  });

  test('keep polls to half of it together, and have one reserve for market lists', async () => {
    const [one, two] = (await startServers(2, 10, 60_000)) as [TestServer, TestServer];
    const polls = await Promise.all(
      [one, two, one, two, one, two, one, two].map((server) => send(server, 2_000, { priority: 'poll' })),
    );
    expect(leftOf(polls)).toBe(5);
    expect(leftOf(await sendMany(two, 10, 2_000))).toBe(5);
    const lists = await Promise.all(
      [one, two, one, two, one, two].map((server) => send(server, 2_000, { kind: 'markets' })),
    );
    expect(leftOf(lists)).toBe(4);
  });

  test('space their requests together as the venue’s pace asks', async () => {
    const [one, two] = (await startServers(2, 1_000, 60_000)) as [TestServer, TestServer];
    const pace = { weight: 1, unitMs: 40 };
    await Promise.all(
      [one, two, one, two, one, two, one, two, one, two].map((server) => send(server, 5_000, { pace })),
    );
    expect(departures).toHaveLength(10);
    // The bucket holds one request beside the one that leaves: eight waits.
    expect(Math.max(...departures) - Math.min(...departures)).toBeGreaterThanOrEqual(8 * 40 - 5);
  });

  test('book all requests of a call or none, give back what was not used', async () => {
    const [one, two] = (await startServers(2, 10, 60_000)) as [TestServer, TestServer];
    const ask = { exchange: EXCHANGE, priority: 'caller', requests: 8 } as const;
    const booking = await one.gate.book({ ...ask, deadline: steadyNow() + 5_000 });
    if (!('release' in booking)) throw new Error('not booked');
    await expect(two.gate.book({ ...ask, deadline: steadyNow() + 5_000 })).rejects.toMatchObject({
      code: 'upstream_budget_exhausted',
    });
    expect(leftOf(await sendMany(two, 5, 2_000))).toBe(2);
    for (let i = 0; i < 6; i++) expect(await send(one, 1_000, { booking })).toBeNull();
    booking.release();
    await expect.poll(() => send(two, 2_000), PATIENT).toBeNull();
    await expect.poll(() => send(two, 2_000), PATIENT).toBeNull();
    expect(await send(two, 2_000)).toBe('upstream_budget_exhausted');
    expect(departures).toHaveLength(10);
  });

  test('a refusal by the venue on one stops the other, who waits and who comes', async () => {
    const [one, two] = (await startServers(2, 3, 60_000)) as [TestServer, TestServer];
    await sendMany(one, 3, 2_000);
    const waits = send(two, 65_000);
    await expect.poll(() => two.gate.state(EXCHANGE).waiting, PATIENT).toBe(1);
    const at = steadyNow();
    one.gate.report(EXCHANGE, {
      ...{ status: 429, headers: { 'retry-after': '30' }, bodyThrottled: false, reason: 'slow down' },
    });
    expect(await waits).toBe('upstream_rate_limited');
    expect(steadyNow() - at).toBeLessThan(100);
    expect(await send(two, 1_000)).toBe('upstream_rate_limited');
    expect(two.gate.state(EXCHANGE)).toMatchObject({
      coolDownStatus: 429,
      coolDownReason: 'slow down',
      refusals: 1,
    });
    const late = await startServer(3, 60_000);
    expect(await send(late, 1_000)).toBe('upstream_rate_limited');
  });
});

describe('whatever happens to Redis', () => {
  const [limit, windowMs] = [20, 1_000];

  test('paused: each keeps to its part within the same limit, and they share again', async () => {
    await startServers(2, limit, windowMs);
    await sendWhile(() => departures.length < 2 * limit, 2_000);
    redis.pause();
    const before = departures.length;
    await sendWhile(() => departures.length < before + 3 * limit, 2_000);
    expect(servers.map(({ shared }) => shared.isShared)).toEqual([false, false]);
    redis.resume();
    await sendWhile(() => !servers.every(({ shared }) => shared.isShared), 2_000);
    const after = departures.length;
    await sendWhile(() => departures.length < after + 3 * limit, 2_000);
    expect(fullest(windowMs)).toBeLessThanOrEqual(limit);
  });

  test('killed and back without its memory: the limit holds all the same', async () => {
    await startServers(2, limit, windowMs);
    await sendWhile(() => departures.length < 2 * limit, 2_000);
    await redis.kill();
    const before = departures.length;
    await sendWhile(() => departures.length < before + 2 * limit, 2_000);
    await redis.restart();
    await sendWhile(() => !servers.every(({ shared }) => shared.isShared), 2_000);
    const after = departures.length;
    await sendWhile(() => departures.length < after + 3 * limit, 2_000);
    expect(fullest(windowMs)).toBeLessThanOrEqual(limit);
  });

  test('cut off from one server alone: it keeps to its part, which the other leaves to it', async () => {
    const proxy = await startTcpProxy(redis.port);
    const one = await startServer(limit, windowMs);
    const two = await startServer(limit, windowMs, { url: `redis://127.0.0.1:${proxy.port}` });
    await expect.poll(() => one.membership.servers.length, PATIENT).toBe(2);
    await sendWhile(() => departures.length < limit, 2_000);
    await expect.poll(() => [one.shared.servers, two.shared.servers], PATIENT).toEqual([2, 2]);
    proxy.isCut = true;
    await sendWhile(() => two.shared.isShared, 2_000);
    // What left in the moment before the other noticed is another window's.
    const cutAt = steadyNow();
    await sendWhile(() => steadyNow() < cutAt + windowMs, 2_000);
    departures = [];
    await sendWhile(() => departures.length < 3 * limit, 2_000);
    expect([one.shared.isShared, two.shared.isShared]).toEqual([true, false]);
    proxy.isCut = false;
    await sendWhile(() => !two.shared.isShared, 2_000);
    const after = departures.length;
    await sendWhile(() => departures.length < after + 2 * limit, 2_000);
    expect(fullest(windowMs)).toBeLessThanOrEqual(limit);
    await proxy.close();
  });

  test('emptied: what the servers know is counted on', async () => {
    const [one, two] = (await startServers(2, 10, 60_000)) as [TestServer, TestServer];
    expect(leftOf(await sendMany(one, 6, 2_000))).toBe(6);
    await redis.command('FLUSHALL');
    expect(leftOf(await sendMany(two, 10, 2_000))).toBe(4);
    expect(leftOf(await sendMany(one, 10, 2_000))).toBe(0);
  });

  test('answers that come too late: a request asks a few times, then leaves by its server’s own count', async () => {
    let behindMs = 0;
    let isSlow = false;
    const now = (): number => steadyNow() + (isSlow ? (behindMs += 60) : behindMs);
    const server = await startServer(limit, 60_000, { now });
    isSlow = true;
    expect(await send(server, 5_000)).toBeNull();
    isSlow = false;
    await expect.poll(() => server.shared.isShared, PATIENT).toBe(true);
    expect(await send(server, 5_000)).toBeNull();
    // Each answer that came too late has used a slot.
    expect(server.gate.state(EXCHANGE).budget.remaining).toBeGreaterThan(limit / 2);
  });

  test('full: no request fails for that', async () => {
    const [one] = (await startServers(2, 10, 60_000)) as [TestServer, TestServer];
    await redis.command('CONFIG', 'SET', 'maxmemory', '1');
    expect(leftOf(await sendMany(one, 4, 2_000))).toBe(4);
    expect(one.shared.isShared).toBe(false);
  });

  test('not there from the start: a server counts alone, and shares once it comes', async () => {
    await redis.kill();
    const settings = {
      url: redis.url,
      namespace: 'default',
      serverId: 'early',
      egress: 'direct',
      sandbox: true,
    };
    const budget = { requests: 5, windowMs: 60_000 };
    const shared = createRedisBudget({ settings, exchanges: [EXCHANGE], budget, log: silentLog });
    const gate = createUpstreamGate({ budget, now: steadyNow, shared });
    const membership = createMembership({
      ...{ settings, limit: 5, topics: () => ({ owned: 0, followed: 0 }), log: silentLog },
      ...{ now: Date.now, monotonic: steadyNow },
    });
    const early = { gate, shared, membership };
    servers.push(early);
    expect(leftOf(await sendMany(early, 3, 2_000))).toBe(3);
    await redis.restart();
    await expect.poll(() => shared.isShared, PATIENT).toBe(true);
    const late = await startServer(5, 60_000);
    expect(leftOf(await sendMany(late, 5, 2_000))).toBe(2);
  });
});
