import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { AppError } from '../../../../src/errors.js';
import { withUpstreamCall } from '../../../../src/exchanges/ccxt/call-context.js';
import { MAX_PACED, Pacer, type PacerOptions } from '../../../../src/exchanges/rate-limit/pacer.js';

beforeEach(() => vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date', 'performance'] }));
afterEach(() => vi.useRealTimers());

const open = { refusal: () => null };
const make = (rateLimitMs = 100, gate: PacerOptions['gate'] = open) =>
  new Pacer({ exchange: 'kraken', rateLimitMs, gate, now: Date.now });
const as = (
  pacer: Pacer,
  call: { deadline?: number; priority?: 'caller' | 'poll'; signal?: AbortSignal; client?: string },
  cost = 1,
): Promise<void> =>
  withUpstreamCall({ kind: 'data', priority: 'caller', deadline: Date.now() + 60_000, ...call }, () =>
    pacer.wait(cost),
  );

const log = (promise: Promise<void>, into: string[], name: string) =>
  promise.then(
    () => into.push(name),
    (error: unknown) => into.push(`${name} ${(error as { code: string }).code}`),
  );

describe('the pacing of requests', () => {
  it('keeps the weight of each request times the rate limit between two of them', async () => {
    const pacer = make();
    const left: string[] = [];
    void log(pacer.wait(2), left, 'a');
    void log(pacer.wait(1), left, 'b');
    void log(pacer.wait(), left, 'c');
    await vi.advanceTimersByTimeAsync(199);
    expect(left).toEqual(['a']);
    await vi.advanceTimersByTimeAsync(2);
    expect(left).toEqual(['a', 'b']);
    await vi.advanceTimersByTimeAsync(102);
    expect(left).toEqual(['a', 'b', 'c']);
  });

  it('saves up no more than one request in a pause', async () => {
    const pacer = make();
    await vi.advanceTimersByTimeAsync(10_000);
    const left: string[] = [];
    for (const name of ['a', 'b', 'c', 'd']) void log(pacer.wait(), left, name);
    await vi.advanceTimersByTimeAsync(0);
    expect(left).toEqual(['a', 'b']);
  });

  it('lets clients take turns, however many requests each of them has', async () => {
    const pacer = make();
    const left: string[] = [];
    for (let i = 0; i < 50; i += 1) void log(as(pacer, { client: 'a' }), left, 'a');
    for (let i = 0; i < 3; i += 1) void log(as(pacer, { client: 'b' }), left, 'b');
    await vi.advanceTimersByTimeAsync(700);
    expect(left.join('')).toBe('aabababaa'.slice(0, left.length));
    expect(left.filter((name) => name === 'b')).toHaveLength(3);
  });

  it('a full queue makes room for a client that has less in it', async () => {
    const pacer = make();
    const left: string[] = [];
    for (let i = 0; i < MAX_PACED + 2; i += 1)
      void log(as(pacer, { client: 'a', deadline: Infinity }), left, 'a');
    await vi.advanceTimersByTimeAsync(0);
    left.length = 0;
    void log(as(pacer, { client: 'a', deadline: Infinity }), left, 'a');
    await vi.advanceTimersByTimeAsync(0);
    expect(left).toEqual(['a upstream_budget_exhausted']);
    void log(as(pacer, { client: 'b', deadline: Infinity }), left, 'b');
    await vi.advanceTimersByTimeAsync(250);
    expect(left).toEqual(['a upstream_budget_exhausted', 'a upstream_budget_exhausted', 'a', 'b']);
    pacer.close();
  });

  it('lets callers go before polls', async () => {
    const pacer = make();
    const left: string[] = [];
    void log(as(pacer, {}), left, 'first');
    void log(as(pacer, { priority: 'poll' }), left, 'poll');
    void log(as(pacer, {}), left, 'caller');
    void log(pacer.wait(), left, 'own');
    await vi.advanceTimersByTimeAsync(1000);
    expect(left).toEqual(['first', 'caller', 'poll', 'own']);
  });

  it('refuses at once who would wait beyond the deadline, and says how long the wait is', async () => {
    const pacer = make();
    await as(pacer, {}, 10);
    await expect(as(pacer, { deadline: Date.now() + 900 })).rejects.toMatchObject({
      code: 'upstream_budget_exhausted',
      retryAfterMs: 1000,
      upstream: { exchange: 'kraken' },
    });
    const inTime = as(pacer, { deadline: Date.now() + 1100 });
    await vi.advanceTimersByTimeAsync(1001);
    await expect(inTime).resolves.toBeUndefined();
  });

  it('refuses a poll that callers kept waiting past its time', async () => {
    const pacer = make();
    const left: string[] = [];
    await as(pacer, {}, 1);
    void log(as(pacer, { priority: 'poll', deadline: Date.now() + 150 }), left, 'poll');
    void log(as(pacer, {}), left, 'caller');
    await vi.advanceTimersByTimeAsync(1000);
    expect(left).toEqual(['caller', 'poll upstream_budget_exhausted']);
  });

  it('lets go of who gave up, with their reason, and of nobody else', async () => {
    const pacer = make();
    const controller = new AbortController();
    const left: string[] = [];
    await as(pacer, {});
    void log(as(pacer, { signal: controller.signal }), left, 'gone');
    void log(as(pacer, {}), left, 'stays');
    controller.abort();
    await vi.advanceTimersByTimeAsync(101);
    expect(left).toEqual(['gone upstream_timeout', 'stays']);
    await expect(as(pacer, { signal: controller.signal })).rejects.toMatchObject({
      code: 'upstream_timeout',
    });
  });

  it('lets nobody wait for a refusal, neither newcomers nor those who wait already', async () => {
    let cooling = false;
    const refusal = new AppError('upstream_rate_limited', 'Not now.', { retryAfterMs: 30_000 });
    const pacer = make(1000, { refusal: () => (cooling ? refusal : null) });
    const left: string[] = [];
    await as(pacer, {});
    for (const name of ['a', 'b', 'c']) void log(as(pacer, {}), left, name);
    cooling = true;
    await expect(as(pacer, {})).rejects.toBe(refusal);
    await vi.advanceTimersByTimeAsync(1001);
    expect(left).toEqual(['a', 'b', 'c'].map((name) => `${name} upstream_rate_limited`));
    cooling = false;
    await expect(as(pacer, {})).resolves.toBeUndefined();
  });

  it('has room for so many and no more', async () => {
    const pacer = make();
    const waiting = Array.from({ length: MAX_PACED + 1 }, () => pacer.wait().catch(() => 'refused'));
    await expect(pacer.wait()).rejects.toMatchObject({ code: 'upstream_budget_exhausted' });
    pacer.close();
    expect((await Promise.all(waiting)).filter((outcome) => outcome === 'refused')).toHaveLength(MAX_PACED);
  });
});
