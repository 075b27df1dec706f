import { describe, expect, it, vi } from 'vitest';
import { AppError } from '../../../../src/errors.js';
import { ask, gateWith, MINUTE, outcomeOf, settle, useFakeTime } from './gate-rig.js';

useFakeTime();

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
