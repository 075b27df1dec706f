import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { AppError } from '../../../../src/errors.js';
import {
  OPEN_AFTER_FAILURES,
  isCircuitRefusal,
  withCircuitBreaker,
} from '../../../../src/exchanges/resilience/circuit-breaker.js';
import { withRetry } from '../../../../src/exchanges/resilience/retrying-client.js';
import type { CallOptions } from '../../../../src/exchanges/exchange-client.js';
import { silentLog } from '../../../../src/log/log.js';
import { ANSWER, fakeClient, venueFault } from './fake-client.js';

const settings = { maxRetries: 3, initialBackoffMs: 1000, maxBackoffMs: 60_000, multiplier: 2 };
const request = { kind: 'ticker', exchange: 'binance', symbol: 'BTC/USDT' } as const;
const within = (ms: number, more: Partial<CallOptions> = {}): CallOptions => ({
  deadline: Date.now() + ms,
  priority: 'caller',
  ...more,
});

const retrying = (...outcomes: Error[]) => {
  const fake = fakeClient(...outcomes);
  const observe = vi.fn();
  return {
    ...fake,
    observe,
    client: withRetry(fake.client, { settings, now: Date.now, random: () => 0.5, observe }),
    inner: fake.client,
  };
};

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  expect(vi.getTimerCount()).toBe(0);
  vi.useRealTimers();
});

describe('the retrying client', () => {
  it('asks again after failures that may pass, ever later, and tells of it', async () => {
    const down = venueFault('upstream_unavailable');
    const { client, inner, observe } = retrying(down, down, down);
    const call = client.fetch(request, within(20_000));
    await vi.advanceTimersByTimeAsync(500 + 1000 + 2000);
    expect(await call).toBe(ANSWER);
    expect(inner.fetch).toHaveBeenCalledTimes(4);
    expect(observe.mock.calls.flat()).toEqual([
      { exchange: 'binance', code: 'upstream_unavailable', attempt: 2, waitMs: 500 },
      { exchange: 'binance', code: 'upstream_unavailable', attempt: 3, waitMs: 1000 },
      { exchange: 'binance', code: 'upstream_unavailable', attempt: 4, waitMs: 2000 },
    ]);
  });

  it('retries market lists likewise', async () => {
    const { client } = retrying(venueFault('upstream_timeout'));
    const call = client.markets('binance', within(20_000));
    await vi.advanceTimersByTimeAsync(500);
    expect(await call).toEqual({ markets: [], loadedAt: 1 });
  });

  it('waits out a rate limit where there is time, and passes it on at once where there is not', async () => {
    const { client, inner, outcomes } = retrying(venueFault('upstream_rate_limited', 5000));
    const call = client.fetch(request, within(20_000));
    await vi.advanceTimersByTimeAsync(4999);
    expect(inner.fetch).toHaveBeenCalledTimes(1);
    await vi.advanceTimersByTimeAsync(1);
    expect(await call).toBe(ANSWER);
    outcomes.push(venueFault('upstream_rate_limited', 60_000));
    await expect(client.fetch(request, within(20_000))).rejects.toMatchObject({ retryAfterMs: 60_000 });
  });

  it.each([
    'symbol_not_found',
    'not_supported_by_exchange',
    'upstream_geo_blocked',
    'shutting_down',
  ] as const)('asks once only after %s', async (code) => {
    const { client, inner } = retrying(venueFault(code));
    await expect(client.fetch(request, within(20_000))).rejects.toMatchObject({ code });
    expect(inner.fetch).toHaveBeenCalledTimes(1);
  });

  it('asks once only where the caller has something stale to serve', async () => {
    const { client, inner } = retrying(venueFault('upstream_unavailable'));
    await expect(client.fetch(request, within(20_000, { attempts: 1 }))).rejects.toMatchObject({
      code: 'upstream_unavailable',
    });
    expect(inner.fetch).toHaveBeenCalledTimes(1);
  });

  it('never tries more often than the settings say', async () => {
    const down = venueFault('upstream_unavailable');
    const { client, inner } = retrying(down, down, down, down, down, down);
    const call = client.fetch(request, within(60_000, { attempts: 99 }));
    const failed = expect(call).rejects.toBe(down);
    await vi.advanceTimersByTimeAsync(10_000);
    await failed;
    expect(inner.fetch).toHaveBeenCalledTimes(4);
  });

  it('does not wait for the probe of an open circuit', async () => {
    const fake = fakeClient(
      ...Array.from({ length: OPEN_AFTER_FAILURES }, () => venueFault('upstream_timeout')),
    );
    const circuit = withCircuitBreaker(fake.client, { now: Date.now, log: silentLog });
    const client = withRetry(circuit, {
      settings: { ...settings, maxRetries: 20, maxBackoffMs: 0 },
      now: Date.now,
    });
    const call = client.fetch(request, within(60_000));
    const refused = expect(call).rejects.toSatisfy(
      (error) => error instanceof AppError && isCircuitRefusal(error),
    );
    await vi.advanceTimersByTimeAsync(0);
    for (let i = 0; i < 20; i += 1) await vi.advanceTimersByTimeAsync(1);
    await refused;
    expect(fake.client.fetch).toHaveBeenCalledTimes(OPEN_AFTER_FAILURES);
  });

  it('turns what nobody classified into an internal error', async () => {
    const { client } = retrying(new TypeError('bug'));
    const error = await client.fetch(request, within(1000)).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(AppError);
    expect(error).toMatchObject({ code: 'internal_error' });
  });

  it('passes everything else on', async () => {
    const { client, inner } = retrying();
    client.watch(
      { channel: 'ticker', exchange: 'binance', symbol: 'BTC/USDT' },
      { onItem: () => undefined, onEnd: () => undefined },
    );
    expect(inner.watch).toHaveBeenCalledTimes(1);
    expect(client.health()).toHaveLength(2);
    await expect(client.describe('binance')).rejects.toThrow('describe');
    await client.close();
    expect(inner.close).toHaveBeenCalledTimes(1);
  });
});
