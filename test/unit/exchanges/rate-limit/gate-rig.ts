/** One gate under fake timers, and what a caller sees of it. */
import { afterEach, beforeEach, expect, vi } from 'vitest';
import { AppError } from '../../../../src/errors.js';
import { createUpstreamGate } from '../../../../src/exchanges/rate-limit/exchange-gate.js';
import type {
  AdmitRequest,
  UpstreamGateOptions,
} from '../../../../src/exchanges/rate-limit/upstream-gate.js';

export const NOON = Date.UTC(2026, 0, 1, 12, 0, 0);
export const MINUTE = 60_000;

export const gateWith = (options: Partial<UpstreamGateOptions> = {}) =>
  createUpstreamGate({ budget: { requests: 10, windowMs: MINUTE }, now: Date.now, ...options });
type Gate = ReturnType<typeof gateWith>;

export const ask = (gate: Gate, request: Partial<AdmitRequest> = {}) =>
  gate.admit({
    exchange: 'binance',
    kind: 'data',
    priority: 'caller',
    deadline: Date.now() + 20_000,
    ...request,
  });

/** 'left', or the error's code and retry time: what a caller sees by now. */
export const outcomeOf = (promise: Promise<void>) => {
  const outcome = { value: 'waiting', retryAfterMs: undefined as number | undefined, error: null as unknown };
  promise.then(
    () => (outcome.value = 'left'),
    (error: unknown) => {
      outcome.error = error;
      outcome.value = error instanceof AppError ? error.code : 'not an AppError';
      outcome.retryAfterMs = error instanceof AppError ? error.retryAfterMs : undefined;
    },
  );
  return outcome;
};
export const settle = () => vi.advanceTimersByTimeAsync(0);

export const refuse = (gate: Gate, { status = 429, headers = {}, bodyThrottled = false } = {}) =>
  gate.report('binance', { status, headers, bodyThrottled });

/** Fake timers for each test of a file, which leaves none behind. */
export const useFakeTime = (): void => {
  beforeEach(() => {
    vi.useFakeTimers({ now: NOON });
  });
  afterEach(() => {
    expect(vi.getTimerCount()).toBe(0);
    vi.useRealTimers();
  });
};
