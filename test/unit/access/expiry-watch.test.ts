import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { createExpiryWatch, type ExpiryWatch } from '../../../src/access/expiry-watch.js';
import { UNLIMITED } from '../../../src/access/plan.js';
import { Principal } from '../../../src/access/principal.js';

const HOUR = 3_600_000;

let watch: ExpiryWatch;
beforeEach(() => {
  vi.useFakeTimers();
  watch = createExpiryWatch(Date.now);
});
afterEach(() => {
  watch.close();
  vi.useRealTimers();
});

const STATE = {
  name: 'somebody',
  scopes: new Set(['stream:read'] as const),
  plan: { name: 'default', limits: UNLIMITED },
  revokedAt: null,
};

/** A principal with an open stream, and what has become of it. */
const streaming = (expiresInMs: number, toleranceMs = 0) => {
  const who = { kind: 'token' as const, id: 'a', consumer: { id: 'a' }, toleranceMs };
  const principal = new Principal(who, { ...STATE, expiresAt: Date.now() + expiresInMs }, watch);
  const ends: string[] = [];
  const forget = principal.onEnd('stream:read', (reason) => ends.push(reason));
  return { principal, ends, forget };
};

it('each stream ends when its own principal expires', () => {
  const [late, early, middle] = [streaming(3_000), streaming(1_000), streaming(2_000)];
  const ended = () => [early, middle, late].map(({ ends }) => ends.length);
  vi.advanceTimersByTime(999);
  expect(ended()).toEqual([0, 0, 0]);
  vi.advanceTimersByTime(1);
  expect(ended()).toEqual([1, 0, 0]);
  vi.advanceTimersByTime(1_000);
  expect(ended()).toEqual([1, 1, 0]);
  vi.advanceTimersByTime(1_000);
  expect(late.ends).toEqual(['credentials_expired']);
  expect(vi.getTimerCount()).toBe(0);
});

it('an expiry that is moved while a stream is open holds as it is now', () => {
  const { principal, ends } = streaming(1_000);
  principal.update({ ...STATE, expiresAt: Date.now() + 5_000 });
  vi.advanceTimersByTime(4_999);
  expect(ends).toEqual([]);
  vi.advanceTimersByTime(1);
  expect(ends).toEqual(['credentials_expired']);
});

it('of a token a stream ends between its own end and that of the tolerance; one that opens later has the rest', () => {
  const { principal, ends } = streaming(40_000, 30_000);
  vi.advanceTimersByTime(24_999);
  expect(ends).toEqual([]);
  vi.advanceTimersByTime(1);
  expect(ends).toEqual(['credentials_expired']);
  principal.onEnd('stream:read', (reason) => ends.push(reason));
  vi.advanceTimersByTime(14_999);
  expect(ends).toHaveLength(1);
  vi.advanceTimersByTime(1);
  expect(ends).toHaveLength(2);
});

it('an end that is further away than a timer can wait is not taken for one that is over', () => {
  const { ends } = streaming(30 * 24 * HOUR);
  vi.advanceTimersByTime(30 * 24 * HOUR - 1);
  expect(ends).toEqual([]);
  vi.advanceTimersByTime(1);
  expect(ends).toEqual(['credentials_expired']);
});

it('nothing is waited for where no stream is open, or the end has no time', () => {
  const { principal, forget } = streaming(1_000);
  expect(vi.getTimerCount()).toBe(1);
  forget();
  expect(vi.getTimerCount()).toBe(0);
  const again = principal.onEnd('stream:read', () => undefined);
  principal.update({ ...STATE, expiresAt: null });
  expect(vi.getTimerCount()).toBe(0);
  again();
  streaming(1_000);
  watch.close();
  expect(vi.getTimerCount()).toBe(0);
});
