import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { settleWithin, sleep } from '../../../src/lib/deadline.js';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  expect(vi.getTimerCount()).toBe(0);
  vi.useRealTimers();
});

const never = (): Promise<never> => new Promise(() => undefined);
const giveUp = ({ timedOut, reason }: { timedOut: boolean; reason: unknown }) =>
  new Error(timedOut ? 'too slow' : `left: ${String(reason)}`);

describe('sleep', () => {
  it('ends on time', async () => {
    const done = vi.fn();
    void sleep(100).then(done);
    await vi.advanceTimersByTimeAsync(99);
    expect(done).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(1);
    expect(done).toHaveBeenCalled();
  });

  it('ends with the reason when its signal aborts, and does not start after that', async () => {
    const { signal, abort } = (() => {
      const controller = new AbortController();
      return { signal: controller.signal, abort: (reason: Error) => controller.abort(reason) };
    })();
    const slept = expect(sleep(100, signal)).rejects.toThrow('enough');
    abort(new Error('enough'));
    await slept;
    await expect(sleep(100, signal)).rejects.toThrow('enough');
  });

  it('leaves nothing on a signal that outlives it', async () => {
    const { signal } = new AbortController();
    const remove = vi.spyOn(signal, 'removeEventListener');
    const slept = sleep(1, signal);
    await vi.advanceTimersByTimeAsync(1);
    await slept;
    expect(remove).toHaveBeenCalledTimes(1);
  });

  it('does not end early where the wait is longer than a timer can be', async () => {
    const done = vi.fn();
    const quitter = new AbortController();
    void sleep(2 ** 40, quitter.signal).then(done, () => undefined);
    await vi.advanceTimersByTimeAsync(1000);
    expect(done).not.toHaveBeenCalled();
    quitter.abort();
  });
});

describe('settling within limits', () => {
  it('is the work’s own outcome where it comes in time', async () => {
    expect(await settleWithin(Promise.resolve(1), { ms: 10, giveUp })).toBe(1);
    await expect(settleWithin(Promise.reject(new Error('work')), { ms: 10, giveUp })).rejects.toThrow('work');
  });

  it('rejects when the time is up', async () => {
    const late = expect(settleWithin(never(), { ms: 10, giveUp })).rejects.toThrow('too slow');
    await vi.advanceTimersByTimeAsync(10);
    await late;
    const none = expect(settleWithin(never(), { ms: -5, giveUp })).rejects.toThrow('too slow');
    await vi.advanceTimersByTimeAsync(0);
    await none;
  });

  it('rejects when the caller leaves, or has left', async () => {
    const quitter = new AbortController();
    const left = expect(settleWithin(never(), { ms: 10, signal: quitter.signal, giveUp })).rejects.toThrow(
      'left: bye',
    );
    quitter.abort('bye');
    await left;
    await expect(settleWithin(never(), { ms: 10, signal: quitter.signal, giveUp })).rejects.toThrow(
      'left: bye',
    );
  });

  it('takes no notice of work that fails afterwards', async () => {
    let fail: (error: Error) => void = () => undefined;
    const work = new Promise<never>((_, reject) => (fail = reject));
    const late = expect(settleWithin(work, { ms: 1, giveUp })).rejects.toThrow('too slow');
    await vi.advanceTimersByTimeAsync(1);
    await late;
    fail(new Error('unheard')); // an unhandled rejection would fail the run
    await vi.advanceTimersByTimeAsync(0);
  });
});
