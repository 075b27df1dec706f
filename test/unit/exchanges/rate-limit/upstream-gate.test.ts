import { describe, expect, it, test, vi } from 'vitest';
import type { SharedBudget, SharedListener } from '../../../../src/exchanges/rate-limit/shared-budget.js';
import type { GateState } from '../../../../src/exchanges/rate-limit/upstream-gate.js';
import { ask, gateWith, MINUTE, NOON, outcomeOf, refuse, settle, useFakeTime } from './gate-rig.js';

useFakeTime();

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

test('a queue that one client has filled gives up a place for another client', async () => {
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
    const pace = { weight: 1, unitMs: 1000, capacity: 1 };
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
    expect(second.state('binance').refusals).toBe(2);
  });

  it('is told at once when a cool-down, or a wait near the venue’s limit, starts', () => {
    const states: GateState[] = [];
    const gate = gateWith({ onChange: (state) => states.push(state) });
    refuse(gate, { status: 200 });
    expect(states).toHaveLength(0);
    refuse(gate);
    refuse(gate, { status: 200, headers: { 'x-mbx-used-weight-1m': '5999' } });
    expect(states.map(({ coolDownUntil }) => coolDownUntil)).toEqual([NOON + 5000, NOON + 5000]);
    expect(states[1]?.nearLimitUntil.callers).toBeGreaterThan(NOON);
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

/** A shared count that does not answer; `heard` gives the gate's listener. */
const unanswered = (heard: (listener: SharedListener) => void): SharedBudget => ({
  ...{ isShared: false, servers: 2, lateMs: 50 },
  ...{ listen: (_exchange, listener) => heard(listener), departed: () => undefined },
  ...{ take: () => Promise.resolve(null), book: () => Promise.resolve(null) },
  ...{ unbook: () => undefined, report: () => undefined },
});

test('a server that cannot ask the shared count takes nothing of what all have saved up', async () => {
  const gate = gateWith({
    budget: { requests: 1_000, windowMs: MINUTE },
    shared: unanswered(() => undefined),
  });
  const pace = { weight: 1, unitMs: 1_000, capacity: 10 };
  await ask(gate, { pace });
  await vi.advanceTimersByTimeAsync(MINUTE);
  const outcomes = Array.from({ length: 4 }, () => outcomeOf(ask(gate, { pace })));
  await settle();
  expect(outcomes.map(({ value }) => value)).toEqual(['left', 'left', 'waiting', 'waiting']);
  await vi.advanceTimersByTimeAsync(2_000);
  expect(outcomes.map(({ value }) => value)).toEqual(['left', 'left', 'left', 'left']);
});

test('what other servers may have sent a little after it was counted is counted for so much longer', async () => {
  let listener: SharedListener | undefined;
  const shared = unanswered((given) => (listener = given));
  const gate = gateWith({ budget: { requests: 4, windowMs: 1_000 }, shared });
  gate.state('binance');
  listener!.changed();
  listener!.departed({ poll: false, reserve: false });
  listener!.departed({ poll: false, reserve: false });
  // Its own counts as two.
  await ask(gate);
  const next = outcomeOf(ask(gate));
  await vi.advanceTimersByTimeAsync(1_049);
  expect(next.value).toBe('waiting');
  await vi.advanceTimersByTimeAsync(1);
  expect(next.value).toBe('left');
  // What waited is told for the metrics: one request not at all, the other a window and that little.
  expect(gate.state('binance').budget.shared).toMatchObject({ isShared: false, waits: { sum: 1.05 } });
  expect(gate.state('binance').budget.shared?.waits.counts).toEqual([1, ...Array(9).fill(0), 1, 0, 0, 0]);
});
