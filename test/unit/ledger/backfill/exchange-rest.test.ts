import { expect, test } from 'vitest';
import type { ExchangeHealth } from '../../../../src/exchanges/exchange-client.js';
import { createExchangeRest } from '../../../../src/ledger/backfill/exchange-rest.js';
import { FakeCandleVenue } from '../ledger-rig.js';

const NOW = 1_700_000_000_000;
const restOf = (health: Partial<ExchangeHealth>, budgetShare = 0.3) => {
  const venue = new FakeCandleVenue();
  venue.healthOf = { budget: { limit: 10, remaining: 10, windowMs: 60_000 }, ...health };
  const clock = { monotonic: 5_000 };
  const rest = createExchangeRest({
    exchanges: venue,
    budgetShare,
    now: () => NOW,
    monotonic: () => clock.monotonic,
  });
  return { rest, clock };
};

test('its share of the budget in each window, and then a rest until the first of them is a window old', () => {
  const { rest, clock } = restOf({});
  expect(rest.share('binance')).toEqual({ requests: 3, windowMs: 60_000 });
  for (let sent = 0; sent < 3; sent += 1) {
    expect(rest.of('binance')).toBeNull();
    rest.sent('binance');
    clock.monotonic += 1_000;
  }
  expect(rest.of('binance')).toEqual({ ms: 57_000, reason: 'budget' });
  clock.monotonic += 57_000;
  expect(rest.of('binance')).toBeNull();
  rest.sent('binance');
  expect(rest.of('binance')).toEqual({ ms: 1_000, reason: 'budget' });
});

test('one request at least, however small the share', () => {
  const { rest } = restOf({}, 0.01);
  expect(rest.share('binance').requests).toBe(1);
});

test('a cool-down is told with its end; an open circuit is none', () => {
  expect(restOf({ coolDownUntil: NOW + 90_000 }).rest.of('binance')).toEqual({
    ms: 90_000,
    reason: 'cool_down',
  });
  expect(restOf({ coolDownUntil: NOW - 1 }).rest.of('binance')).toBeNull();
  const { rest } = restOf({ circuit: 'open' });
  expect(rest.of('binance')).toBeNull();
  expect([rest.isCircuitOpen('binance'), rest.isCircuitOpen('kraken')]).toEqual([true, false]);
});

test('an exchange of which nothing is known yet may be asked, a little', () => {
  const { rest } = restOf({});
  expect(rest.of('kraken')).toBeNull();
  expect(rest.share('kraken')).toEqual({ requests: 1, windowMs: 60_000 });
});
