// How long a refusal asks to be left alone: in headers, in the texts that venues write, and measured from their clock.
import { describe, expect, it } from 'vitest';
import { requestedWait } from '../../../../src/exchanges/rate-limit/retry-after.js';

const NOW = Date.UTC(2026, 0, 14, 6, 15, 15);
const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const inText = (body: string): number | null => requestedWait({ headers: {}, body }, NOW);
const inHeaders = (headers: Readonly<Record<string, string>>): number | null =>
  requestedWait({ headers, body: '' }, NOW);

describe('a text', () => {
  it.each([
    ['Try again in 5 minutes', 5 * MINUTE],
    ['please wait 60 sec', MINUTE],
    ['Please wait at least 2 hrs', 2 * HOUR],
    ['banned for 1 day', 24 * HOUR],
    ['Retry after 1200 ms', 1200],
    ['retry after 1.5s', 1500],
    ['wait 3 mins', 3 * MINUTE],
    ['{"retry_after": 30}', 30 * SECOND],
    ['{"retryAfterMs":1500}', 1500],
    ['{"message":"too_many_requests","wait":4}', 4 * SECOND],
  ])('with a duration: %s', (body, wait) => {
    expect(inText(body)).toBe(wait);
  });

  it.each([
    [`IP banned until ${NOW + 7 * MINUTE}.`, 7 * MINUTE],
    [`EService:Throttled: ${(NOW + 9 * SECOND) / 1000}`, 9 * SECOND],
    [`{"retryAfter":${NOW + 3 * MINUTE}}`, 3 * MINUTE],
    [`{"unlockTime":"${NOW + 3 * MINUTE}"}`, 3 * MINUTE],
    ['blocked until 2026-01-14 06:20:15', 5 * MINUTE],
    ['lifted at 2026-01-14T06:16:15.500Z', 60_500],
    ['expires 2026-01-14 08:15:15+01:00', HOUR],
  ])('with an instant: %s', (body, wait) => {
    expect(inText(body)).toBe(wait);
  });

  it.each([
    '',
    'Too many requests.',
    'wait 5',
    'limit of 1200 requests in 60',
    'wait 0 seconds',
    `IP banned until ${NOW - MINUTE}.`,
    'blocked until 2026-01-14 06:10:15',
    'blocked until 2026-99-99 06:10:15',
    `${'x'.repeat(5000)} wait 60 seconds`,
  ])('that names no time to come: %s', (body) => {
    expect(inText(body)).toBeNull();
  });

  it('is believed for three days at most', () => {
    expect(inText('banned for 90 days')).toBe(72 * HOUR);
    expect(inText(`banned until ${NOW + 30 * 24 * HOUR}`)).toBe(72 * HOUR);
  });
});

describe('a header', () => {
  it.each([
    [{ 'retry-after': '12' }, 12 * SECOND],
    [{ 'retry-after-ms': '250' }, 250],
    [{ 'x-bapi-limit-reset-timestamp': String(NOW + 800) }, 800],
    [{ 'x-gate-ratelimit-reset-timestamp': String((NOW + 10 * SECOND) / 1000) }, 10 * SECOND],
    [{ 'gw-ratelimit-reset': '1800000' }, 30 * MINUTE],
    [{ 'ratelimit-reset': '7' }, 7 * SECOND],
  ])('%j', (headers, wait) => {
    expect(inHeaders(headers)).toBe(wait);
  });

  it.each([
    {},
    { 'ratelimit-reset': '' },
    { 'ratelimit-reset': 'soon' },
    { 'ratelimit-reset': '0' },
    { 'ratelimit-reset': '-5' },
    { 'x-bapi-limit-reset-timestamp': String(NOW - 1) },
  ])('%j says nothing', (headers) => {
    expect(inHeaders(headers)).toBeNull();
  });

  it('is one of several: the longest wait counts', () => {
    const headers = { 'retry-after': '5', 'ratelimit-reset': '20' };
    expect(requestedWait({ headers, body: 'wait 10 seconds' }, NOW)).toBe(20 * SECOND);
    expect(requestedWait({ headers, body: 'wait 10 minutes' }, NOW)).toBe(10 * MINUTE);
  });
});

describe("the exchange's clock", () => {
  const until = `banned until ${NOW + 10 * MINUTE}`;
  const at = (headers: Readonly<Record<string, string>>) => requestedWait({ headers, body: until }, NOW);

  it('is that of its answer, kept as long as `Age` says', () => {
    const date = new Date(NOW - 5 * MINUTE).toUTCString();
    expect(at({ date })).toBe(15 * MINUTE);
    expect(at({ date, age: '60' })).toBe(14 * MINUTE);
  });

  it('is ours where the answer names no time, or one that differs by no more than a rounding', () => {
    expect(at({})).toBe(10 * MINUTE);
    expect(at({ date: 'yesterday' })).toBe(10 * MINUTE);
    expect(at({ date: new Date(NOW - 2 * SECOND).toUTCString() })).toBe(10 * MINUTE);
  });
});
