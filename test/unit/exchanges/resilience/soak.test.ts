// Simulated hours, in the long form a day, of a venue that answers, refuses, fails and hangs, under callers, polls and quitters.
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { AppError } from '../../../../src/errors.js';
import { createSingleFlight } from '../../../../src/lib/single-flight.js';
import { withCircuitBreaker } from '../../../../src/exchanges/resilience/circuit-breaker.js';
import { withRetry } from '../../../../src/exchanges/resilience/retrying-client.js';
import { createUpstreamGate } from '../../../../src/exchanges/rate-limit/exchange-gate.js';
import type { CallOptions, MarketAnswer } from '../../../../src/exchanges/exchange-client.js';
import { silentLog } from '../../../../src/log/log.js';
import { extent } from '../../../support/extent.js';
import { ANSWER, fakeClient, venueFault } from './fake-client.js';

const HOUR = 3_600_000;
const HOURS = extent({ short: 5, long: 24 });
const STEP = 7_000;

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;
const heap = (): number => {
  collectGarbage();
  return process.memoryUsage().heapUsed;
};
/** Repeats from run to run. */
const seeded = (seed: number) => () => {
  seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
  return seed / 2 ** 32;
};

beforeEach(() => {
  vi.useFakeTimers({ now: 1_700_000_000_000 });
});
afterEach(() => {
  vi.useRealTimers();
});

it(`leaves no timer, no waiter, no flight and no memory behind after ${HOURS} hours`, async () => {
  const random = seeded(7);
  const gate = createUpstreamGate({ budget: { requests: 30, windowMs: 60_000 }, now: Date.now });
  const coolDowns: { from: number; until: number }[] = [];
  const left: number[] = [];

  /** Good hours and bad ones; what leaves is counted, what comes back is reported. */
  const venue = async (options: CallOptions): Promise<MarketAnswer> => {
    await gate.admit({ exchange: 'binance', kind: 'data', ...options });
    left.push(Date.now());
    const bad = Math.floor(Date.now() / HOUR) % 3 === 0;
    const luck = random() * (bad ? 1 : 5);
    const status = luck < 0.02 ? 429 : luck < 0.6 ? 503 : 200;
    gate.report('binance', { status, headers: {}, bodyThrottled: false });
    if (status === 200) return ANSWER;
    if (status === 503) throw venueFault('upstream_unavailable');
    const until = gate.state('binance').coolDownUntil ?? 0;
    coolDowns.push({ from: Date.now(), until });
    throw venueFault('upstream_rate_limited', until - Date.now());
  };
  const { client } = fakeClient();
  const raw = { ...client, fetch: async (_: unknown, options: CallOptions) => venue(options) };
  const settings = { maxRetries: 3, initialBackoffMs: 1000, maxBackoffMs: 60_000, multiplier: 2 };
  const disciplined = withRetry(withCircuitBreaker(raw, { now: Date.now, log: silentLog }), {
    settings,
    now: Date.now,
    random,
  });
  const flights = createSingleFlight<MarketAnswer>();

  const outcomes = new Map<string, number>();
  const count = (name: string): void => void outcomes.set(name, (outcomes.get(name) ?? 0) + 1);
  let open = 0;
  const ask = async (priority: 'caller' | 'poll', quits: boolean): Promise<void> => {
    open += 1;
    const quitter = new AbortController();
    if (quits) setTimeout(() => quitter.abort(), random() * 3000);
    const symbol = `S${Math.floor(random() * 5)}/USDT`;
    try {
      await flights.run(
        symbol,
        (signal) =>
          disciplined.fetch(
            { kind: 'ticker', exchange: 'binance', symbol },
            { deadline: Date.now() + 20_000, priority, signal },
          ),
        quitter.signal,
      );
      count('answer');
    } catch (error) {
      count(error instanceof AppError ? error.code : 'left');
    }
    open -= 1;
  };
  const live = async (ms: number): Promise<void> => {
    for (let passed = 0; passed < ms; passed += STEP) {
      for (let i = 0; i < 4; i += 1) void ask(i === 3 ? 'poll' : 'caller', random() < 0.2);
      await vi.advanceTimersByTimeAsync(STEP);
    }
    await vi.advanceTimersByTimeAsync(30_000);
  };

  await live(HOUR);
  const before = { heap: heap(), leftSoFar: left.length };
  left.length = 0;
  coolDowns.length = 0;
  await live(HOURS * HOUR);

  expect(open).toBe(0);
  expect(flights.size).toBe(0);
  expect(vi.getTimerCount()).toBe(0);
  expect(gate.state('binance')).toMatchObject({ waiting: 0 });
  // All of it happened, and the two promises held all day.
  for (const outcome of ['answer', 'upstream_unavailable', 'upstream_rate_limited', 'left'])
    expect(outcomes.get(outcome), outcome).toBeGreaterThan(20);
  expect(left.length).toBeGreaterThan(1000);
  for (const { from, until } of coolDowns) expect(left.filter((at) => at > from && at < until)).toEqual([]);
  for (const [index, at] of left.entries())
    expect((left[index + 30] ?? Infinity) - at).toBeGreaterThanOrEqual(60_000);
  left.length = 0;
  coolDowns.length = 0;
  expect(heap() - before.heap).toBeLessThan(4 * 1024 * 1024);
}, 60_000);
