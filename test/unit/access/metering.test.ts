import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { createMetering, type Metering } from '../../../src/access/metering.js';
import { limitsOfBody } from '../../../src/access/plan-limits.js';
import { Principal } from '../../../src/access/principal.js';
import { createQuotas, type Caller, type Quotas } from '../../../src/access/quotas.js';
import type { UsageDelta } from '../../../src/access/store/store.js';
import { silentLog } from '../../../src/log/log.js';
import type { PlanLimitsBody } from '../../../src/schemas/access.js';

/** 23:59:50 by UTC. */
const AT = Date.UTC(2026, 10, 26, 23, 59, 50);
const HOUR = Date.UTC(2026, 10, 26, 23);
const FLUSH_MS = 10_000;
/** Rows that wait for a store that is away, at most. */
const MAX_BACKLOG = 50_000;

/** The sums of a store, and what it was told. */
const fakeStore = () => {
  const rows: UsageDelta[] = [];
  const state = { isUp: true, hangs: false, asked: 0 };
  const store = {
    addUsage(deltas: readonly UsageDelta[]): Promise<void> {
      if (!state.isUp) return Promise.reject(new Error('away'));
      rows.push(...deltas);
      return Promise.resolve();
    },
    unitsSince(consumers: readonly string[], since: number): Promise<ReadonlyMap<string, number>> {
      state.asked += 1;
      if (state.hangs) return new Promise(() => undefined);
      const sums = new Map<string, number>();
      for (const { consumer, hour, units } of rows)
        if (hour >= since && consumers.includes(consumer))
          sums.set(consumer, (sums.get(consumer) ?? 0) + units);
      return Promise.resolve(sums);
    },
  };
  return { store, rows, state };
};

const callerOf = (id = 'k', limits: PlanLimitsBody = {}, consumer = `of-${id}`): Caller<Principal> => ({
  principal: new Principal(
    { kind: 'key', id, consumer: { id: consumer } },
    {
      name: 'n',
      scopes: new Set(),
      plan: { name: 'p', limits: limitsOfBody(limits) },
      expiresAt: null,
      revokedAt: null,
    },
  ),
  client: '10.0.0.1',
});

let fake: ReturnType<typeof fakeStore>;
let servers: { metering: Metering; quotas: Quotas }[];
const startServer = (): { metering: Metering; quotas: Quotas } => {
  const clocks = { now: Date.now, monotonic: Date.now };
  const quotas = createQuotas({ clientRule: null, shared: false, ...clocks });
  const store = () => {
    if (!fake.state.isUp) throw new Error('away');
    return fake.store;
  };
  const server = { quotas, metering: createMetering({ quotas, store, log: silentLog, ...clocks }) };
  servers.push(server);
  return server;
};
const answer = { units: 1, bytes: 100, isRefused: false };

beforeEach(() => {
  vi.useFakeTimers({ now: AT });
  fake = fakeStore();
  servers = [];
});
afterEach(async () => {
  fake.state.hangs = false;
  await Promise.all(servers.map(({ metering }) => metering.close()));
  vi.useRealTimers();
});

describe('what a key uses', () => {
  test('is written every ten seconds, once', async () => {
    const { metering } = startServer();
    const caller = callerOf();
    metering.asked(caller.principal, 3);
    metering.answered(caller, answer);
    metering.answered(caller, { units: 0, bytes: 50, isRefused: true });
    expect(fake.rows).toEqual([]);
    await vi.advanceTimersByTimeAsync(FLUSH_MS);
    const row = { keyId: 'k', consumer: 'of-k', hour: HOUR, requests: 3, units: 1, bytes: 150, refused: 1 };
    expect(fake.rows).toEqual([{ ...row, streamSeconds: 0 }]);
    await vi.advanceTimersByTimeAsync(3 * FLUSH_MS);
    expect(fake.rows).toHaveLength(1);
  });

  test('belongs to the hour in which it was used', async () => {
    const { metering } = startServer();
    const caller = callerOf();
    metering.asked(caller.principal);
    vi.setSystemTime(HOUR + 3_600_000);
    metering.asked(caller.principal, 2);
    await metering.flush();
    expect(fake.rows.map(({ hour, requests }) => [hour, requests])).toEqual([
      [HOUR, 1],
      [HOUR + 3_600_000, 2],
    ]);
  });

  test('is kept while the store is away, and written once when it is back', async () => {
    const { metering } = startServer();
    const caller = callerOf();
    fake.state.isUp = false;
    for (let i = 0; i < 3; i++) {
      metering.asked(caller.principal);
      await metering.flush();
    }
    fake.state.isUp = true;
    metering.asked(caller.principal);
    await metering.flush();
    expect(fake.rows.map(({ requests }) => requests)).toEqual([4]);
  });

  test('is bounded while the store is away: rows on top are given up', async () => {
    const { metering } = startServer();
    fake.state.isUp = false;
    for (let i = 0; i < MAX_BACKLOG + 10; i++) metering.asked(callerOf(`k${i}`).principal);
    await metering.flush();
    fake.state.isUp = true;
    await metering.flush();
    expect(fake.rows).toHaveLength(MAX_BACKLOG);
  });

  test('is written at the end too', async () => {
    const { metering } = startServer();
    metering.asked(callerOf().principal);
    await metering.close();
    expect(fake.rows).toHaveLength(1);
  });

  test('is the time and the bytes of its streams, while they are open and when they end', async () => {
    const { metering } = startServer();
    const caller = callerOf();
    let bytes = 1_000;
    const end = metering.opened(caller.principal, () => bytes);
    bytes += 500;
    await vi.advanceTimersByTimeAsync(FLUSH_MS);
    expect(fake.rows).toMatchObject([{ streamSeconds: 10, bytes: 500 }]);
    bytes += 70;
    await vi.advanceTimersByTimeAsync(2_500);
    end();
    end();
    await metering.flush();
    expect(fake.rows[1]).toMatchObject({ streamSeconds: 3, bytes: 70 });
    await vi.advanceTimersByTimeAsync(FLUSH_MS);
    expect(fake.rows).toHaveLength(2);
  });
});

describe('the quotas of several servers', () => {
  test('are one after a flush of each', async () => {
    const [a, b] = [startServer(), startServer()];
    const [onA, onB] = [callerOf('k', { day: 10 }), callerOf('k', { day: 10 })];
    for (const [server, caller] of [
      [a, onA],
      [b, onB],
    ] as const) {
      server.metering.asked(caller.principal);
      server.metering.answered(caller, { ...answer, units: 6 });
    }
    expect(a.quotas.take(onA)).toBeUndefined();
    await a.metering.flush();
    await b.metering.flush();
    a.metering.asked(onA.principal);
    await a.metering.flush();
    expect(a.quotas.take(onA)).toMatchObject({ code: 'quota_exceeded' });
    expect(b.quotas.take(onB)).toMatchObject({ code: 'quota_exceeded' });
  });

  test('go on with a key that replaces another', async () => {
    const { quotas, metering } = startServer();
    const [old, next] = [callerOf('old', { day: 2 }, 'c'), callerOf('next', { day: 2 }, 'c')];
    metering.answered(old, { ...answer, units: 2 });
    expect(quotas.take(next)).toMatchObject({ code: 'quota_exceeded' });
    await metering.flush();
    const restarted = startServer();
    await restarted.metering.learn(next.principal);
    expect(restarted.quotas.take(next)).toMatchObject({ code: 'quota_exceeded' });
  });

  test('are asked for once, however many wait', async () => {
    const { quotas, metering } = startServer();
    const { principal } = callerOf('k', { day: 1 });
    await Promise.all([metering.learn(principal), metering.learn(principal)]);
    expect(fake.state.asked).toBe(2);
    expect(quotas.isKnown(principal)).toBe(true);
    await metering.learn(principal);
    expect(fake.state.asked).toBe(2);
  });

  test.each([
    ['is away', { isUp: false, hangs: false }],
    ['does not answer', { isUp: true, hangs: true }],
  ])('count by server while the store %s', async (_what, trouble) => {
    const { quotas, metering } = startServer();
    const caller = callerOf('k', { day: 2 });
    Object.assign(fake.state, trouble);
    const learnt = metering.learn(caller.principal);
    await vi.advanceTimersByTimeAsync(1_000);
    await learnt;
    expect(quotas.isKnown(caller.principal)).toBe(true);
    expect(quotas.take(caller)).toBeUndefined();
    metering.answered(caller, { ...answer, units: 2 });
    expect(quotas.take(caller)).toMatchObject({ code: 'quota_exceeded' });
  });
});
