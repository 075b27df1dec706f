import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { decideRetry, LEAST_ATTEMPT_MS, retry, type RetryQuestion } from '../../../src/lib/retry.js';

const question = (changes: Partial<RetryQuestion> = {}): RetryQuestion => ({
  error: { retryable: true },
  attempt: 1,
  settings: { maxRetries: 3, initialBackoffMs: 1000, maxBackoffMs: 60_000, multiplier: 2 },
  deadline: 20_000,
  now: 0,
  random: 0.5,
  ...changes,
});

describe('the decision to retry', () => {
  it('waits anything from nothing to a bound that grows per attempt', () => {
    const waits = [1, 2, 3].map((attempt) => decideRetry(question({ attempt })));
    expect(waits).toEqual([500, 1000, 2000]);
    expect(decideRetry(question({ random: 0 }))).toBe(0);
  });

  it('never waits longer than the settings allow', () => {
    const settings = { maxRetries: 50, initialBackoffMs: 1000, maxBackoffMs: 4000, multiplier: 10 };
    expect(decideRetry(question({ settings, attempt: 40, random: 0.999 }))).toBe(3996);
  });

  it('stops after the last allowed attempt', () => {
    expect(decideRetry(question({ attempt: 4 }))).toBeNull();
    expect(decideRetry(question({ settings: { ...question().settings, maxRetries: 0 } }))).toBeNull();
  });

  it('never repeats what can not succeed', () => {
    expect(decideRetry(question({ error: { retryable: false } }))).toBeNull();
  });

  it('waits as long as the venue says', () => {
    expect(decideRetry(question({ error: { retryable: true, retryAfterMs: 7000 } }))).toBe(7000);
    expect(decideRetry(question({ error: { retryable: true, retryAfterMs: 10 } }))).toBe(500);
  });

  it('refuses a wait that would end at the deadline or after it', () => {
    const error = { retryable: true, retryAfterMs: 7000 };
    expect(decideRetry(question({ error, deadline: 7000 }))).toBeNull();
    expect(decideRetry(question({ deadline: 20_000, now: 20_000, random: 0 }))).toBeNull();
    expect(decideRetry(question({ deadline: 501 }))).toBe(500);
  });

  it('refuses a wait that the venue asked for where no time for an attempt would be left', () => {
    const error = { retryable: true, retryAfterMs: 7000 };
    expect(decideRetry(question({ error, deadline: 7000 + LEAST_ATTEMPT_MS }))).toBeNull();
    expect(decideRetry(question({ error, deadline: 7001 + LEAST_ATTEMPT_MS }))).toBe(7000);
  });
});

describe('the retry loop', () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    expect(vi.getTimerCount()).toBe(0);
    vi.useRealTimers();
  });

  /** Fails with each error in turn, then answers. */
  const source = (...errors: Error[]) => {
    const attempt = vi.fn(async () => {
      const error = errors.shift();
      return error === undefined ? Promise.resolve('answer') : Promise.reject(error);
    });
    return attempt;
  };

  it('asks again after the decided wait until there is an answer', async () => {
    const attempt = source(new Error('one'), new Error('two'));
    const decide = vi.fn(() => 100);
    const result = retry(attempt, decide);
    await vi.advanceTimersByTimeAsync(99);
    expect(attempt).toHaveBeenCalledTimes(1);
    await vi.advanceTimersByTimeAsync(101);
    expect(await result).toBe('answer');
    expect(decide.mock.calls).toEqual([
      [new Error('one'), 1],
      [new Error('two'), 2],
    ]);
  });

  it('rejects with the latest error once the decision is no', async () => {
    const result = retry(source(new Error('one'), new Error('two'), new Error('three')), (_, attempts) =>
      attempts < 2 ? 0 : null,
    );
    const rejected = expect(result).rejects.toThrow('two');
    await vi.advanceTimersByTimeAsync(0);
    await rejected;
  });

  it('stops in the middle of a wait when its caller leaves', async () => {
    const attempt = source(new Error('one'), new Error('two'));
    const quitter = new AbortController();
    const result = retry(attempt, () => 10_000, quitter.signal);
    const rejected = expect(result).rejects.toThrow('one');
    await vi.advanceTimersByTimeAsync(10);
    quitter.abort();
    await rejected;
    expect(attempt).toHaveBeenCalledTimes(1);
  });

  it('does not even ask whether to go on for a caller who has left', async () => {
    const decide = vi.fn(() => 0);
    await expect(retry(source(new Error('one')), decide, AbortSignal.abort())).rejects.toThrow('one');
    expect(decide).not.toHaveBeenCalled();
  });
});
