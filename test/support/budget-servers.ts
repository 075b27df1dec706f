/** Gates of several servers in this process over one real Redis, and when their requests left. */
import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, expect } from 'vitest';
import type { BudgetTimes } from '../../src/cluster/budget-times.js';
import { createMembership, type Membership } from '../../src/cluster/membership.js';
import { createRedisBudget, type RedisBudget } from '../../src/cluster/redis-budget.js';
import { AppError } from '../../src/errors.js';
import { createUpstreamGate } from '../../src/exchanges/rate-limit/exchange-gate.js';
import type { AdmitRequest, UpstreamGate } from '../../src/exchanges/rate-limit/upstream-gate.js';
import { steadyNow } from '../../src/lib/steady-clock.js';
import { silentLog } from '../../src/log/log.js';
import { startRedis, type RedisServer } from './redis-server.js';

export const PATIENT = { timeout: 30_000, interval: 10 };
export const EXCHANGE = 'binance';

/**
 * A busy machine stops this process, with all servers in it, for longer than servers by themselves wait for an answer or a
 * heartbeat.
 */
export const BUSY_TIMES: BudgetTimes = {
  ...{ deadlineMs: 500, lateMs: 1_000, heartbeatMs: 60, lapseMs: 2_000, aloneAfterMs: 2_600 },
  // Servers synchronize four times a second.
  settleMs: 1_500,
};
/** Of tests in which servers have to notice that Redis is gone. */
export const OUTAGE_TIMES: BudgetTimes = {
  ...{ deadlineMs: 250, lateMs: 500, heartbeatMs: 60, lapseMs: 700, aloneAfterMs: 1_000, settleMs: 1_500 },
};

export interface TestServer {
  readonly gate: UpstreamGate;
  readonly shared: RedisBudget;
  readonly membership: Membership;
}

/** Of the test that runs. */
export const rig = {
  redis: undefined as unknown as RedisServer,
  servers: [] as TestServer[],
  /** When each request left, by one clock: all servers are in this process. */
  departures: [] as number[],
};

export const startServer = async (
  requests: number,
  windowMs: number,
  {
    egress = 'direct',
    id = randomUUID().replaceAll('-', '').slice(0, 12),
    url = rig.redis.url,
    now = steadyNow,
    times = BUSY_TIMES,
  } = {},
): Promise<TestServer> => {
  const settings = { url, namespace: 'default', serverId: id, egress, sandbox: true };
  const budget = { requests, windowMs };
  const shared = createRedisBudget({ settings, exchanges: [EXCHANGE], budget, log: silentLog, now, times });
  const gate = createUpstreamGate({ budget, now: steadyNow, wall: Date.now, shared });
  const membership = createMembership({
    ...{ settings, limit: requests, topics: () => ({ owned: 0, followed: 0 }), log: silentLog },
    ...{ now: Date.now, monotonic: steadyNow },
  });
  membership.start();
  gate.state(EXCHANGE);
  const server = { gate, shared, membership };
  rig.servers.push(server);
  await expect.poll(() => shared.isShared, PATIENT).toBe(true);
  await expect.poll(() => membership.health.state, PATIENT).toBe('ok');
  return server;
};
export const startServers = async (
  count: number,
  { requests, windowMs, times = BUSY_TIMES }: { requests: number; windowMs: number; times?: BudgetTimes },
): Promise<TestServer[]> => {
  for (let i = 0; i < count; i++) await startServer(requests, windowMs, { times });
  await expect
    .poll(() => rig.servers.map(({ membership }) => membership.servers.length), PATIENT)
    .toEqual(rig.servers.map(() => count));
  return rig.servers;
};

const request = (ms: number, rest: Partial<AdmitRequest> = {}): AdmitRequest => ({
  ...{ exchange: EXCHANGE, kind: 'data', priority: 'caller', deadline: steadyNow() + ms },
  ...rest,
});
/** null: it left; else why not. */
export const send = async ({ gate }: TestServer, ms: number, rest: Partial<AdmitRequest> = {}) => {
  try {
    await gate.admit(request(ms, rest));
    rig.departures.push(steadyNow());
    return null;
  } catch (thrown) {
    return AppError.from(thrown).code;
  }
};
export const sendMany = (server: TestServer, count: number, ms: number) =>
  Promise.all(Array.from({ length: count }, () => send(server, ms)));
export const leftOf = (codes: readonly (string | null)[]): number =>
  codes.filter((code) => code === null).length;

/** The fullest window there was. */
export const fullest = (windowMs: number): number => {
  const times = [...rig.departures].sort((a, b) => a - b);
  return Math.max(0, ...times.map((from) => times.filter((at) => at >= from && at < from + windowMs).length));
};
/** Each sends until `enough`, its requests refused or not; at most so many wait at once. */
export const sendWhile = async (goOn: () => boolean, ms: number): Promise<void> => {
  await Promise.all(
    rig.servers.flatMap((server) =>
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

/** A Redis for each test, and no server or connection after it. */
export const useBudgetServers = (): void => {
  beforeEach(async () => {
    rig.redis = await startRedis();
    rig.servers = [];
    rig.departures = [];
  });
  afterEach(async () => {
    await rig.redis.stop();
    await Promise.all(
      rig.servers.map(async ({ gate, shared, membership }) => {
        gate.close();
        await Promise.all([shared.close(), membership.close()]);
      }),
    );
  });
};
