import { describe, expect, it } from 'vitest';
import {
  MAX_MISSED,
  MAX_MISSED_LOADING,
  MAX_WAIT_MS,
  RestartBackoff,
  STABLE_AFTER_MS,
  Heartbeat,
} from '../../../../src/exchanges/worker/worker-health.js';
import type { ExchangeHealth } from '../../../../src/exchanges/exchange-client.js';

const report = (marketsLoading: boolean) => {
  const health: ExchangeHealth = {
    exchange: 'binance',
    markets: 'loaded',
    marketsLoadedAt: 1,
    marketsLoading,
    coolDownUntil: null,
    circuit: 'closed',
    budget: { limit: 1, remaining: 1, windowMs: 1 },
    worker: 'inline',
    workerRestarts: 0,
    lastError: null,
    since: 0,
  };
  return { health: [health], gates: [], memoryBytes: 1, eventLoopDelayP99Ms: 1, unhandledRejections: 0 };
};

/** Beats without an answer until the thread is given up. */
const beatsUntilHung = (marketsLoading: boolean): number => {
  const signs = new Heartbeat(1);
  signs.answered(report(marketsLoading));
  let beats = 1;
  while (signs.beat(false) !== 'hung') beats += 1;
  return beats;
};

describe('a thread that does not answer', () => {
  it('has the time of a first load while it refreshes markets, which blocks it as long', () => {
    expect(beatsUntilHung(true)).toBe(MAX_MISSED_LOADING + 1);
    expect(beatsUntilHung(false)).toBe(MAX_MISSED + 1);
  });
});

describe('the back-off of restarts', () => {
  it('starts the first successor at once and those that keep dying ever later, up to a bound', () => {
    const backoff = new RestartBackoff();
    const waits = Array.from({ length: 12 }, (_, death) => {
      backoff.started(death);
      return backoff.next(death);
    });
    expect(waits.slice(0, 5)).toEqual([0, 100, 200, 400, 800]);
    expect(waits.at(-1)).toBe(MAX_WAIT_MS);
  });

  it('begins anew after a worker that ran for long', () => {
    const backoff = new RestartBackoff();
    backoff.next(0);
    backoff.next(0);
    backoff.started(1000);
    expect(backoff.next(1000 + STABLE_AFTER_MS)).toBe(0);
    expect(backoff.next(1000 + STABLE_AFTER_MS * 2)).toBe(100); // it never ran at all
  });
});
