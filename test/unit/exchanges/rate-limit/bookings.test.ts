import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { AppError } from '../../../../src/errors.js';
import { createUpstreamGate } from '../../../../src/exchanges/rate-limit/exchange-gate.js';
import type { AdmitRequest, BookRequest } from '../../../../src/exchanges/rate-limit/upstream-gate.js';

const NOON = Date.UTC(2026, 0, 1, 12, 0, 0);
const MINUTE = 60_000;

const gateWith = (requests: number, windowMs = MINUTE) => {
  const gate = createUpstreamGate({ budget: { requests, windowMs }, now: Date.now });
  const base = { exchange: 'kraken', priority: 'caller' } as const;
  const soon = () => Date.now() + 20_000;
  return {
    ...gate,
    used: () => requests - gate.state('kraken').budget.remaining,
    book: async (requested: number, rest: Partial<BookRequest> = {}) => {
      const booked = await gate.book({ ...base, deadline: soon(), ...rest, requests: requested });
      if ('most' in booked) throw new Error('it is beyond the budget');
      return booked;
    },
    refusalOf: (requested: number, rest: Partial<BookRequest> = {}): Promise<AppError> =>
      gate.book({ ...base, deadline: soon(), ...rest, requests: requested }).then(
        () => Promise.reject(new Error('it was booked')),
        (error: unknown) => error as AppError,
      ),
    ask: (rest: Partial<AdmitRequest> = {}) =>
      gate.admit({ ...base, kind: 'data', deadline: soon(), ...rest }),
    /** How many requests of a class can be booked at all; none of them is. */
    most: async (withinMs: number, priority: 'caller' | 'poll' = 'caller') => {
      const deadline = Date.now() + withinMs;
      const booked = await gate.book({ ...base, priority, deadline, requests: 1_000_000 });
      return 'most' in booked ? booked.most : Infinity;
    },
  };
};

const outcomeOf = (promise: Promise<void>) => {
  const outcome = { value: 'waiting' };
  promise.then(
    () => (outcome.value = 'left'),
    (error: unknown) => (outcome.value = (error as AppError).code),
  );
  return outcome;
};
const settle = () => vi.advanceTimersByTimeAsync(0);

beforeEach(() => {
  vi.useFakeTimers({ now: NOON });
});
afterEach(() => {
  expect(vi.getTimerCount()).toBe(0);
  vi.useRealTimers();
});

describe('slots booked for a call', () => {
  it('are all kept or none, and a refusal spends nothing and says when all can be had', async () => {
    const gate = gateWith(10);
    await gate.ask();
    await vi.advanceTimersByTimeAsync(1000);
    await gate.book(7);
    expect(await gate.refusalOf(3)).toMatchObject({
      code: 'upstream_budget_exhausted',
      retryAfterMs: 59_000,
      upstream: { exchange: 'kraken' },
    });
    expect(gate.used()).toBe(1);
    await gate.book(2);
    expect(await gate.refusalOf(1)).toMatchObject({ code: 'upstream_budget_exhausted' });
  });

  it('serve its requests whenever they come, and no others', async () => {
    const gate = gateWith(5);
    const booking = await gate.book(3);
    await gate.ask();
    await gate.ask();
    await expect(gate.ask()).rejects.toMatchObject({ code: 'upstream_budget_exhausted' });
    for (let page = 0; page < 3; page += 1) {
      await vi.advanceTimersByTimeAsync(1000);
      await gate.ask({ booking });
    }
    expect(gate.used()).toBe(5);
    const fourth = gate.ask({ booking });
    await expect(fourth).rejects.toMatchObject({ code: 'upstream_budget_exhausted' });
  });

  it('go back when the call ends before it used them, and those who wait get them at once', async () => {
    const gate = gateWith(4, 10_000);
    const booking = await gate.book(4);
    await gate.ask({ booking });
    const waiting = outcomeOf(gate.ask());
    await settle();
    expect(waiting.value).toBe('waiting');
    booking.release();
    booking.release();
    await settle();
    expect(waiting.value).toBe('left');
    expect(gate.used()).toBe(2);
    (await gate.book(2)).release();
  });

  it('come one by one where they are more than a window holds, in the order of booking', async () => {
    const gate = gateWith(5, 1000);
    const left: string[] = [];
    const page = async (name: string, booking: Awaited<ReturnType<typeof gate.book>>): Promise<void> => {
      await gate.ask({ booking });
      left.push(name);
    };
    const first = await gate.book(7);
    const second = await gate.book(3);
    const single = gate.ask().then(() => left.push('single'));
    const calls = Promise.all(
      [first, second].map(async (booking, index) => {
        for (let n = 0; n < (index === 0 ? 7 : 3); n += 1) await page(index === 0 ? 'a' : 'b', booking);
      }),
    );
    await vi.advanceTimersByTimeAsync(999);
    expect(left.join('')).toBe('aaaaa');
    await vi.advanceTimersByTimeAsync(1);
    expect([...left].sort().join('')).toBe('aaaaaaabbb');
    await vi.advanceTimersByTimeAsync(1000);
    await Promise.all([calls, single]);
    expect(left.at(-1)).toBe('single');
  });

  it('do not overtake those who waited before', async () => {
    const gate = gateWith(2, 10_000);
    await gate.ask();
    await vi.advanceTimersByTimeAsync(4000);
    await gate.ask();
    const early = outcomeOf(gate.ask({ deadline: Date.now() + 6000 }));
    const booking = await gate.book(1);
    const late = outcomeOf(gate.ask({ booking }));
    await vi.advanceTimersByTimeAsync(6000);
    expect([early.value, late.value]).toEqual(['left', 'waiting']);
    await vi.advanceTimersByTimeAsync(4000);
    expect(late.value).toBe('left');
  });

  it('are given up at their deadline, whatever has become of the call', async () => {
    const gate = gateWith(2);
    const booking = await gate.book(2);
    await vi.advanceTimersByTimeAsync(20_001);
    await gate.book(2);
    await expect(gate.ask({ booking })).rejects.toMatchObject({ code: 'upstream_budget_exhausted' });
  });

  it('keep a request waiting that came before they were released', async () => {
    const gate = gateWith(1, 1000);
    await gate.ask();
    const booking = await gate.book(2);
    const page = outcomeOf(gate.ask({ booking }));
    booking.release();
    await vi.advanceTimersByTimeAsync(1000);
    expect(page.value).toBe('left');
  });

  it('are lost in a cool-down, during which none is given', async () => {
    const gate = gateWith(1, 1000);
    await gate.ask();
    const booking = await gate.book(2);
    const page = outcomeOf(gate.ask({ booking }));
    gate.report('kraken', { status: 429, headers: { 'retry-after': '7' }, bodyThrottled: false });
    await settle();
    expect(page.value).toBe('upstream_rate_limited');
    expect(await gate.refusalOf(1)).toMatchObject({ code: 'upstream_rate_limited', retryAfterMs: 7000 });
    await vi.advanceTimersByTimeAsync(7000);
    await gate.ask();
  });

  it('of a poll come out of the polls’ half', async () => {
    const gate = gateWith(10);
    await gate.book(5, { priority: 'poll' });
    expect(await gate.refusalOf(1, { priority: 'poll' })).toMatchObject({
      code: 'upstream_budget_exhausted',
    });
    await gate.book(5);
  });

  it('of polls are used up by their own requests', async () => {
    const gate = gateWith(4);
    const booking = await gate.book(2, { priority: 'poll' });
    await gate.ask({ priority: 'poll', booking });
    await gate.ask({ priority: 'poll', booking });
    await expect(gate.ask({ priority: 'poll' })).rejects.toMatchObject({ code: 'upstream_budget_exhausted' });
    await gate.ask();
  });

  it('are bounded in number', async () => {
    const gate = gateWith(10, 1);
    await gate.book(1000);
    expect(await gate.refusalOf(1)).toMatchObject({ code: 'upstream_budget_exhausted' });
  });

  it('are as many at most as the windows until the deadline hold', async () => {
    const gate = gateWith(10);
    expect(await Promise.all([gate.most(20_000), gate.most(20_000, 'poll'), gate.most(-1)])).toEqual([
      10, 5, 10,
    ]);
    expect(await gateWith(10, 5000).most(20_000)).toBe(50);
  });
});
