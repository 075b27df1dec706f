import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createUpstreamGate } from '../../../../src/exchanges/rate-limit/exchange-gate.js';
import { MAX_WAITING } from '../../../../src/exchanges/rate-limit/request-queue.js';
import type { AdmitRequest, UpstreamGate } from '../../../../src/exchanges/rate-limit/upstream-gate.js';

beforeEach(() => vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date', 'performance'] }));
afterEach(() => vi.useRealTimers());

/** A gate whose budget is beyond what any test asks for: the pace alone decides. */
const make = (unitMs = 100, capacity = 1) => {
  const budget = { requests: 1_000_000, windowMs: 60_000 };
  return Object.assign(createUpstreamGate({ budget, now: Date.now }), { unitMs, capacity });
};
const as = (
  gate: UpstreamGate & { readonly unitMs: number; readonly capacity: number },
  call: Partial<AdmitRequest>,
  weight = 1,
): Promise<void> =>
  gate.admit({
    exchange: 'kraken',
    kind: 'data',
    priority: 'caller',
    deadline: Date.now() + 60_000,
    pace: { weight, unitMs: gate.unitMs, capacity: gate.capacity },
    ...call,
  });
/** What CCXT asks on its own account. */
const own = (gate: ReturnType<typeof make>, weight = 1): Promise<void> =>
  as(gate, { priority: 'poll', deadline: Infinity }, weight);

const log = (promise: Promise<void>, into: string[], name: string) =>
  promise.then(
    () => into.push(name),
    (error: unknown) => into.push(`${name} ${(error as { code: string }).code}`),
  );

describe('the pacing of requests', () => {
  it('keeps the weight of each request times the rate limit between two of them', async () => {
    const gate = make();
    const left: string[] = [];
    void log(own(gate, 2), left, 'a');
    void log(own(gate, 1), left, 'b');
    void log(own(gate), left, 'c');
    await vi.advanceTimersByTimeAsync(199);
    expect(left).toEqual(['a']);
    await vi.advanceTimersByTimeAsync(2);
    expect(left).toEqual(['a', 'b']);
    await vi.advanceTimersByTimeAsync(102);
    expect(left).toEqual(['a', 'b', 'c']);
  });

  it('saves up no more than one request in a pause', async () => {
    const gate = make();
    await own(gate);
    await vi.advanceTimersByTimeAsync(10_000);
    const left: string[] = [];
    for (const name of ['a', 'b', 'c', 'd']) void log(own(gate), left, name);
    await vi.advanceTimersByTimeAsync(0);
    expect(left).toEqual(['a', 'b']);
  });

  it('counts those that wait, and neither those that have left nor those that were given up', async () => {
    const gate = make(1);
    const ends: string[] = [];
    for (let i = 0; i < MAX_WAITING; i += 1) {
      const abort = new AbortController();
      void log(as(gate, { signal: abort.signal }), ends, 'given up');
      abort.abort(new Error('gone'));
      void log(own(gate, 2), ends, 'left');
      void log(own(gate, 2), ends, 'left');
      await vi.advanceTimersByTimeAsync(4);
    }
    await vi.advanceTimersByTimeAsync(100);
    expect(ends.filter((end) => end === 'left')).toHaveLength(2 * MAX_WAITING);
    expect(gate.state('kraken').waiting).toBe(0);
  });

  it('lets as many weights leave at once as a pause has saved up, and spaces those behind them', async () => {
    const gate = make(100, 5);
    // The bucket of a gate that has just begun is empty: what left before it is not known.
    await own(gate);
    await vi.advanceTimersByTimeAsync(10_000);
    const left: string[] = [];
    for (let i = 0; i < 9; i += 1) void log(own(gate), left, String(i));
    await vi.advanceTimersByTimeAsync(0);
    // Five that were saved up, and the one that the bucket always lets pass.
    expect(left).toHaveLength(6);
    await vi.advanceTimersByTimeAsync(99);
    expect(left).toHaveLength(6);
    await vi.advanceTimersByTimeAsync(2);
    expect(left).toHaveLength(7);
    await vi.advanceTimersByTimeAsync(200);
    expect(left).toHaveLength(9);
  });

  it('lets clients take turns, however many requests each of them has', async () => {
    const gate = make();
    const left: string[] = [];
    for (let i = 0; i < 50; i += 1) void log(as(gate, { client: 'a' }), left, 'a');
    for (let i = 0; i < 3; i += 1) void log(as(gate, { client: 'b' }), left, 'b');
    await vi.advanceTimersByTimeAsync(700);
    expect(left.join('')).toBe('aabababaa'.slice(0, left.length));
    expect(left.filter((name) => name === 'b')).toHaveLength(3);
  });

  it('a full queue gives up a place for a client that has less in it', async () => {
    const gate = make();
    const left: string[] = [];
    for (let i = 0; i < MAX_WAITING + 2; i += 1)
      void log(as(gate, { client: 'a', deadline: Infinity }), left, 'a');
    await vi.advanceTimersByTimeAsync(0);
    left.length = 0;
    void log(as(gate, { client: 'a', deadline: Infinity }), left, 'a');
    await vi.advanceTimersByTimeAsync(0);
    expect(left).toEqual(['a upstream_budget_exhausted']);
    void log(as(gate, { client: 'b', deadline: Infinity }), left, 'b');
    await vi.advanceTimersByTimeAsync(250);
    expect(left).toEqual(['a upstream_budget_exhausted', 'a upstream_budget_exhausted', 'a', 'b']);
    gate.close();
  });

  it('lets callers go before polls', async () => {
    const gate = make();
    const left: string[] = [];
    void log(as(gate, {}), left, 'first');
    void log(as(gate, { priority: 'poll' }), left, 'poll');
    void log(as(gate, {}), left, 'caller');
    void log(own(gate), left, 'own');
    await vi.advanceTimersByTimeAsync(1000);
    expect(left).toEqual(['first', 'caller', 'poll', 'own']);
  });

  it('refuses at once who would wait beyond the deadline, and says how long the wait is', async () => {
    const gate = make();
    await as(gate, {}, 10);
    await expect(as(gate, { deadline: Date.now() + 900 })).rejects.toMatchObject({
      code: 'upstream_budget_exhausted',
      retryAfterMs: 1000,
      upstream: { exchange: 'kraken' },
    });
    const inTime = as(gate, { deadline: Date.now() + 1100 });
    await vi.advanceTimersByTimeAsync(1001);
    await expect(inTime).resolves.toBeUndefined();
  });

  it('refuses a poll that callers kept waiting past its time', async () => {
    const gate = make();
    const left: string[] = [];
    await as(gate, {}, 1);
    void log(as(gate, { priority: 'poll', deadline: Date.now() + 150 }), left, 'poll');
    void log(as(gate, {}), left, 'caller');
    await vi.advanceTimersByTimeAsync(1000);
    expect(left).toEqual(['caller', 'poll upstream_budget_exhausted']);
  });

  it('ends the wait of callers that gave up, with their reason, and of no others', async () => {
    const gate = make();
    const controller = new AbortController();
    const left: string[] = [];
    await as(gate, {});
    void log(as(gate, { signal: controller.signal }), left, 'gone');
    void log(as(gate, {}), left, 'stays');
    controller.abort();
    await vi.advanceTimersByTimeAsync(101);
    expect(left).toEqual(['gone upstream_timeout', 'stays']);
    await expect(as(gate, { signal: controller.signal })).rejects.toMatchObject({
      code: 'upstream_timeout',
    });
  });

  it('lets no request wait for a refusal, neither new ones nor those that wait already', async () => {
    const gate = make(1000);
    const left: string[] = [];
    await as(gate, {});
    for (const name of ['a', 'b', 'c']) void log(as(gate, {}), left, name);
    gate.report('kraken', { status: 429, headers: { 'retry-after': '1.5' }, bodyThrottled: false });
    await expect(as(gate, {})).rejects.toMatchObject({ code: 'upstream_rate_limited', retryAfterMs: 1500 });
    expect(left).toEqual(['a', 'b', 'c'].map((name) => `${name} upstream_rate_limited`));
    await vi.advanceTimersByTimeAsync(1500);
    await expect(as(gate, {})).resolves.toBeUndefined();
  });

  it('holds market lists back too, and lets them pass requests that wait for the budget', async () => {
    const gate = Object.assign(
      createUpstreamGate({ budget: { requests: 2, windowMs: 60_000 }, now: Date.now }),
      { unitMs: 1000, capacity: 1 },
    );
    const left: string[] = [];
    await as(gate, {});
    void log(as(gate, {}), left, 'second');
    void log(as(gate, {}), left, 'third');
    void log(as(gate, { kind: 'markets' }), left, 'markets');
    await vi.advanceTimersByTimeAsync(1000);
    expect(left).toEqual(['second']);
    await vi.advanceTimersByTimeAsync(1000);
    expect(left).toEqual(['second', 'markets']);
    gate.close();
    await vi.advanceTimersByTimeAsync(0);
    expect(left.at(-1)).toBe('third upstream_budget_exhausted');
  });

  it('holds so many and no more', async () => {
    const gate = make();
    const waiting = Array.from({ length: MAX_WAITING + 1 }, () => own(gate).catch(() => 'refused'));
    await expect(own(gate)).rejects.toMatchObject({ code: 'upstream_budget_exhausted' });
    gate.close();
    expect((await Promise.all(waiting)).filter((outcome) => outcome === 'refused')).toHaveLength(MAX_WAITING);
  });
});
