import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { createRequestIds } from '../../../src/http/requests/request-id.js';
import { asAppError, instanceOf, retryAfterSeconds } from '../../../src/http/problems/problem.js';
import { AppError } from '../../../src/errors.js';
import { clientKey } from '../../../src/access/client-limiter.js';
import { createLoadGauge } from '../../../src/http/limits/load-gauge.js';

test('ids of one process differ, and carry its prefix', () => {
  const ids = createRequestIds('host');
  const of = (id: string | string[] | undefined) =>
    ids.of({ headers: id === undefined ? {} : { 'x-request-id': id } });
  expect([of(undefined), of(['a', 'b']), of('\n'), of('kept'), ids.next()]).toEqual([
    'host-1',
    'host-2',
    'host-3',
    'kept',
    'host-4',
  ]);
});

test.each([
  ['192.0.2.1', '192.0.2.1'],
  ['::ffff:192.0.2.1', '192.0.2.1'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
  ['2001:db8:1:2::9', '2001:db8:1:2::/64'],
  ['2001:db8::1', '2001:db8::/64'],
  ['2001:DB8:0:0::1', '2001:db8::/64'],
  ['::1', '::/64'],
  ['::ffff:c000:201', '192.0.2.1'],
  ['0:0:0:0:0:ffff:c000:201', '192.0.2.1'],
  ['192.0.2.1:56789', '192.0.2.1'],
  ['[2001:db8:1:2::9]:443', '2001:db8:1:2::/64'],
  ['[2001:db8:1:2::9]', '2001:db8:1:2::/64'],
  ['[::ffff:192.0.2.1]:80', '192.0.2.1'],
  ['fe80::1%eth0', 'fe80::/64'],
  ['unknown', 'unknown'],
  ['_hidden:1', '_hidden:1'],
])('%s is counted as %s', (address, key) => {
  expect(clientKey(address)).toBe(key);
});

describe('the load gauge', () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  test('one pause is no overload, rounds that are late one after the other are, and it passes', () => {
    let now = 0;
    const gauge = createLoadGauge(400, () => now);
    const round = (late: number) => {
      now += 200 + late;
      vi.advanceTimersByTime(200);
    };
    for (let i = 0; i < 5; i++) round(0);
    expect(gauge.lagMs()).toBe(0);
    round(15_000);
    expect(gauge.lagMs()).toBe(3_000);
    expect(gauge.overloaded()).toBe(false);
    for (let i = 0; i < 4; i++) round(500);
    expect(gauge.overloaded()).toBe(true);
    for (let i = 0; i < 5; i++) round(0);
    expect(gauge.overloaded()).toBe(false);
    gauge.close();
    expect(vi.getTimerCount()).toBe(0);
  });

  test('with a limit of 0 nothing is overload', () => {
    let now = 0;
    const gauge = createLoadGauge(0, () => now);
    for (let i = 0; i < 5; i++) {
      now += 60_000;
      vi.advanceTimersByTime(200);
    }
    expect(gauge.lagMs()).toBe(59_800);
    expect(gauge.overloaded()).toBe(false);
    gauge.close();
  });
});

describe('problems', () => {
  test('Retry-After is a whole number of seconds, at least 1, on 429 and 503 only', () => {
    const seconds = (code: AppError['code'], retryAfterMs?: number) =>
      retryAfterSeconds(new AppError(code, '', { retryAfterMs }));
    expect(seconds('upstream_rate_limited', 1)).toBe('1');
    expect(seconds('upstream_unavailable', 1001)).toBe('2');
    expect(seconds('upstream_timeout')).toBe('1');
    expect(seconds('upstream_error', 5000)).toBeNull();
  });

  test.each([
    [{ statusCode: 413 }, 'payload_too_large'],
    [{ statusCode: 415 }, 'invalid_request'],
    [{ statusCode: 404 }, 'not_found'],
    [{ statusCode: 422 }, 'invalid_request'],
    [{ code: 'FST_ERR_BAD_URL' }, 'invalid_request'],
    [{ statusCode: 500 }, 'internal_error'],
    [null, 'internal_error'],
    ['text', 'internal_error'],
  ])('%j is %s', (thrown, code) => {
    expect(asAppError(thrown).code).toBe(code);
  });

  test('the instance is the path alone', () => {
    expect(instanceOf('/a/b?key=secret')).toBe('/a/b');
  });
});
