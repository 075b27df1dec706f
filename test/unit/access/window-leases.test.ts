/** The limit of one window over several processes: access/window-leases.ts with the primary of processes/window-leases.ts. */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { createClientLimiter } from '../../../src/access/client-limiter.js';
import { leaseWindows, type LeaseSource } from '../../../src/access/window-leases.js';
import { WindowLeases, type LeaseHolder } from '../../../src/processes/window-leases.js';

const WINDOW_MS = 60_000;
const START = 1_000_000;

/** The way of a message between two processes. */
const way = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

const startProcesses = (count: number, requests: number, wayMs: () => number = () => 1) => {
  const primary = new WindowLeases({ holders: () => count, monotonic: Date.now });
  const rule = { requests, windowMs: WINDOW_MS };
  const start = () => {
    const state = { isUp: true, hangs: false, asked: 0, recalled: 0 };
    const limiter = createClientLimiter({ ...rule });
    let give: Parameters<LeaseSource['onRecall']>[0] = () => [];
    const holder: LeaseHolder = {
      async recall(windows) {
        state.recalled += 1;
        if (state.hangs) return new Promise(() => undefined);
        await way(wayMs());
        const returned = give(windows);
        await way(wayMs());
        return returned;
      },
    };
    const leases = leaseWindows({
      limiters: [limiter],
      now: Date.now,
      source: {
        get isUp() {
          return state.isUp;
        },
        async ask(questions) {
          state.asked += 1;
          await way(wayMs());
          const answers = await primary.ask(holder, questions);
          await way(wayMs());
          return answers;
        },
        onRecall: (recall) => (give = recall),
      },
    });
    const counts = { passed: 0, waited: 0 };
    return {
      ...{ state, counts },
      die: () => primary.leave(holder),
      close: () => leases.close(),
      remaining: () => limiter.look('client', Date.now()).remaining,
      async hit(): Promise<void> {
        let isAllowed: boolean;
        if (leases.isDecided(limiter, 'client', rule))
          isAllowed = limiter.hit('client', Date.now(), rule).allowed;
        else {
          counts.waited += 1;
          isAllowed = (await leases.hit(limiter, 'client', rule)).allowed;
        }
        if (isAllowed) counts.passed += 1;
      },
    };
  };
  const processes = Array.from({ length: count }, start);
  return {
    processes,
    passed: () => processes.reduce((sum, { counts }) => sum + counts.passed, 0),
    close: () => processes.forEach((process) => process.close()),
  };
};

let started: ReturnType<typeof startProcesses>;
const start = (...args: Parameters<typeof startProcesses>) => (started = startProcesses(...args));
const someTime = () => vi.advanceTimersByTimeAsync(200);

beforeEach(() => {
  vi.useFakeTimers({ now: START });
});
afterEach(() => {
  started.close();
  vi.useRealTimers();
});

describe('processes that share a window', () => {
  test('let exactly the limit through of a burst that comes to all of them at once', async () => {
    const { processes, passed } = start(2, 100);
    for (const process of processes) for (let i = 0; i < 150; i += 1) void process.hit();
    await someTime();
    expect(passed()).toBe(100);
    for (const process of processes) expect(process.remaining()).toBe(0);
  });

  test.each([1, 2, 3, 4, 5])(
    'let exactly the limit through, in whatever order it is asked (%i)',
    async (seed) => {
      let state = seed;
      const random = (): number => (state = (state * 16_807) % 2_147_483_647) / 2_147_483_647;
      const { processes, passed } = start(3, 50, () => Math.floor(random() * 4));
      for (let i = 0; i < 400; i += 1) {
        void processes[Math.floor(random() ** 2 * 3)]?.hit();
        if (random() < 0.4) await vi.advanceTimersByTimeAsync(1);
      }
      await someTime();
      expect(passed()).toBe(50);
    },
  );

  test('give all of the limit to a client that stays with one of them', async () => {
    const { processes, passed } = start(4, 100);
    for (let i = 0; i < 120; i += 1) {
      void processes[0]?.hit();
      await vi.advanceTimersByTimeAsync(10);
    }
    expect(passed()).toBe(100);
  });

  test('give what a process left unused to the others', async () => {
    const { processes, passed } = start(2, 100);
    void processes[0]?.hit();
    await someTime();
    for (let i = 0; i < 120; i += 1) void processes[1]?.hit();
    await someTime();
    expect(passed()).toBe(100);
    expect(processes[0]?.state.recalled).toBeGreaterThan(0);
  });

  test('make one hit wait for the primary where a client is far from its limit', async () => {
    const { processes, passed } = start(2, 6_000);
    for (let i = 0; i < 500; i += 1) {
      for (const process of processes) void process.hit();
      await vi.advanceTimersByTimeAsync(10);
    }
    expect(passed()).toBe(1_000);
    expect(processes.map(({ counts }) => counts.waited)).toEqual([1, 1]);
  });

  test('refuse what is over the limit without asking', async () => {
    const { processes } = start(2, 10);
    for (let i = 0; i < 20; i += 1) void processes[0]?.hit();
    await someTime();
    const asked = processes[0]?.state.asked;
    for (let i = 0; i < 1_000; i += 1) void processes[0]?.hit();
    await someTime();
    expect(processes[0]?.state.asked).toBe(asked);
  });

  test('begin a new window together', async () => {
    const { processes, passed } = start(2, 10);
    for (const process of processes) for (let i = 0; i < 15; i += 1) void process.hit();
    await vi.advanceTimersByTimeAsync(WINDOW_MS + 10);
    for (const process of processes) for (let i = 0; i < 15; i += 1) void process.hit();
    await someTime();
    expect(passed()).toBe(20);
  });
});

describe('a process', () => {
  test('that hangs with a part of the limit makes nobody exceed it, and its death frees that part', async () => {
    const { processes, passed } = start(2, 100);
    const [hung, other] = processes;
    void hung?.hit();
    await someTime();
    if (hung !== undefined) hung.state.hangs = true;
    for (let i = 0; i < 120; i += 1) void other?.hit();
    await someTime();
    expect(passed()).toBeGreaterThan(60);
    expect(passed()).toBeLessThan(100);
    hung?.die();
    for (let i = 0; i < 120; i += 1) void other?.hit();
    await someTime();
    expect(passed()).toBe(100);
  });

  test('counts for itself while the primary does not answer', async () => {
    const { processes } = start(2, 10);
    for (const { state } of processes) state.isUp = false;
    for (const process of processes) for (let i = 0; i < 15; i += 1) void process.hit();
    await someTime();
    expect(processes.map(({ counts }) => counts)).toEqual([
      { passed: 10, waited: 0 },
      { passed: 10, waited: 0 },
    ]);
  });
});
