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

const joinRedis = async (serverId: string, port = redis.port, leaseMs?: number): Promise<Bus> => {
  const bus = createRedisBus({
    settings: {
      ...{ url: `redis://127.0.0.1:${port}/0`, namespace: 'default', serverId, egress: 'direct' },
      sandbox: true,
    },
    ...{ limit: 100, topics: () => ({ owned: 0, followed: 0 }), log: silentLog },
    ...{ now: Date.now, monotonic: steadyNow, leaseMs },
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

test('a subscription is not replaced for what this process did not read while it stood still', async () => {
  // Longer than it stands still: else it takes itself for dead.
  const bus = await joinRedis('still', redis.port, 4_000);
  try {
    const { beats } = bus.stats;
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1_500);
    await expect.poll(() => bus.stats.beats, PATIENT).toBeGreaterThan(beats + 3);
    expect(bus.stats.subscriberReplaced).toBe(0);
  } finally {
    await bus.close();
  }
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

test('what could not be given back while Redis was away is given back when it answers again', async () => {
  const proxy = await startTcpProxy(redis.port);
  const [cut, other] = [await joinRedis('cut', proxy.port), await joinRedis('other')];
  try {
    const held = await cut.claim('topic that is let go');
    proxy.isCut = true;
    await expect(cut.release('topic that is let go', held.granted ? held.fence : 0)).rejects.toThrow();
    proxy.isCut = false;
    const isGranted = async (): Promise<boolean> => (await other.claim('topic that is let go')).granted;
    await expect.poll(isGranted, PATIENT).toBe(true);
  } finally {
    await Promise.all([cut.close(), other.close()]);
    await proxy.close();
  }
});

test('what Redis granted too late is given back once nobody here listens to it, unless it is claimed again', async () => {
  const proxy = await startTcpProxy(redis.port);
  const [late, other] = [await joinRedis('late', proxy.port), await joinRedis('other than late')];
  const topics = ['left', 'listened to', 'claimed again'];
  try {
    const end = late.subscribe('listened to', {
      ...{ heard: () => undefined, owned: () => undefined, joined: () => undefined },
    });
    proxy.delayMs = 800;
    await Promise.all(topics.map((topic) => expect(late.claim(topic)).rejects.toThrow()));
    proxy.delayMs = 0;
    const claimAgain = () => late.claim('claimed again').catch(() => null);
    await expect.poll(claimAgain, PATIENT).toMatchObject({ granted: true });
    await expect.poll(() => other.claim('left'), PATIENT).toMatchObject({ granted: true });
    const refused = { granted: false, owner: { server: 'late' } };
    expect(await other.claim('listened to')).toMatchObject(refused);
    expect(await other.claim('claimed again')).toMatchObject(refused);
    end();
    await expect.poll(() => other.claim('listened to'), PATIENT).toMatchObject({ granted: true });
    expect(await other.claim('claimed again')).toMatchObject(refused);
  } finally {
    await Promise.all([late.close(), other.close()]);
    await proxy.close();
  }
});

test('fences go on rising where Redis was emptied, and the owner before has none any more', async () => {
  const bus = await joinRedis('emptied');
  try {
    // More than one in a millisecond: the last fence is ahead of Redis' clock.
    await Promise.all(Array.from({ length: 50 }, (_, topic) => bus.claim(`topic ${topic}`)));
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

test('claims of very many topics at once, as after a death, are all answered, and so are their histories', async () => {
  const bus = await joinRedis('many');
  try {
    const topics = Array.from({ length: 12_000 }, (_each, at) => `ticker many ${at}`);
    const claims = await Promise.all(topics.map((topic) => bus.claim(topic)));
    expect(claims.filter(({ granted }) => granted)).toHaveLength(topics.length);
    const kept = await Promise.all(topics.map((topic) => bus.history(topic)));
    expect(kept.flat()).toEqual([]);
  } finally {
    await bus.close();
    await redis.command('FLUSHALL');
  }
});
