import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { CoolDownLog } from '../../../../src/exchanges/rate-limit/cool-down.js';
import { createUpstreamGate } from '../../../../src/exchanges/rate-limit/exchange-gate.js';
import { recordingLog } from '../../../support/recording-log.js';

const NOON = Date.UTC(2026, 0, 14, 12);

beforeEach(() => {
  vi.useFakeTimers({ now: NOON });
});
afterEach(() => {
  vi.useRealTimers();
});

const start = () => {
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
  const { log, refused } = start();
  refused('10');
  refused('20');
  refused('20');
  expect(log.warnings()).toEqual([
    'the exchange limits requests; none is sent until 2026-01-14T12:00:10.000Z',
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
  const { gate, refused, coolDowns } = start();
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
