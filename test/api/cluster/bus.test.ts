/** The bus's contract over its drivers, and what Redis alone can do to it. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Bus } from '../../../src/cluster/bus.js';
import { createRedisBus } from '../../../src/cluster/redis-bus.js';
import { steadyNow } from '../../../src/lib/steady-clock.js';
import { silentLog } from '../../../src/log/log.js';
import { MemoryCluster, type MemoryServer } from '../../support/memory-bus.js';
import { startRedis, type RedisServer } from '../../support/redis-server.js';
import { startTcpProxy, type TcpProxy } from '../../support/tcp-proxy.js';
import { busContract } from './bus.contract.js';

const PATIENT = { timeout: 20_000, interval: 10 };

let redis: RedisServer;
beforeAll(async () => {
  redis = await startRedis();
});
afterAll(async () => {
  await Promise.all([...ways.values()].map((proxy) => proxy.close()));
  await redis.stop();
});

const joinRedis = async (serverId: string, port = redis.port): Promise<Bus> => {
  const bus = createRedisBus({
    settings: {
      ...{ url: `redis://127.0.0.1:${port}/0`, namespace: 'default', serverId, egress: 'direct' },
      sandbox: true,
    },
    ...{ limit: 100, topics: () => ({ owned: 0, followed: 0 }), log: silentLog },
    ...{ now: Date.now, monotonic: steadyNow },
  });
  bus.start();
  await expect.poll(() => bus.isIn, PATIENT).toBe(true);
  return bus;
};

/** Of each server, the way to Redis that a test can cut. */
const ways = new Map<Bus, TcpProxy>();
busContract('redis', {
  async join(serverId) {
    const proxy = await startTcpProxy(redis.port);
    const bus = await joinRedis(serverId, proxy.port);
    ways.set(bus, proxy);
    return bus;
  },
  // It cannot take its leave: it falls silent, and its lease ends.
  async kill(bus) {
    await ways.get(bus)?.close();
    ways.delete(bus);
  },
});

const cluster = new MemoryCluster();
busContract('memory', {
  join: (serverId) => Promise.resolve(cluster.join(serverId)),
  kill(bus) {
    (bus as MemoryServer).die();
    return Promise.resolve();
  },
});

test('a subscription that has died without a word is replaced, and its topics are joined again', async () => {
  const proxy = await startTcpProxy(redis.port);
  const bus = await joinRedis('deaf', proxy.port);
  try {
    let joined = 0;
    bus.subscribe('topic', {
      heard: () => undefined,
      owned: () => undefined,
      joined: () => (joined += 1),
    });
    await expect.poll(() => joined, PATIENT).toBe(1);
    // What Redis sends to subscribers vanishes; other answers come.
    proxy.tamper = (chunk) => (chunk.includes('message') ? Buffer.alloc(0) : chunk);
    await expect.poll(() => bus.stats.subscriberReplaced, PATIENT).toBeGreaterThan(0);
    proxy.tamper = null;
    await expect.poll(() => joined, PATIENT).toBeGreaterThan(1);
    expect(bus.isIn).toBe(true);
  } finally {
    await bus.close();
    await proxy.close();
  }
});

test('fences go on rising where Redis was emptied, and the owner before has none any more', async () => {
  const bus = await joinRedis('emptied');
  try {
    const before = await bus.claim('topic of an emptied Redis');
    await redis.command('FLUSHALL');
    const fence = before.granted ? before.fence : 0;
    expect(await bus.tell('topic of an emptied Redis', fence, { text: '' })).toBeNull();
    const after = await bus.claim('topic of an emptied Redis');
    expect(after).toMatchObject({ granted: true, top: null, fences: [] });
    expect(after.granted ? after.fence : 0).toBeGreaterThan(fence);
  } finally {
    await bus.close();
  }
});
