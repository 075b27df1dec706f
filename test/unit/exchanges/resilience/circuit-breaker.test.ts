import { describe, expect, it, vi } from 'vitest';
import { AppError } from '../../../../src/errors.js';
import {
  FIRST_OPEN_MS,
  MAX_OPEN_MS,
  OPEN_AFTER_FAILURES,
  isCircuitRefusal,
  withCircuitBreaker,
} from '../../../../src/exchanges/resilience/circuit-breaker.js';
import type { CallOptions, MarketAnswer } from '../../../../src/exchanges/exchange-client.js';
import { silentLog } from '../../../../src/log/log.js';
import { ANSWER, fakeClient, venueFault } from './fake-client.js';

const options: CallOptions = { deadline: 1e15, priority: 'caller' };
const down = venueFault('upstream_timeout');

const breaker = (...outcomes: (Error | Promise<MarketAnswer>)[]) => {
  const fake = fakeClient(...outcomes);
  const clock = { now: 1_000_000 };
  const log = { ...silentLog, warn: vi.fn(), info: vi.fn() };
  const guarded = withCircuitBreaker(fake.client, { now: () => clock.now, log });
  const ask = (exchange = 'binance') =>
    guarded.fetch({ kind: 'ticker', exchange, symbol: 'BTC/USDT' }, options).catch((error: unknown) => error);
  const circuit = () => guarded.health()[0]!.circuit;
  /** Asks until the circuit is open. */
  const open = async () => {
    for (let i = 0; i < OPEN_AFTER_FAILURES; i += 1) {
      fake.outcomes.unshift(down);
      await ask();
    }
  };
  return { ...fake, clock, log, guarded, ask, circuit, open };
};

describe('the circuit breaker', () => {
  it('lets calls and their failures through while the run of failures is short', async () => {
    const { ask, circuit, outcomes } = breaker();
    for (let round = 0; round < 3; round += 1) {
      for (let i = 1; i < OPEN_AFTER_FAILURES; i += 1) {
        outcomes.push(down);
        expect(await ask()).toBe(down);
      }
      expect(await ask()).toBe(ANSWER); // an answer ends the run
    }
    expect(circuit()).toBe('closed');
  });

  it.each([
    'upstream_unavailable',
    'upstream_timeout',
    'upstream_maintenance',
    'upstream_bad_response',
    'upstream_geo_blocked',
  ] as const)('opens after a run of %s', async (code) => {
    const { ask, circuit, outcomes } = breaker();
    for (let i = 0; i < OPEN_AFTER_FAILURES; i += 1) {
      outcomes.push(venueFault(code));
      await ask();
    }
    expect(circuit()).toBe('open');
  });

  it('opens after a run of failures: no call leaves, and callers hear the failure and when to come back', async () => {
    const { ask, circuit, client, clock, open, guarded, log } = breaker();
    await open();
    clock.now += 500;
    const calls = client.fetch.mock.calls.length;
    const refusal = await ask();
    expect(client.fetch).toHaveBeenCalledTimes(calls);
    expect(refusal).toMatchObject({
      code: 'upstream_timeout',
      retryAfterMs: FIRST_OPEN_MS - 500,
      upstream: { exchange: 'binance', status: 503 },
    });
    expect(isCircuitRefusal(refusal as AppError)).toBe(true);
    expect(isCircuitRefusal(down)).toBe(false);
    expect(circuit()).toBe('open');
    expect(guarded.health()[0]).toMatchObject({ since: 1_000_000 });
    expect(log.warn).toHaveBeenCalledTimes(1);
  });

  it('keeps one exchange’s failures from another', async () => {
    const { ask, open, guarded } = breaker();
    await open();
    expect(await ask('kraken')).toBe(ANSWER);
    expect(guarded.health().map(({ circuit }) => circuit)).toEqual(['open', 'closed']);
  });

  it('closes when a probe is answered, and lets one probe go at a time', async () => {
    const { ask, circuit, client, clock, open, outcomes, log } = breaker();
    await open();
    clock.now += FIRST_OPEN_MS;
    let land: (answer: MarketAnswer) => void = () => undefined;
    outcomes.push(new Promise((resolve) => (land = resolve)));
    const calls = client.fetch.mock.calls.length;
    const probe = ask();
    expect(circuit()).toBe('half_open');
    expect(await ask()).toMatchObject({ code: 'upstream_timeout', retryAfterMs: FIRST_OPEN_MS });
    expect(client.fetch).toHaveBeenCalledTimes(calls + 1);
    land(ANSWER);
    expect(await probe).toBe(ANSWER);
    expect(circuit()).toBe('closed');
    expect(log.info).toHaveBeenCalledTimes(1);
  });

  it('stays open twice as long after each failed probe, up to a bound', async () => {
    const { ask, circuit, clock, open, outcomes } = breaker();
    await open();
    const waits: number[] = [];
    for (let i = 0; i < 6; i += 1) {
      const refusal = (await ask()) as AppError;
      waits.push(refusal.retryAfterMs!);
      clock.now += refusal.retryAfterMs!;
      outcomes.push(down);
      expect(await ask()).toBe(down);
      expect(circuit()).toBe('open');
    }
    expect(waits).toEqual([2000, 4000, 8000, 16_000, MAX_OPEN_MS, MAX_OPEN_MS]);
  });

  it('allows another probe when one ends without a word about the venue, or is never heard of again', async () => {
    const { ask, circuit, clock, open, outcomes } = breaker();
    await open();
    clock.now += FIRST_OPEN_MS;
    outcomes.push(new AppError('upstream_unavailable', 'worker died'));
    await ask();
    outcomes.push(new Promise(() => undefined));
    void ask();
    expect(circuit()).toBe('half_open');
    clock.now += 30_000;
    expect(await ask()).toBe(ANSWER);
  });

  it.each([
    ['a bad request', venueFault('symbol_not_found')],
    ['a rate limit, which has its cool-down', venueFault('upstream_rate_limited')],
    ['our own budget', venueFault('upstream_budget_exhausted')],
    ['a dead worker, which says nothing about the venue', new AppError('upstream_unavailable', 'worker')],
    ['a bug of ours', new TypeError('bug')],
  ])('is not opened by %s', async (_, error) => {
    const { ask, circuit, outcomes } = breaker();
    for (let i = 0; i < OPEN_AFTER_FAILURES * 2; i += 1) {
      outcomes.push(error);
      expect(await ask()).toBeInstanceOf(AppError);
    }
    expect(circuit()).toBe('closed');
  });

  it('is not opened by callers who leave', async () => {
    const { circuit, guarded, outcomes } = breaker();
    const left = { ...options, signal: AbortSignal.abort() };
    for (let i = 0; i < OPEN_AFTER_FAILURES; i += 1) {
      outcomes.push(down);
      await expect(guarded.fetch({ kind: 'ticker', exchange: 'binance', symbol: 'X/Y' }, left)).rejects.toBe(
        down,
      );
    }
    expect(circuit()).toBe('closed');
  });

  it('counts failures of calls that left before it opened as the same run', async () => {
    const pending: ((error: Error) => void)[] = [];
    const late = () => new Promise<MarketAnswer>((_, reject) => pending.push(reject));
    const { ask, circuit, open, outcomes } = breaker();
    outcomes.push(late(), late());
    const calls = [ask(), ask()];
    await open();
    for (const reject of pending) reject(down);
    await Promise.all(calls);
    expect(circuit()).toBe('open');
    expect(await ask()).toMatchObject({ retryAfterMs: FIRST_OPEN_MS });
  });

  it('lets market lists that are in memory pass and guards their first load', async () => {
    const { client, guarded, open, state } = breaker();
    await open();
    await expect(guarded.markets('binance', options)).resolves.toEqual({ markets: [], loadedAt: 1 });
    state.health = state.health.map((health) => ({ ...health, markets: 'load_failed' as const }));
    await expect(guarded.markets('binance', options)).rejects.toMatchObject({ code: 'upstream_timeout' });
    expect(client.markets).toHaveBeenCalledTimes(1);
  });

  it('passes everything else on', async () => {
    const { client, guarded } = breaker();
    const sink = { onItem: () => undefined, onEnd: () => undefined };
    const topic = { channel: 'ticker', exchange: 'binance', symbol: 'BTC/USDT' } as const;
    guarded.watch(topic, sink);
    expect(client.watch).toHaveBeenCalledWith(topic, sink);
    await expect(guarded.describe('binance')).rejects.toThrow('describe');
    await guarded.close();
    expect(client.close).toHaveBeenCalledTimes(1);
  });
});
