import { describe, expect, it, test, vi } from 'vitest';
import { CoolDownLog } from '../../../../src/exchanges/rate-limit/cool-down.js';
import { createUpstreamGate } from '../../../../src/exchanges/rate-limit/exchange-gate.js';
import { recordingLog } from '../../../support/recording-log.js';
import { ask, gateWith, MINUTE, NOON, outcomeOf, refuse, settle, useFakeTime } from './gate-rig.js';

useFakeTime();

describe('the cool-down', () => {
  it('lets not one request leave for as long as the venue said, and refuses those who wait already', async () => {
    const gate = gateWith({ budget: { requests: 1, windowMs: 5000 } });
    await ask(gate);
    const waiting = outcomeOf(ask(gate));
    refuse(gate, { headers: { 'retry-after': '7' } });
    await settle();
    expect(waiting).toMatchObject({ value: 'upstream_rate_limited', retryAfterMs: 7000 });
    expect(waiting.error).toMatchObject({ upstream: { exchange: 'binance', status: 429 } });
    await vi.advanceTimersByTimeAsync(6999);
    for (const kind of ['data', 'markets'] as const)
      await expect(ask(gate, { kind })).rejects.toMatchObject({
        code: 'upstream_rate_limited',
        retryAfterMs: 1,
      });
    await vi.advanceTimersByTimeAsync(1);
    await expect(ask(gate)).resolves.toBeUndefined();
  });

  it.each([
    ['an HTTP date', { 'retry-after': 'Thu, 01 Jan 2026 12:00:30 GMT' }, 30_000],
    [
      'an HTTP date by the venue’s own clock',
      { 'retry-after': 'Thu, 01 Jan 2026 15:00:30 GMT', date: 'Thu, 01 Jan 2026 15:00:00 GMT' },
      30_000,
    ],
    ['a date that has passed', { 'retry-after': 'Thu, 01 Jan 2026 11:00:00 GMT' }, 500],
    ['nothing', {}, 5000],
    ['nonsense', { 'retry-after': 'soon' }, 5000],
    ['a negative number', { 'retry-after': '-1' }, 5000],
    ['a year', { 'retry-after': '31536000' }, 3 * 86_400_000],
  ])('takes Retry-After with %s', (_, headers, expected) => {
    const gate = gateWith();
    refuse(gate, { headers });
    expect(gate.state('binance').coolDownUntil).toBe(NOON + expected);
  });

  it('takes a 418 as a ban of two minutes where the venue does not say', () => {
    const gate = gateWith();
    refuse(gate, { status: 418 });
    expect(gate.state('binance')).toMatchObject({ coolDownUntil: NOON + 120_000, coolDownStatus: 418 });
  });

  it('begins when only the body says so', () => {
    const gate = gateWith();
    refuse(gate, { status: 200, bodyThrottled: true });
    expect(gate.state('binance').coolDownUntil).toBe(NOON + 5000);
  });

  it('does not begin after other failures', () => {
    const gate = gateWith();
    for (const status of [200, 400, 500, 503]) refuse(gate, { status });
    gate.report('binance', { status: null, headers: {}, bodyThrottled: false });
    expect(gate.state('binance').coolDownUntil).toBeNull();
  });

  it('doubles its guess with each repetition, is bounded, and forgets after a quiet time', async () => {
    const gate = gateWith();
    const lengths: number[] = [];
    for (let i = 0; i < 9; i += 1) {
      refuse(gate);
      refuse(gate); // one that was on its way: no repetition
      const until = gate.state('binance').coolDownUntil!;
      lengths.push(until - Date.now());
      await vi.advanceTimersByTimeAsync(until - Date.now());
    }
    expect(lengths).toEqual([5, 10, 20, 40, 80, 160, 320, 600, 600].map((s) => s * 1000));
    await vi.advanceTimersByTimeAsync(300_000);
    refuse(gate);
    expect(gate.state('binance').coolDownUntil).toBe(Date.now() + 5000);
  });

  it('is never shortened by a later refusal', () => {
    const gate = gateWith();
    refuse(gate, { headers: { 'retry-after': '60' } });
    refuse(gate, { headers: { 'retry-after': '1' } });
    expect(gate.state('binance').coolDownUntil).toBe(NOON + MINUTE);
  });
});

describe('the wait near a venue’s limit', () => {
  const used = (gate: ReturnType<typeof gateWith>, weight: number, exchange = 'binance') =>
    gate.report(exchange, {
      status: 200,
      headers: { 'x-mbx-used-weight-1m': String(weight) },
      bodyThrottled: false,
    });

  it('holds polls first, then everyone, until the venue’s next minute', async () => {
    const gate = gateWith({ budget: { requests: 100, windowMs: MINUTE } });
    await vi.advanceTimersByTimeAsync(50_000);
    used(gate, 4100);
    await ask(gate, { priority: 'poll' });
    used(gate, 4300);
    const poll = outcomeOf(ask(gate, { priority: 'poll' }));
    await ask(gate);
    used(gate, 5400);
    const caller = outcomeOf(ask(gate));
    const hurried = outcomeOf(ask(gate, { deadline: Date.now() + 5000 }));
    const markets = outcomeOf(ask(gate, { kind: 'markets' }));
    await settle();
    expect([poll, caller, markets].map(({ value }) => value)).toEqual(['waiting', 'waiting', 'waiting']);
    expect(hurried).toMatchObject({ value: 'upstream_rate_limited', retryAfterMs: 10_500 });
    await vi.advanceTimersByTimeAsync(10_500);
    expect([poll, caller, markets].map(({ value }) => value)).toEqual(['left', 'left', 'left']);
  });

  it('knows nothing of venues without such a header', async () => {
    const gate = gateWith();
    used(gate, 1_000_000, 'kraken');
    await expect(ask(gate, { exchange: 'kraken', deadline: Date.now() })).resolves.toBeUndefined();
  });
});

const startLogged = () => {
  const log = recordingLog();
  const gate = createUpstreamGate({
    budget: { requests: 100, windowMs: 60_000 },
    now: Date.now,
    onChange: ({ exchange }) => coolDowns.changed(exchange),
  });
  const coolDowns = new CoolDownLog({
    log,
    now: Date.now,
    wall: Date.now,
    stateOf: (exchange) => gate.state(exchange),
  });
  const refused = (retryAfter: string) =>
    gate.report('kraken', {
      status: 429,
      headers: { 'retry-after': retryAfter },
      bodyThrottled: false,
      reason: 'HTTP 429: slow down',
    });
  return { log, gate, coolDowns, refused };
};

test('a cool-down has one warning when it begins and one when it is over, however often it is extended', async () => {
  const { log, refused } = startLogged();
  refused('10');
  refused('20');
  refused('20');
  expect(log.warnings()).toEqual([
    'the exchange limits requests; none is sent until 2026-01-01T12:00:10.000Z',
  ]);
  await vi.advanceTimersByTimeAsync(19_999);
  expect(log.warnings()).toHaveLength(1);
  await vi.advanceTimersByTimeAsync(1);
  expect(log.lines.slice(1)).toEqual([
    {
      level: 'warn',
      details: { exchange: 'kraken', seconds: 20 },
      message: 'the cool-down is over; the exchange is asked again',
    },
  ]);
});

test('a cool-down that a replaced worker had begun is not told again, but its end is', async () => {
  const { gate, refused, coolDowns } = startLogged();
  refused('10');
  coolDowns.close();
  const log = recordingLog();
  const successor = createUpstreamGate({
    budget: { requests: 100, windowMs: 60_000 },
    now: Date.now,
    restored: [gate.state('kraken')],
  });
  const resumed = new CoolDownLog({
    log,
    now: Date.now,
    wall: Date.now,
    stateOf: (exchange) => successor.state(exchange),
  });
  resumed.resumed('kraken');
  resumed.resumed('binance');
  await vi.advanceTimersByTimeAsync(10_000);
  expect(log.warnings()).toEqual(['the cool-down is over; the exchange is asked again']);
});
