/** Gates of several servers over one real Redis: together they keep to one budget, whatever happens to Redis. */
import { describe, expect, test } from 'vitest';
import { keyPrefix } from '../../../src/cluster/bus-settings.js';
import { createMembership } from '../../../src/cluster/membership.js';
import { createRedisBudget } from '../../../src/cluster/redis-budget.js';
import { createUpstreamGate } from '../../../src/exchanges/rate-limit/exchange-gate.js';
import { steadyNow } from '../../../src/lib/steady-clock.js';
import { silentLog } from '../../../src/log/log.js';
import {
  BUSY_TIMES,
  EXCHANGE,
  fullest,
  leftOf,
  OUTAGE_TIMES,
  PATIENT,
  rig,
  send,
  sendMany,
  sendWhile,
  startServer,
  startServers,
  type TestServer,
  useBudgetServers,
} from '../../support/budget-servers.js';
import { startTcpProxy } from '../../support/tcp-proxy.js';

useBudgetServers();

/** The key of a venue's shared count. */
const countOf = (exchange: string): string =>
  `${keyPrefix({ namespace: 'default', sandbox: true })}:budget:direct:${exchange}`;

describe('two servers', () => {
  test('never send more than the limit in any rolling window, and use it up', async () => {
    const [limit, windowMs] = [20, 1_000];
    await startServers(2, { requests: limit, windowMs });
    await sendWhile(() => rig.departures.length < 4 * limit, 4_000);
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
    const [one, two] = (await startServers(2, { requests: 10, windowMs: 60_000 })) as [
      TestServer,
      TestServer,
    ];
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

  test('send a market list out of the budget where other servers have used up the reserve', async () => {
    const way = await startTcpProxy(rig.redis.port);
    const url = `redis://127.0.0.1:${way.port}/0`;
    const gone = await startServer(40, 60_000, { url, times: OUTAGE_TIMES });
    const left = await startServer(40, 60_000, { times: OUTAGE_TIMES });
    await expect.poll(() => gone.membership.servers.length, PATIENT).toBe(2);
    for (let list = 0; list < 2; list++) expect(await send(gone, 2_000, { kind: 'markets' })).toBeNull();
    // Half of the reserve is withheld for a server that may send without asking.
    way.isCut = true;
    await expect.poll(() => gone.shared.isShared, PATIENT).toBe(false);
    const at = steadyNow();
    expect(await send(left, 20_000, { kind: 'markets' })).toBeNull();
    expect(await send(left, 20_000)).toBeNull();
    expect(steadyNow() - at).toBeLessThan(5_000);
    await way.close();
  });

  test('book all requests of a call or none, give back what was not used', async () => {
    const [one, two] = (await startServers(2, { requests: 10, windowMs: 60_000 })) as [
      TestServer,
      TestServer,
    ];
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
    expect(rig.departures).toHaveLength(10);
  });

  test('a refusal by the venue on one stops the other, who waits and who comes', async () => {
    const [one, two] = (await startServers(2, { requests: 3, windowMs: 60_000 })) as [TestServer, TestServer];
    await sendMany(one, 3, 2_000);
    const waits = send(two, 65_000);
    await expect.poll(() => two.gate.state(EXCHANGE).waiting, PATIENT).toBe(1);
    const at = steadyNow();
    one.gate.report(EXCHANGE, {
      ...{ status: 429, headers: { 'retry-after': '30' }, bodyThrottled: false, reason: 'slow down' },
    });
    expect(await waits).toBe('upstream_rate_limited');
    // Ten times what is promised, for a busy machine; the promise itself: test/slow/fleet-budget.test.ts.
    expect(steadyNow() - at).toBeLessThan(1_000);
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
    await startServers(2, { requests: limit, windowMs, times: OUTAGE_TIMES });
    await sendWhile(() => rig.departures.length < 2 * limit, 2_000);
    rig.redis.pause();
    const before = rig.departures.length;
    await sendWhile(() => rig.departures.length < before + 2 * limit, 2_000);
    expect(rig.servers.map(({ shared }) => shared.isShared)).toEqual([false, false]);
    rig.redis.resume();
    await sendWhile(() => !rig.servers.every(({ shared }) => shared.isShared), 2_000);
    const after = rig.departures.length;
    await sendWhile(() => rig.departures.length < after + 2 * limit, 2_000);
    expect(fullest(windowMs)).toBeLessThanOrEqual(limit);
  });

  test('killed and back without its memory: the limit holds all the same', async () => {
    await startServers(2, { requests: limit, windowMs, times: OUTAGE_TIMES });
    await sendWhile(() => rig.departures.length < 2 * limit, 2_000);
    await rig.redis.kill();
    const before = rig.departures.length;
    await sendWhile(() => rig.departures.length < before + 2 * limit, 2_000);
    await rig.redis.restart();
    await sendWhile(() => !rig.servers.every(({ shared }) => shared.isShared), 2_000);
    const after = rig.departures.length;
    await sendWhile(() => rig.departures.length < after + 2 * limit, 2_000);
    expect(fullest(windowMs)).toBeLessThanOrEqual(limit);
  });

  test('emptied: what the servers know is counted on', async () => {
    const [one, two] = (await startServers(2, { requests: 10, windowMs: 60_000 })) as [
      TestServer,
      TestServer,
    ];
    expect(leftOf(await sendMany(one, 6, 2_000))).toBe(6);
    await rig.redis.command('FLUSHALL');
    expect(leftOf(await sendMany(two, 10, 2_000))).toBe(4);
    expect(leftOf(await sendMany(one, 10, 2_000))).toBe(0);
  });

  test('set ahead by an hour: what has left still counts', async () => {
    let aheadMs = 0;
    const now = (): number => steadyNow() - aheadMs;
    const one = await startServer(10, 60_000, { now });
    const two = await startServer(10, 60_000, { now });
    expect(leftOf(await sendMany(one, 6, 2_000))).toBe(6);
    // By its new time all that it has counted is older than the window; to the servers it is an hour ahead.
    await rig.redis.command('HDEL', countOf(EXCHANGE), 'w');
    aheadMs = 3_600_000;
    expect(leftOf(await sendMany(two, 10, 2_000))).toBe(4);
    expect(leftOf(await sendMany(one, 10, 2_000))).toBe(0);
  });

  test('set back by an hour: the share of a server that cannot ask is withheld all the same', async () => {
    const server = await startServer(10, 60_000, { times: OUTAGE_TIMES });
    const heartbeats = `${countOf(EXCHANGE)}:asking`;
    const sinceHeartbeat = async (): Promise<number> => {
      const [, , at = '0'] =
        /^\$(\d+)\r\n(\S+)/.exec(await rig.redis.command('HGET', heartbeats, 'cut-off')) ?? [];
      return Date.now() - Number(at);
    };
    await rig.redis.command('HSET', heartbeats, 'cut-off', `${Date.now() + 3_600_000} 2`);
    expect(await sinceHeartbeat()).toBeLessThan(0);
    await expect.poll(sinceHeartbeat, PATIENT).toBeGreaterThan(2 * OUTAGE_TIMES.lapseMs);
    expect(leftOf(await sendMany(server, 10, 2_000))).toBe(5);
  });

  test('answers that come too late: a request asks a few times, then leaves by its server’s own count', async () => {
    let behindMs = 0;
    let isSlow = false;
    const now = (): number => steadyNow() + (isSlow ? (behindMs += BUSY_TIMES.deadlineMs + 10) : behindMs);
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
    const [one] = (await startServers(2, { requests: 10, windowMs: 60_000, times: OUTAGE_TIMES })) as [
      TestServer,
      TestServer,
    ];
    await rig.redis.command('CONFIG', 'SET', 'maxmemory', '1');
    expect(leftOf(await sendMany(one, 4, 2_000))).toBe(4);
    expect(one.shared.isShared).toBe(false);
  });

  test('not there from the start: a server counts alone, and shares once it comes', async () => {
    await rig.redis.kill();
    const settings = {
      url: rig.redis.url,
      namespace: 'default',
      serverId: 'early',
      egress: 'direct',
      sandbox: true,
    };
    const budget = { requests: 5, windowMs: 60_000 };
    const times = BUSY_TIMES;
    const shared = createRedisBudget({ settings, exchanges: [EXCHANGE], budget, log: silentLog, times });
    const gate = createUpstreamGate({ budget, now: steadyNow, shared });
    const membership = createMembership({
      ...{ settings, limit: 5, topics: () => ({ owned: 0, followed: 0 }), log: silentLog },
      ...{ now: Date.now, monotonic: steadyNow },
    });
    const early = { gate, shared, membership };
    rig.servers.push(early);
    expect(leftOf(await sendMany(early, 3, 2_000))).toBe(3);
    await rig.redis.restart();
    await expect.poll(() => shared.isShared, PATIENT).toBe(true);
    const late = await startServer(5, 60_000);
    expect(leftOf(await sendMany(late, 5, 2_000))).toBe(2);
  });
});
