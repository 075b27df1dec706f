import { describe, expect, it } from 'vitest';
import {
  MAX_WAIT_MS,
  RestartBackoff,
  STABLE_AFTER_MS,
} from '../../../../src/exchanges/worker/restart-backoff.js';

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
