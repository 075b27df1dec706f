/**
 * What servers that share a budget do within fractions of a second: a machine that does many other things stops them for
 * longer than a heartbeat may be late, and they keep to their shares meanwhile.
 */
import { describe, expect, test } from 'vitest';
import { steadyNow } from '../../../src/lib/steady-clock.js';
import {
  fullest,
  OUTAGE_TIMES,
  PATIENT,
  rig,
  send,
  sendWhile,
  startServer,
  startServers,
  type TestServer,
  useBudgetServers,
} from '../../support/budget-servers.js';
import { startTcpProxy } from '../../support/tcp-proxy.js';

useBudgetServers();

describe('two servers', () => {
  test('space their requests together as the venue’s pace asks', async () => {
    const [one, two] = (await startServers(2, { requests: 1_000, windowMs: 60_000 })) as [
      TestServer,
      TestServer,
    ];
    const pace = { weight: 1, unitMs: 40, capacity: 1 };
    await Promise.all(
      [one, two, one, two, one, two, one, two, one, two].map((server) => send(server, 5_000, { pace })),
    );
    expect(rig.departures).toHaveLength(10);
    // The bucket holds one request beside the one that leaves: eight waits on the clock of Redis. A busy machine writes the first
    // departure down late, here by one wait at most; two servers that did not share would need four.
    expect(Math.max(...rig.departures) - Math.min(...rig.departures)).toBeGreaterThanOrEqual(7 * pace.unitMs);
  });

  test('let leave at once what a pause has saved up together, and space what comes behind', async () => {
    const [one, two] = (await startServers(2, { requests: 1_000, windowMs: 60_000 })) as [
      TestServer,
      TestServer,
    ];
    const pace = { weight: 1, unitMs: 400, capacity: 6 };
    // As much as they can save up, since they began to share with their first requests.
    await Promise.all([one, two].map((server) => send(server, 5_000, { pace })));
    rig.departures = [];
    const since = steadyNow();
    await expect.poll(() => steadyNow() - since, PATIENT).toBeGreaterThan((pace.capacity + 2) * pace.unitMs);
    await Promise.all(
      [one, two, one, two, one, two, one, two, one].map((server) => send(server, 5_000, { pace })),
    );
    const waits = (): number[] =>
      rig.departures.map((at) => at - Math.min(...rig.departures)).toSorted((a, b) => a - b);
    // Six and the one that the bucket always lets pass; without the six the seventh would wait for five units.
    expect(waits()[6]).toBeLessThan(4 * pace.unitMs);
    // A busy machine writes the first departure down late, by half a unit at most.
    expect(waits()[7]).toBeGreaterThanOrEqual(0.5 * pace.unitMs);
    expect(waits()[8]).toBeGreaterThanOrEqual(1.5 * pace.unitMs);

    // A count that begins anew does not know what left before: nothing is saved up.
    await expect.poll(() => steadyNow() - since, PATIENT).toBeGreaterThan(20 * pace.unitMs);
    await rig.redis.command('FLUSHALL');
    rig.departures = [];
    await Promise.all([one, two, one].map((server) => send(server, 5_000, { pace })));
    expect(waits()[2]).toBeGreaterThanOrEqual(0.5 * pace.unitMs);
  });

  test('cut off from one server alone: it keeps to its part, which the other leaves to it', async () => {
    const [limit, windowMs] = [20, 1_000];
    const proxy = await startTcpProxy(rig.redis.port);
    const one = await startServer(limit, windowMs, { times: OUTAGE_TIMES });
    const two = await startServer(limit, windowMs, {
      times: OUTAGE_TIMES,
      url: `redis://127.0.0.1:${proxy.port}`,
    });
    await expect.poll(() => one.membership.servers.length, PATIENT).toBe(2);
    await sendWhile(() => rig.departures.length < limit, 2_000);
    await expect.poll(() => [one.shared.servers, two.shared.servers], PATIENT).toEqual([2, 2]);
    proxy.isCut = true;
    await sendWhile(() => two.shared.isShared, 2_000);
    // What left in the moment before the other noticed is another window's.
    const cutAt = steadyNow();
    await sendWhile(() => steadyNow() < cutAt + windowMs, 2_000);
    rig.departures = [];
    await sendWhile(() => rig.departures.length < 3 * limit, 2_000);
    expect([one.shared.isShared, two.shared.isShared]).toEqual([true, false]);
    proxy.isCut = false;
    await sendWhile(() => !two.shared.isShared, 2_000);
    const after = rig.departures.length;
    await sendWhile(() => rig.departures.length < after + 2 * limit, 2_000);
    expect(fullest(windowMs)).toBeLessThanOrEqual(limit);
    await proxy.close();
  });
});
