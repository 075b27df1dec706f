// What a plan allows at once, and what it lets a caller ask for.
import { describe, expect, test } from 'vitest';
import { createLiveLimits } from '../../../src/access/live-limits.js';
import { candleUnits, createPermits, PERMITS_ALL } from '../../../src/access/permit.js';
import type { PlanLimits } from '../../../src/access/plan.js';
import { limitsOfBody } from '../../../src/access/plan-limits.js';
import { Principal } from '../../../src/access/principal.js';
import { AppError } from '../../../src/errors.js';
import type { PlanLimitsBody } from '../../../src/schemas/access.js';

const callerOf = (limits: PlanLimitsBody, kind: 'key' | 'anonymous' = 'key', id = 'k') => {
  const plan: { name: string; limits: PlanLimits } = { name: 'p', limits: limitsOfBody(limits) };
  const principal = new Principal(
    { kind, id, consumer: { id } },
    { name: 'n', scopes: new Set(), plan, expiresAt: null, revokedAt: null },
  );
  return { principal, client: '10.0.0.1', plan };
};

const codeOf = (work: () => unknown): string => {
  try {
    work();
    return 'ok';
  } catch (thrown) {
    return AppError.from(thrown).code;
  }
};

describe('what is open at once', () => {
  test('is bounded by the plan: streams, and each that ends frees its slot once', () => {
    const live = createLiveLimits();
    const caller = callerOf({ streams: 2 });
    const [first] = [live.openStream(caller), live.openStream(caller)];
    expect(codeOf(() => live.openStream(caller))).toBe('stream_limit_reached');
    first.end();
    first.end();
    live.openStream(caller);
    expect(codeOf(() => live.openStream(caller))).toBe('stream_limit_reached');
  });

  test('is bounded by the plan: subscriptions, of all connections of a consumer together', () => {
    const live = createLiveLimits();
    const caller = callerOf({ subscriptions: 1 });
    const opened = live.openSubscription(caller, 'binance BTC/USDT');
    expect(() => live.openSubscription({ ...caller, client: '10.0.0.2' }, 'binance BTC/USDT')).toThrow(
      'The plan allows at most 1 subscriptions at once.',
    );
    opened.end();
    live.openSubscription(caller, 'binance ETH/USDT');
  });

  test('is bounded by the plan: distinct symbols, over streams and subscriptions', () => {
    const live = createLiveLimits();
    const caller = callerOf({ symbols: 2 });
    const ends = [
      live.openSymbol(caller, 'binance BTC/USDT'),
      live.openSubscription(caller, 'binance BTC/USDT'),
      live.openSubscription(caller, 'kraken BTC/USDT'),
    ];
    expect(codeOf(() => live.openSymbol(caller, 'binance ETH/USDT'))).toBe('stream_limit_reached');
    expect(codeOf(() => live.openSubscription(caller, 'binance ETH/USDT'))).toBe('stream_limit_reached');
    ends[0]?.end();
    expect(codeOf(() => live.openSymbol(caller, 'binance ETH/USDT'))).toBe('stream_limit_reached');
    ends[1]?.end();
    expect(codeOf(() => live.openSymbol(caller, 'binance ETH/USDT'))).toBe('ok');
  });

  test('is counted by address where there is no key, and not at all without a limit', () => {
    const live = createLiveLimits();
    const anonymous = callerOf({ streams: 1 }, 'anonymous');
    live.openStream(anonymous);
    expect(codeOf(() => live.openStream(anonymous))).toBe('stream_limit_reached');
    expect(codeOf(() => live.openStream({ ...anonymous, client: '10.0.0.2' }))).toBe('ok');
    const free = callerOf({}, 'key', 'free');
    for (let i = 0; i < 50; i++) live.openSubscription(free, `binance ${i}`);
  });

  test('is let go where a plan becomes smaller, and bounds what comes', () => {
    const live = createLiveLimits();
    const caller = callerOf({ streams: 5 });
    const ends = [1, 2, 3].map(() => live.openStream(caller));
    caller.plan.limits = limitsOfBody({ streams: 1 });
    for (const place of ends.slice(1)) place.end();
    expect(codeOf(() => live.openStream(caller))).toBe('stream_limit_reached');
    ends[0]?.end();
    expect(codeOf(() => live.openStream(caller))).toBe('ok');
  });
});

describe('what a caller may ask for', () => {
  const permits = createPermits((name) => (name === 'coinbasepro' ? 'coinbaseexchange' : name));

  test('is the exchanges of the plan, by any of their names', () => {
    const permit = permits(callerOf({ exchanges: ['binance', 'coinbasepro'] }).principal);
    expect(() => permit.requireExchange('kraken')).toThrow('The plan does not include the exchange kraken.');
    expect(codeOf(() => permit.requireExchange('kraken'))).toBe('plan_forbids');
    for (const exchange of ['binance', 'coinbaseexchange'])
      expect(codeOf(() => permit.requireExchange(exchange))).toBe('ok');
    expect(codeOf(() => permits(callerOf({}).principal).requireExchange('kraken'))).toBe('ok');
  });

  test('is as many candles as the plan has, and the lesser of it and the default without a limit', () => {
    const permit = permits(callerOf({ ohlcv_max: 100 }).principal);
    expect([permit.candles(100, 500), permit.candles(undefined, 500), permit.candles(undefined, 50)]).toEqual(
      [100, 100, 50],
    );
    expect(codeOf(() => permit.candles(101, 500))).toBe('plan_forbids');
    const free = permits(callerOf({}).principal);
    expect([free.candles(2000, 500), free.candles(undefined, 500)]).toEqual([2000, 500]);
  });

  test('is a backfill where the plan has it', () => {
    const [without, free] = [
      permits(callerOf({ backfill: false }).principal),
      permits(callerOf({}).principal),
    ];
    expect(codeOf(() => without.requireBackfill())).toBe('plan_forbids');
    expect(codeOf(() => free.requireBackfill())).toBe('ok');
    expect([without.mayBackfill, free.mayBackfill]).toEqual([false, true]);
  });

  test('follows the plan while a connection is open', () => {
    const caller = callerOf({});
    const permit = permits(caller.principal);
    permit.requireExchange('kraken');
    caller.plan.limits = limitsOfBody({ exchanges: ['binance'] });
    expect(codeOf(() => permit.requireExchange('kraken'))).toBe('plan_forbids');
  });

  test('is everything where access is off', () => {
    PERMITS_ALL.requireExchange('anything');
    PERMITS_ALL.requireBackfill();
    expect([PERMITS_ALL.candles(2000, 500), PERMITS_ALL.candles(undefined, 500)]).toEqual([2000, 500]);
    expect(PERMITS_ALL.mayBackfill).toBe(true);
  });
});

test('candles cost a unit for each begun 500', () => {
  expect([1, 500, 501, 2000].map(candleUnits)).toEqual([1, 1, 2, 4]);
});
