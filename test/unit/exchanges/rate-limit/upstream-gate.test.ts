import { afterEach, beforeEach, describe, expect, it, test, vi } from 'vitest';
import { AppError } from '../../../../src/errors.js';
import { createUpstreamGate } from '../../../../src/exchanges/rate-limit/exchange-gate.js';
import type {
  AdmitRequest,
  GateState,
  UpstreamGateOptions,
} from '../../../../src/exchanges/rate-limit/upstream-gate.js';

const NOON = Date.UTC(2026, 0, 1, 12, 0, 0);
const MINUTE = 60_000;

const gateWith = (options: Partial<UpstreamGateOptions> = {}) =>
  createUpstreamGate({ budget: { requests: 10, windowMs: MINUTE }, now: Date.now, ...options });
type Gate = ReturnType<typeof gateWith>;

const ask = (gate: Gate, request: Partial<AdmitRequest> = {}) =>
  gate.admit({
    exchange: 'binance',
    kind: 'data',
    priority: 'caller',
    deadline: Date.now() + 20_000,
    ...request,
  });

/** 'left', or the error's code and retry time: what a caller sees by now. */
const outcomeOf = (promise: Promise<void>) => {
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
const settle = () => vi.advanceTimersByTimeAsync(0);

const refuse = (gate: Gate, { status = 429, headers = {}, bodyThrottled = false } = {}) =>
  gate.report('binance', { status, headers, bodyThrottled });

beforeEach(() => {
  vi.useFakeTimers({ now: NOON });
});
afterEach(() => {
  expect(vi.getTimerCount()).toBe(0);
  vi.useRealTimers();
});

test('clients that wait for the budget take turns, however many requests each of them has', async () => {
  const gate = gateWith({ budget: { requests: 2, windowMs: 1000 } });
  const left: string[] = [];
  const askAs = (client: string) => {
    ask(gate, { client }).then(
      () => left.push(client),
      () => left.push(`${client} refused`),
    );
  };
  for (let i = 0; i < 30; i += 1) askAs('a');
  for (let i = 0; i < 3; i += 1) askAs('b');
  await vi.advanceTimersByTimeAsync(3_100);
  expect(left).toHaveLength(8);
  expect(left.filter((client) => client === 'b')).toHaveLength(3);
  await vi.advanceTimersByTimeAsync(20_000);
});

test('a line that one client has filled makes room for another client', async () => {
  const gate = gateWith({ budget: { requests: 1, windowMs: 1000 } });
  const deadline = Date.now() + 10_000_000;
  const crowd = Array.from({ length: 1001 }, () => outcomeOf(ask(gate, { client: 'a', deadline })));
  await settle();
  const more = outcomeOf(ask(gate, { client: 'a', deadline }));
  const other = outcomeOf(ask(gate, { client: 'b', deadline }));
  await vi.advanceTimersByTimeAsync(3_100);
  expect(more.value).toBe('upstream_budget_exhausted');
  expect(other.value).toBe('left');
  expect(crowd.filter(({ value }) => value === 'upstream_budget_exhausted')).toHaveLength(1);
  refuse(gate);
  await settle();
});

test('a refusal takes nothing, and comes where the slot would come after the deadline', async () => {
  const gate = gateWith();
  for (let i = 0; i < 10; i += 1) await ask(gate);
  await expect(ask(gate)).rejects.toMatchObject({
    code: 'upstream_budget_exhausted',
    retryAfterMs: MINUTE,
  });
  const patient = outcomeOf(ask(gate, { deadline: NOON + MINUTE }));
  await settle();
  expect(patient.value).toBe('waiting');
  refuse(gate);
  await expect(ask(gate, { kind: 'markets' })).rejects.toMatchObject({ code: 'upstream_rate_limited' });
  expect(gate.state('binance')).toMatchObject({ waiting: 0, reserveUsed: [], budget: { remaining: 0 } });
});

describe('a backfill', () => {
  it('leaves where a poll could and nothing else waits for a slot, and is refused with the time elsewhere', async () => {
    const gate = gateWith();
    for (let i = 0; i < 5; i += 1) await ask(gate, { priority: 'backfill' });
    for (let i = 0; i < 4; i += 1) await ask(gate, { priority: 'poll' });
    await ask(gate, { priority: 'backfill' });
    const refusal = { code: 'upstream_budget_exhausted', retryAfterMs: MINUTE };
    await expect(ask(gate, { priority: 'backfill', deadline: NOON + 2 * MINUTE })).rejects.toMatchObject(
      refusal,
    );
  });

  it('takes nothing of the polls’ half', async () => {
    const gate = gateWith();
    for (let i = 0; i < 5; i += 1) await ask(gate, { priority: 'backfill' });
    for (let i = 0; i < 5; i += 1) await ask(gate, { priority: 'poll' });
    expect(gate.state('binance').budget.remaining).toBe(0);
  });

  it('waits for the venue’s pace behind all others, and is refused where they leave it no slot', async () => {
    const gate = gateWith({ budget: { requests: 4, windowMs: MINUTE } });
    const pace = { weight: 1, unitMs: 1000 };
    await ask(gate, { pace });
    const backfill = outcomeOf(ask(gate, { priority: 'backfill', pace }));
    await settle();
    expect(backfill.value).toBe('waiting');
    const callers = [1, 2, 3].map(() => outcomeOf(ask(gate, { pace })));
    await vi.advanceTimersByTimeAsync(3000);
    expect(callers.map(({ value }) => value)).toEqual(['left', 'left', 'left']);
    expect(backfill.value).toBe('upstream_budget_exhausted');
  });
});

describe('the budget', () => {
  it('lets the budget through at once and refuses the next at once, with the time until a slot is free', async () => {
    const gate = gateWith();
    for (let i = 0; i < 10; i += 1) await ask(gate);
    await vi.advanceTimersByTimeAsync(1000);
    const refused = outcomeOf(ask(gate));
    await settle();
    expect(refused).toMatchObject({ value: 'upstream_budget_exhausted', retryAfterMs: 59_000 });
    expect(refused.error).toMatchObject({ upstream: { exchange: 'binance' }, retryable: true });
    expect(gate.state('binance').budget).toEqual({ limit: 10, remaining: 0, windowMs: MINUTE });
  });

  it('never lets more than the budget leave in any window, however requests arrive', async () => {
    const gate = gateWith({ budget: { requests: 7, windowMs: 1000 } });
    const left: number[] = [];
    for (let step = 0; step < 400; step += 1) {
      const burst = (step * 7919) % 5;
      for (let i = 0; i < burst; i += 1)
        void ask(gate, {
          deadline: Date.now() + ((step * 31) % 3000),
          priority: i % 2 === 0 ? 'caller' : 'poll',
        }).then(
          () => left.push(Date.now()),
          () => undefined,
        );
      await vi.advanceTimersByTimeAsync((step * 131) % 97);
    }
    await vi.advanceTimersByTimeAsync(5000);
    expect(left.length).toBeGreaterThan(100);
    for (const [index, at] of left.entries()) {
      const eighth = left[index + 7];
      if (eighth !== undefined) expect(eighth - at).toBeGreaterThanOrEqual(1000);
    }
  });

  it('keeps the budgets of two exchanges apart', async () => {
    const gate = gateWith({ budget: { requests: 1, windowMs: MINUTE } });
    await ask(gate);
    await expect(ask(gate, { exchange: 'kraken' })).resolves.toBeUndefined();
  });

  it('lets requests wait in order for a slot that comes within their deadline', async () => {
    const gate = gateWith({ budget: { requests: 2, windowMs: 10_000 } });
    await ask(gate);
    await vi.advanceTimersByTimeAsync(4000);
    await ask(gate);
    const first = outcomeOf(ask(gate));
    const second = outcomeOf(ask(gate));
    const third = outcomeOf(ask(gate, { deadline: Date.now() + 15_999 }));
    await settle();
    expect([first.value, second.value, third.value]).toEqual([
      'waiting',
      'waiting',
      'upstream_budget_exhausted',
    ]);
    expect(third.retryAfterMs).toBe(16_000);
    expect(gate.state('binance').waiting).toBe(2);
    await vi.advanceTimersByTimeAsync(6000);
    expect([first.value, second.value]).toEqual(['left', 'waiting']);
    await vi.advanceTimersByTimeAsync(4000);
    expect(second.value).toBe('left');
  });

  it('lets a newcomer never overtake those who wait', async () => {
    const gate = gateWith({ budget: { requests: 1, windowMs: 1000 } });
    await ask(gate);
    const waiting = outcomeOf(ask(gate));
    vi.setSystemTime(Date.now() + 1000); // the slot is free, its timer has not fired yet
    const newcomer = outcomeOf(ask(gate, { deadline: Date.now() + 500 }));
    await settle();
    expect([waiting.value, newcomer.value]).toEqual(['left', 'upstream_budget_exhausted']);
  });

  it('refuses a waiter whose deadline has passed before its timer came', async () => {
    const gate = gateWith({ budget: { requests: 1, windowMs: 1000 } });
    await ask(gate);
    const late = outcomeOf(ask(gate, { deadline: Date.now() + 1500 }));
    vi.setSystemTime(Date.now() + 2000);
    await ask(gate);
    await settle();
    expect(late.value).toBe('upstream_budget_exhausted');
  });

  it('bounds the queue', async () => {
    const gate = gateWith({ budget: { requests: 1, windowMs: 1 } });
    await ask(gate);
    const callers = Array.from({ length: 1001 }, () => new AbortController());
    const outcomes = callers.map(({ signal }) => outcomeOf(ask(gate, { signal })));
    await settle();
    expect(outcomes.filter(({ value }) => value === 'waiting')).toHaveLength(1000);
    expect(outcomes.at(-1)?.value).toBe('upstream_budget_exhausted');
    for (const caller of callers) caller.abort();
    await settle();
    expect(gate.state('binance').waiting).toBe(0);
  });

  it('gives a place back when its waiter gives up, with the reason where it is one of ours', async () => {
    const gate = gateWith({ budget: { requests: 1, windowMs: 1000 } });
    await ask(gate);
    const abort = new AbortController();
    const quitter = outcomeOf(ask(gate, { signal: abort.signal }));
    const next = outcomeOf(ask(gate));
    abort.abort(new AppError('shutting_down', 'bye'));
    await vi.advanceTimersByTimeAsync(1000);
    expect([quitter.value, next.value]).toEqual(['shutting_down', 'left']);
    const aborted = outcomeOf(ask(gate, { signal: AbortSignal.abort() }));
    await settle();
    expect(aborted.value).toBe('upstream_timeout');
  });
});

describe('polls and market lists', () => {
  it('keeps polls to half of the budget while callers may use all of it', async () => {
    const gate = gateWith();
    for (let i = 0; i < 5; i += 1) await ask(gate, { priority: 'poll' });
    const poll = outcomeOf(ask(gate, { priority: 'poll' }));
    await settle();
    expect(poll).toMatchObject({ value: 'upstream_budget_exhausted', retryAfterMs: MINUTE });
    for (let i = 0; i < 5; i += 1) await ask(gate);
    expect(gate.state('binance').budget.remaining).toBe(0);
  });

  it('lets waiting callers go before waiting polls', async () => {
    const gate = gateWith({ budget: { requests: 2, windowMs: 1000 } });
    await ask(gate);
    await ask(gate);
    const poll = outcomeOf(ask(gate, { priority: 'poll' }));
    const callers = [outcomeOf(ask(gate)), outcomeOf(ask(gate))];
    await vi.advanceTimersByTimeAsync(1000);
    expect([...callers, poll].map(({ value }) => value)).toEqual(['left', 'left', 'waiting']);
    await vi.advanceTimersByTimeAsync(1000);
    expect(poll.value).toBe('left');
  });

  it('has a small reserve for market lists when the budget is gone, and not more', async () => {
    const gate = gateWith({ budget: { requests: 1, windowMs: MINUTE } });
    await ask(gate);
    for (let i = 0; i < 4; i += 1) await ask(gate, { kind: 'markets' });
    await expect(ask(gate, { kind: 'markets' })).rejects.toMatchObject({ code: 'upstream_budget_exhausted' });
  });
});

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

describe('the brake before a limit', () => {
  const used = (gate: Gate, weight: number, exchange = 'binance') =>
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

describe('the state', () => {
  it('survives a restart: budget, reserve, cool-down and repetitions', async () => {
    const first = gateWith({ budget: { requests: 2, windowMs: MINUTE } });
    await ask(first);
    await ask(first, { priority: 'poll' });
    for (let i = 0; i < 4; i += 1) await ask(first, { kind: 'markets' });
    refuse(first);
    const restored = structuredClone([first.state('binance')]);
    const second = gateWith({ budget: { requests: 2, windowMs: MINUTE }, restored });
    expect(second.state('binance')).toEqual(first.state('binance'));
    await expect(ask(second)).rejects.toMatchObject({ code: 'upstream_rate_limited' });
    await vi.advanceTimersByTimeAsync(5000);
    for (const kind of ['data', 'markets'] as const)
      await expect(ask(second, { kind })).rejects.toMatchObject({ code: 'upstream_budget_exhausted' });
    refuse(second);
    expect(second.state('binance').strikes).toBe(2);
  });

  it('is told at once when a cool-down or a brake starts', () => {
    const states: GateState[] = [];
    const gate = gateWith({ onChange: (state) => states.push(state) });
    refuse(gate, { status: 200 });
    expect(states).toHaveLength(0);
    refuse(gate);
    refuse(gate, { status: 200, headers: { 'x-mbx-used-weight-1m': '5999' } });
    expect(states.map(({ coolDownUntil }) => coolDownUntil)).toEqual([NOON + 5000, NOON + 5000]);
    expect(states[1]?.brakeUntil.callers).toBeGreaterThan(NOON);
  });

  it('stays small however many requests leave', async () => {
    const gate = gateWith({ budget: { requests: 100_000, windowMs: MINUTE } });
    for (let i = 0; i < 5000; i += 1) {
      await ask(gate);
      if (i % 5 === 0) vi.setSystemTime(Date.now() + 50);
    }
    expect(gate.state('binance').used.length).toBeLessThan(260);
    expect(gate.state('binance').budget.remaining).toBe(95_000);
  });
});
