/** Who is alive in a cluster over a real Redis, and what is told of Redis itself. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createMembership, type Membership } from '../../../src/cluster/membership.js';
import { steadyNow } from '../../../src/lib/steady-clock.js';
import { recordingLog } from '../../support/recording-log.js';
import { startTestApp } from '../../support/app.js';
import { startRedis, type RedisServer } from '../../support/redis-server.js';

const PATIENT = { timeout: 20_000, interval: 20 };

let redis: RedisServer;
let log: ReturnType<typeof recordingLog>;
let members: Membership[];

interface Place {
  readonly namespace: string;
  readonly sandbox: boolean;
  readonly leaseMs: number | undefined;
}

const join = (
  serverId: string,
  { namespace = 'default', sandbox = true, leaseMs }: Partial<Place> = {},
): Membership => {
  const member = createMembership({
    settings: { url: redis.url, namespace, serverId, egress: 'direct', sandbox },
    ...{ limit: 100, topics: () => ({ owned: 2, followed: 1 }), log, now: Date.now, monotonic: steadyNow },
    leaseMs,
  });
  member.start();
  members.push(member);
  return member;
};
const idsSeenBy = (member: Membership): string[] => member.servers.map(({ id }) => id).sort();

beforeEach(async () => {
  redis = await startRedis();
  log = recordingLog();
  members = [];
});
afterEach(async () => {
  await Promise.all(members.map((member) => member.close()));
  await redis.stop();
});

test('servers see each other come and go, those of another namespace never', async () => {
  const [a, b] = [join('a'), join('b')];
  const stranger = join('c', { namespace: 'elsewhere' });
  await expect
    .poll(() => [idsSeenBy(a), idsSeenBy(b)], PATIENT)
    .toEqual([
      ['a', 'b'],
      ['a', 'b'],
    ]);
  await expect.poll(() => stranger.health.state, PATIENT).toBe('ok');
  expect(idsSeenBy(stranger)).toEqual(['c']);
  expect(a.servers[1]).toMatchObject({ id: 'b', owned: 2, followed: 1 });
  await b.close();
  await expect.poll(() => idsSeenBy(a), PATIENT).toEqual(['a']);
});

test('a server is alive to the others for as long as its lease is valid', async () => {
  for (const [serverId, leaseMs, lasts] of [
    ['a', undefined, 1_200],
    ['b', 4_000, 4_000],
  ] as const) {
    const member = join(serverId, { namespace: serverId, leaseMs });
    await expect.poll(() => member.health.state, PATIENT).toBe('ok');
    const key = `{mcds:${serverId}}:1:sandbox:servers`;
    const left = async (): Promise<number> =>
      Number((await redis.command('ZSCORE', key, serverId)).split('\r\n')[1]) - Date.now();
    // By the same clock. A beat comes every 300 ms, or later on a busy machine.
    expect(await left()).toBeLessThanOrEqual(lasts);
    await expect.poll(left, PATIENT).toBeGreaterThan(lasts - 1_000);
  }
});

test('servers with other venues share nothing, and say so once', async () => {
  const simulated = join('a');
  const real = join('b', { sandbox: false });
  const said = () => log.lines.filter(({ message }) => message.includes('nothing is shared with them'));
  await expect.poll(() => said().length, PATIENT).toBe(2);
  expect([idsSeenBy(simulated), idsSeenBy(real)]).toEqual([['a'], ['b']]);
});

test('a Redis that goes away leaves each alone, until it is back', async () => {
  const [a, b] = [join('a'), join('b')];
  await expect.poll(() => [idsSeenBy(a).length, idsSeenBy(b).length], PATIENT).toEqual([2, 2]);
  await redis.kill();
  await expect.poll(() => a.health.state, PATIENT).toBe('unshared');
  expect(idsSeenBy(a)).toEqual(['a']);
  expect(a.stats.missed).toBeGreaterThan(0);
  await redis.restart();
  await expect.poll(() => a.health.state, PATIENT).toBe('ok');
  await expect.poll(() => idsSeenBy(a), PATIENT).toEqual(['a', 'b']);
});

test('a Redis that may evict what is shared is warned of by the name of its setting', async () => {
  await redis.command('CONFIG', 'SET', 'maxmemory-policy', 'allkeys-lru');
  const a = join('a');
  await expect.poll(() => a.health.state, PATIENT).toBe('degraded');
  expect(a.health.detail).toContain('maxmemory-policy');
  const warned = log.lines.filter(({ message }) => message.includes('maxmemory-policy'));
  expect(warned).toHaveLength(1);
});

test('readiness, status and metrics tell of the cluster', async () => {
  const env = { REDIS_ENABLED: 'true', BUS: 'auto', REDIS_URL: redis.url, SANDBOX: 'true', SERVER_ID: 'one' };
  const { app } = await startTestApp(env, { now: Date.now, monotonic: steadyNow });
  try {
    await app.listen({ port: 0, host: '127.0.0.1' });
    const other = join('two');
    await expect.poll(() => other.health.state, PATIENT).toBe('ok');
    const ready = async () =>
      (await app.inject({ url: '/v1/health/ready' })).json<{ checks: object }>().checks;
    await expect.poll(ready, PATIENT).toMatchObject({
      bus: { state: 'ok', server_id: 'one', servers: 2, owned: 0, followed: 0 },
    });
    const status = (await app.inject({ url: '/v1/status' })).json<{ cluster: object }>();
    expect(status.cluster).toMatchObject({
      ...{ server_id: 'one', state: 'ok', owned: [], followed: [] },
      servers: [{ id: 'one' }, { id: 'two', owned: 2, followed: 1 }],
    });
    const metrics = (await app.inject({ url: '/metrics' })).body;
    expect(metrics).toMatch(/^crypto_data_bus_up 1$/m);
    expect(metrics).toMatch(/^crypto_data_bus_servers 2$/m);
    expect(metrics).toMatch(/^crypto_data_bus_beats_total\{outcome="answered"\} [1-9]/m);
  } finally {
    await app.close();
  }
});

test('a server that acts alone says so', async () => {
  const { app } = await startTestApp();
  const { checks } = (await app.inject({ url: '/v1/health/ready' })).json<{ checks: object }>();
  expect(checks).toMatchObject({ bus: { state: 'disabled', server_id: null, servers: 1 } });
  expect((await app.inject({ url: '/v1/status' })).json()).toMatchObject({ cluster: null });
  expect((await app.inject({ url: '/metrics' })).body).not.toContain('crypto_data_bus_');
  await app.close();
});
