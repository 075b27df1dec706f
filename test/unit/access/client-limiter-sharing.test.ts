import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { createClientLimiter, type SharableLimiter } from '../../../src/access/client-limiter.js';
import {
  shareClientLimit,
  type LimitSharing,
  type SharedCounts,
} from '../../../src/access/client-limiter-sharing.js';

const START = 1_699_000_000_000;
const WINDOW_MS = 60_000;
const ROUND_MS = 100;

/** What Redis does, in memory and at once. */
const fakeCounts = () => {
  const sums = new Map<string, { total: number; endsAt: number }>();
  const state = { isUp: true, answers: true, added: 0, rounds: 0, largest: 0, closed: false };
  const counts: SharedCounts = {
    get isUp() {
      return state.isUp;
    },
    add(counted) {
      state.rounds += 1;
      state.largest = Math.max(state.largest, counted.length);
      const totals = counted.map(({ key, hits, leftMs }) => {
        const known = sums.get(key);
        const sum =
          known !== undefined && known.endsAt > Date.now()
            ? known
            : { total: 0, endsAt: Date.now() + leftMs };
        sum.total += hits;
        state.added += hits;
        sums.set(key, sum);
        return { total: sum.total, leftMs: sum.endsAt - Date.now() };
      });
      return Promise.resolve(totals.map((total) => (state.answers ? total : undefined)));
    },
    close() {
      state.closed = true;
      return Promise.resolve();
    },
  };
  return { counts, state };
};

let fake: ReturnType<typeof fakeCounts>;
let sharings: LimitSharing[];
const startServer = (requests: number, soonMs?: number): SharableLimiter => {
  const limiter = createClientLimiter({ requests, windowMs: WINDOW_MS, shared: true });
  sharings.push(shareClientLimit({ limiters: [limiter], counts: fake.counts, now: Date.now, soonMs }));
  return limiter;
};
const hits = (limiter: SharableLimiter, count: number, key = 'client'): boolean[] =>
  Array.from({ length: count }, () => limiter.hit(key, Date.now()).allowed);
const oneRound = () => vi.advanceTimersByTimeAsync(ROUND_MS);

beforeEach(() => {
  vi.useFakeTimers({ now: START });
  fake = fakeCounts();
  sharings = [];
});
afterEach(async () => {
  await Promise.all(sharings.map((sharing) => sharing.close()));
  vi.useRealTimers();
});

describe('servers that share a client limit', () => {
  test('refuse together what is over the limit, as soon as they have heard of each other', async () => {
    const [a, b] = [startServer(10), startServer(10)];
    expect(hits(a, 6)).toEqual(Array(6).fill(true));
    expect(hits(b, 3)).toEqual(Array(3).fill(true));
    await oneRound();
    // One of the two heard of both; the other hears with its next request.
    expect([hits(a, 1), hits(b, 1)].flat()).toEqual([true, true]);
    await oneRound();
    expect([hits(a, 1), hits(b, 1)].flat()).toEqual([false, false]);
    expect(b.hit('client', Date.now())).toMatchObject({ allowed: false, remaining: 0 });
  });

  test('let through at most the limit a server in the worst case, when all is asked within one round', async () => {
    const servers = [startServer(10), startServer(10), startServer(10)];
    const allowed = servers.flatMap((server) => hits(server, 50)).filter(Boolean);
    expect(allowed).toHaveLength(30);
    await oneRound();
    expect(servers.flatMap((server) => hits(server, 50)).filter(Boolean)).toEqual([]);
    // Refused requests are not told: nobody needs them.
    expect(fake.state.added).toBe(30);
  });

  test('keep clients apart', async () => {
    const [a, b] = [startServer(2), startServer(2)];
    hits(a, 2, 'greedy');
    hits(b, 1, 'greedy');
    await oneRound();
    expect(hits(b, 1, 'greedy')).toEqual([false]);
    expect(hits(b, 2, 'modest')).toEqual([true, true]);
  });

  test('end a window together, with the first of them', async () => {
    const [a, b] = [startServer(2), startServer(2)];
    hits(a, 2);
    await vi.advanceTimersByTimeAsync(20_000);
    hits(b, 1);
    await oneRound();
    expect(b.hit('client', Date.now())).toMatchObject({ allowed: false, resetAt: START + WINDOW_MS });
    await vi.advanceTimersByTimeAsync(START + WINDOW_MS - Date.now());
    expect([hits(a, 1), hits(b, 1)].flat()).toEqual([true, true]);
  });

  test('count for themselves while there is nobody to ask, and tell what they counted once there is', async () => {
    const [a, b] = [startServer(4), startServer(4)];
    fake.state.isUp = false;
    expect(hits(a, 5)).toEqual([true, true, true, true, false]);
    await oneRound();
    expect(hits(b, 1)).toEqual([true]);
    expect(fake.state.rounds).toBe(0);
    fake.state.isUp = true;
    await oneRound();
    expect(hits(b, 2).at(-1)).toBe(false);
  });

  test('never charge a client twice for what may have been counted', async () => {
    const a = startServer(10);
    hits(a, 3);
    fake.state.answers = false;
    await oneRound();
    fake.state.answers = true;
    hits(a, 1);
    await oneRound();
    expect(fake.state.added).toBe(4);
    expect(a.hit('client', Date.now()).remaining).toBe(5);
  });

  test('forget rather than tell what was counted in a window that has ended', async () => {
    const a = startServer(10);
    fake.state.isUp = false;
    hits(a, 3);
    await vi.advanceTimersByTimeAsync(WINDOW_MS);
    fake.state.isUp = true;
    await oneRound();
    expect(fake.state.added).toBe(0);
    hits(a, 1);
    await oneRound();
    expect(fake.state.added).toBe(1);
  });

  test('spread a flood of addresses over many rounds', async () => {
    const a = startServer(10);
    for (let i = 0; i < 5_000; i++) a.hit(`client ${i}`, Date.now());
    await oneRound();
    expect(fake.state).toMatchObject({ added: 2_000, largest: 2_000, rounds: 1 });
    await oneRound();
    await oneRound();
    expect(fake.state).toMatchObject({ added: 5_000, largest: 2_000, rounds: 3 });
    await oneRound();
    expect(fake.state.rounds).toBe(3);
  });

  test('stop asking when they are closed', async () => {
    const a = startServer(10);
    await sharings[0]?.close();
    hits(a, 3);
    await oneRound();
    expect(fake.state).toMatchObject({ rounds: 0, closed: true });
  });
});

test('a limiter that is not shared keeps nothing to tell', () => {
  const limiter = createClientLimiter({ requests: 10, windowMs: WINDOW_MS });
  hits(limiter, 3);
  expect(limiter.takeUnshared(10, Date.now())).toEqual([]);
});

test('an address that was evicted from a full table is not reported either', () => {
  const limiter = createClientLimiter({ requests: 10, windowMs: WINDOW_MS, shared: true, maxKeys: 2 });
  for (const key of ['a', 'b', 'c']) limiter.hit(key, START);
  expect(limiter.takeUnshared(10, START).map(({ key }) => key)).toEqual(['b', 'c']);
});

describe('a key with a rule of its own', () => {
  const limiter = () => createClientLimiter({ requests: 1, windowMs: WINDOW_MS, shared: true });
  const rule = { requests: 2, windowMs: 10_000 };

  test('is counted by it, the others by that of all', () => {
    const counted = limiter();
    const own = [1, 2, 3].map(() => counted.hit('own', START, rule));
    expect(own.map(({ allowed, remaining }) => [allowed, remaining])).toEqual([
      [true, 1],
      [true, 0],
      [false, 0],
    ]);
    expect(own[0]?.resetAt).toBe(START + 10_000);
    expect(hits(counted, 2, 'other')).toEqual([true, false]);
  });

  test('is allowed more at once when its rule grows, and begins anew when its window gets another length', () => {
    const counted = limiter();
    for (let i = 0; i < 3; i++) counted.hit('own', START, rule);
    expect(counted.hit('own', START, { ...rule, requests: 5 })).toMatchObject({
      allowed: true,
      remaining: 1,
    });
    expect(counted.hit('own', START, { requests: 5, windowMs: 20_000 })).toMatchObject({ remaining: 4 });
  });

  test('can be looked at without being counted', () => {
    const counted = limiter();
    expect(counted.look('own', START, rule)).toEqual({
      allowed: true,
      remaining: 2,
      resetAt: START + 10_000,
    });
    counted.hit('own', START, rule);
    for (let i = 0; i < 3; i++) expect(counted.look('own', START + 1, rule)).toMatchObject({ remaining: 1 });
    expect(counted.look('own', START + 10_000, rule)).toMatchObject({ remaining: 2 });
  });
});

test('limiters that are shared together keep their keys and the lengths of their windows apart', async () => {
  const limiters = [60_000, 10_000].map((windowMs) =>
    createClientLimiter({ requests: 5, windowMs, shared: true }),
  );
  const told: (readonly [string, number])[] = [];
  const counts: SharedCounts = {
    ...fake.counts,
    isUp: true,
    add(counted) {
      told.push(...counted.map(({ key, windowMs }) => [key, windowMs] as const));
      return fake.counts.add(counted);
    },
  };
  sharings.push(shareClientLimit({ limiters, counts, now: Date.now }));
  limiters[0]?.hit('address', START);
  limiters[1]?.hit('key', START);
  await oneRound();
  expect(told).toEqual([
    ['address', 60_000],
    ['key', 10_000],
  ]);
});

describe('processes that share a client limit', () => {
  test('tell what they counted a moment after they counted it, and nothing while they count nothing', async () => {
    const [a, b] = [startServer(10, 1), startServer(10, 1)];
    await vi.advanceTimersByTimeAsync(1_000);
    expect(fake.state.rounds).toBe(0);
    hits(a, 10);
    await vi.advanceTimersByTimeAsync(1);
    hits(b, 1);
    await vi.advanceTimersByTimeAsync(1);
    expect(hits(b, 1)).toEqual([false]);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(fake.state).toMatchObject({ rounds: 2, added: 11 });
    hits(b, 1, 'another');
    await vi.advanceTimersByTimeAsync(1);
    expect(fake.state.added).toBe(12);
  });
});

describe('processes that exchange counts as soon as there are some', () => {
  test('ask no more often than others while nobody can be told', async () => {
    fake.state.isUp = false;
    const asked = vi.spyOn(fake.counts, 'isUp', 'get');
    hits(startServer(10, 1), 1);
    await vi.advanceTimersByTimeAsync(10 * ROUND_MS);
    expect(asked.mock.calls.length).toBeLessThan(30);
    fake.state.isUp = true;
    await oneRound();
    expect(fake.state.added).toBe(1);
  });

  test('leave no timer behind, also where a round is under way at the end', async () => {
    let settle = (): void => undefined;
    fake.counts.add = (counted) =>
      new Promise((resolve) => (settle = () => resolve(counted.map(() => undefined))));
    const limiter = startServer(10, 1);
    hits(limiter, 1);
    await vi.advanceTimersByTimeAsync(1);
    hits(limiter, 1);
    await sharings.pop()?.close();
    settle();
    await vi.advanceTimersByTimeAsync(0);
    expect(vi.getTimerCount()).toBe(0);
  });
});
