import { afterEach, expect, test, vi } from 'vitest';
import type { ExchangeHealth } from '../../../../src/exchanges/exchange-client.js';
import { AppError } from '../../../../src/errors.js';
import {
  createBackfillBudget,
  type BackfillBudget,
} from '../../../../src/ledger/backfill/backfill-budget.js';
import { FakeCandleVenue } from '../ledger-rig.js';

afterEach(() => {
  vi.useRealTimers();
});

const NOW = 1_700_000_000_000;
const budgetOf = (health: Partial<ExchangeHealth>, budgetShare = 0.3) => {
  const venue = new FakeCandleVenue();
  venue.healthOf = { budget: { limit: 10, remaining: 10, windowMs: 60_000 }, ...health };
  const clock = { monotonic: 5_000 };
  const budget = createBackfillBudget({
    exchanges: venue,
    budgetShare,
    now: () => NOW,
    monotonic: () => clock.monotonic,
  });
  return { budget, clock };
};

const NEVER = new AbortController().signal;
const send = (budget: BackfillBudget) => budget.page('binance', NEVER, () => Promise.resolve());

test('its share of the budget in each window, and then none until the first of them is a window old', async () => {
  const { budget, clock } = budgetOf({});
  expect(budget.share('binance')).toEqual({ requests: 3, windowMs: 60_000 });
  for (let sent = 0; sent < 3; sent += 1) {
    expect(budget.waitOf('binance')).toBeNull();
    await send(budget);
    clock.monotonic += 1_000;
  }
  expect(budget.waitOf('binance')).toEqual({ ms: 57_000, reason: 'budget' });
  clock.monotonic += 57_000;
  expect(budget.waitOf('binance')).toBeNull();
  await send(budget);
  expect(budget.waitOf('binance')).toEqual({ ms: 1_000, reason: 'budget' });
});

test('one request at least, however small the share', () => {
  const { budget } = budgetOf({}, 0.01);
  expect(budget.share('binance').requests).toBe(1);
});

test('a cool-down is told with its end; an open circuit is none', () => {
  expect(budgetOf({ coolDownUntil: NOW + 90_000 }).budget.waitOf('binance')).toEqual({
    ms: 90_000,
    reason: 'cool_down',
  });
  expect(budgetOf({ coolDownUntil: NOW - 1 }).budget.waitOf('binance')).toBeNull();
  const { budget } = budgetOf({ circuit: 'open' });
  expect(budget.waitOf('binance')).toBeNull();
  expect([budget.isCircuitOpen('binance'), budget.isCircuitOpen('kraken')]).toEqual([true, false]);
});

test('an exchange of which nothing is known yet may be asked, a little', () => {
  const { budget } = budgetOf({});
  expect(budget.waitOf('kraken')).toBeNull();
  expect(budget.share('kraken')).toEqual({ requests: 1, windowMs: 60_000 });
});

test('one page at a time, in the order of their coming; those beyond the share wait for it', async () => {
  vi.useFakeTimers();
  const { budget, clock } = budgetOf({});
  const begun: number[] = [];
  const ends: (() => void)[] = [];
  const ask = (page: number) =>
    budget.page('binance', NEVER, () => {
      begun.push(page);
      return new Promise<void>((resolve) => ends.push(resolve));
    });
  const pages = [1, 2, 3, 4].map(ask);
  await vi.advanceTimersByTimeAsync(0);
  expect(begun).toEqual([1]);
  for (const end of [0, 1, 2]) {
    ends[end]?.();
    await vi.advanceTimersByTimeAsync(0);
  }
  expect(begun).toEqual([1, 2, 3]);
  clock.monotonic += 60_000;
  await vi.advanceTimersByTimeAsync(60_000);
  expect(begun).toEqual([1, 2, 3, 4]);
  ends[3]?.();
  await Promise.all(pages);
});

test('a page that waits ends with its signal; one that was refused before it left costs nothing, any other does', async () => {
  const { budget } = budgetOf({}, 0.1);
  const fail = (code: 'upstream_budget_exhausted' | 'upstream_timeout') =>
    budget.page('binance', NEVER, () => Promise.reject(new AppError(code, 'no')));
  await expect(fail('upstream_budget_exhausted')).rejects.toMatchObject({
    code: 'upstream_budget_exhausted',
  });
  expect(budget.waitOf('binance')).toBeNull();
  await expect(fail('upstream_timeout')).rejects.toMatchObject({ code: 'upstream_timeout' });
  expect(budget.waitOf('binance')).toMatchObject({ reason: 'budget' });
  const ending = new AbortController();
  const asked = vi.fn();
  const waiting = budget.page('binance', ending.signal, () => Promise.resolve(asked()));
  ending.abort(new AppError('shutting_down', 'over'));
  await expect(waiting).rejects.toMatchObject({ code: 'shutting_down' });
  expect(asked).not.toHaveBeenCalled();
});
