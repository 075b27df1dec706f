import { describe, expect, test } from 'vitest';
import type { AppError } from '../../../src/errors.js';
import type { PlanLimits } from '../../../src/access/plan.js';
import { bodyOfLimits, limitsOfBody, limitsOfText, textOfLimits } from '../../../src/access/plan-limits.js';
import { Principal } from '../../../src/access/principal.js';
import { createQuotas, type Caller } from '../../../src/access/quotas.js';
import { planLimits, type PlanLimitsBody } from '../../../src/schemas/access.js';

/** A Thursday in November, half an hour before midnight by UTC. */
const AT = Date.UTC(2026, 10, 26, 23, 30);
const HALF_HOUR = 1_800_000;

const callerOf = (limits: PlanLimitsBody, who: { id?: string; kind?: 'key' | 'anonymous' } = {}) => {
  const { id = 'k1', kind = 'key' } = who;
  const plan: { name: string; limits: PlanLimits } = { name: 'p', limits: limitsOfBody(limits) };
  const principal = new Principal(
    { kind, id, consumer: { id: `of-${id}` } },
    { name: 'n', scopes: new Set(['market:read']), plan, expiresAt: null, revokedAt: null },
  );
  return { principal, client: '10.0.0.1', plan };
};

const rig = (clientRule: { requests: number; windowMs: number } | null = null) => {
  const clock = { now: AT };
  const quotas = createQuotas({
    clientRule,
    shared: false,
    now: () => clock.now,
    monotonic: () => clock.now - 1_000_000,
  });
  return { clock, quotas };
};

const code = (refusal: AppError | undefined): string => refusal?.code ?? 'ok';
const taken = ({ quotas }: ReturnType<typeof rig>, caller: Caller, count: number): string[] =>
  Array.from({ length: count }, () => code(quotas.take(caller)));

describe('requests a window', () => {
  test('are refused beyond the plan, with the wait until the window ends', () => {
    const it = rig();
    const caller = callerOf({ requests: 2, window: 10 });
    expect(taken(it, caller, 2)).toEqual(['ok', 'ok']);
    it.clock.now += 4_000;
    const refusal = it.quotas.take(caller);
    expect(refusal).toMatchObject({
      code: 'client_rate_limited',
      retryAfterMs: 6_000,
      violatedPolicies: ['window'],
    });
    it.clock.now += 6_000;
    expect(taken(it, caller, 1)).toEqual(['ok']);
  });

  test('are not counted of a plan without a window, whatever the client limit', () => {
    const it = rig({ requests: 1, windowMs: 60_000 });
    expect(taken(it, callerOf({}), 50)).toEqual(Array(50).fill('ok'));
  });

  test('of a plan that callers without a key have too are not limited by the client limit', () => {
    const it = rig({ requests: 1, windowMs: 60_000 });
    const anonymous = callerOf({}, { kind: 'anonymous' });
    const keyed = callerOf({});
    keyed.plan.limits = anonymous.plan.limits;
    expect(taken(it, anonymous, 2)).toEqual(['ok', 'client_rate_limited']);
    expect(taken(it, keyed, 5)).toEqual(Array(5).fill('ok'));
  });

  test('of callers without a key are counted by address, those of keys by consumer', () => {
    const it = rig({ requests: 1, windowMs: 60_000 });
    const anonymous = callerOf({}, { kind: 'anonymous' });
    const elsewhere = { ...anonymous, client: '10.0.0.2' };
    expect(taken(it, anonymous, 2)).toEqual(['ok', 'client_rate_limited']);
    expect(taken(it, elsewhere, 2)).toEqual(['ok', 'client_rate_limited']);
    const [one, other] = [callerOf({ requests: 1 }), callerOf({ requests: 1 }, { id: 'k2' })];
    expect(taken(it, one, 2)).toEqual(['ok', 'client_rate_limited']);
    expect(taken(it, { ...one, client: '10.0.0.9' }, 1)).toEqual(['client_rate_limited']);
    expect(taken(it, other, 1)).toEqual(['ok']);
  });

  test.each([
    [{ requests: 3, windowMs: 60_000 }, { requests: 2 }, 2],
    [{ requests: 2, windowMs: 60_000 }, { requests: 3 }, 2],
    [{ requests: 4, windowMs: 30_000 }, { requests: 3 }, 3],
  ])(
    'without a key: of the client limit %j and the plan %j the stricter one holds',
    (rule, plan, allowed) => {
      const it = rig(rule);
      const anonymous = callerOf(plan, { kind: 'anonymous' });
      expect(taken(it, anonymous, 6).filter((one) => one === 'ok')).toHaveLength(allowed);
    },
  );

  test('follow a change of the plan at once', () => {
    const it = rig();
    const caller = callerOf({ requests: 1 });
    expect(taken(it, caller, 2)).toEqual(['ok', 'client_rate_limited']);
    caller.plan.limits = limitsOfBody({ requests: 5 });
    expect(taken(it, caller, 1)).toEqual(['ok']);
    caller.plan.limits = limitsOfBody({});
    expect(taken(it, caller, 9)).toEqual(Array(9).fill('ok'));
  });

  test('can be taken several at a time', () => {
    const it = rig();
    const caller = callerOf({ requests: 10 });
    expect(code(it.quotas.take(caller, { count: 10 }))).toBe('ok');
    expect(taken(it, caller, 1)).toEqual(['client_rate_limited']);
  });
});

describe('units of a day and a month', () => {
  test('refuse once they are spent, until midnight by UTC; what is free is answered meanwhile', () => {
    const it = rig();
    const caller = callerOf({ day: 3 });
    expect(taken(it, caller, 9)).toEqual(Array(9).fill('ok'));
    it.quotas.spend(caller, 2);
    expect(taken(it, caller, 1)).toEqual(['ok']);
    it.quotas.spend(caller, 1);
    expect(it.quotas.take(caller)).toMatchObject({
      code: 'quota_exceeded',
      message: 'All 3 units of this day are used up.',
      retryAfterMs: HALF_HOUR,
      violatedPolicies: ['day'],
    });
    expect(it.quotas.take(caller, { free: true })).toBeUndefined();
    it.clock.now += HALF_HOUR;
    expect(taken(it, caller, 1)).toEqual(['ok']);
    expect(it.quotas.standing(caller).used).toEqual({ window: 0, day: 0, month: 3 });
  });

  test('that are set aside for a request under way are there for no other', () => {
    const it = rig();
    const caller = callerOf({ day: 5, month: 50 });
    it.quotas.spend(caller, 1);
    expect(it.quotas.hold(caller, 5)).toMatchObject({
      code: 'quota_exceeded',
      message: 'The request costs 5 units, and 1 of the 5 of this day are used.',
      violatedPolicies: ['day'],
    });
    expect(code(it.quotas.hold(caller, 3))).toBe('ok');
    expect(code(it.quotas.hold(caller, 2))).toBe('quota_exceeded');
    expect(code(it.quotas.hold(callerOf({ day: 5 }, { id: 'k2' }), 5))).toBe('ok');
    expect(taken(it, caller, 1)).toEqual(['ok']);
    expect(code(it.quotas.hold(caller, 1))).toBe('ok');
    expect(taken(it, caller, 1)).toEqual(['quota_exceeded']);
    it.quotas.release(caller, 3);
    it.quotas.release(caller, 1);
    expect(code(it.quotas.hold(caller, 4))).toBe('ok');
    expect(it.quotas.standing(caller).used).toEqual({ window: 0, day: 1, month: 1 });
  });

  test('of a month refuse until the next one, and name every limit that is used up', () => {
    const it = rig();
    const caller = callerOf({ day: 1, month: 2 });
    it.quotas.spend(caller, 1);
    expect(it.quotas.take(caller)?.violatedPolicies).toEqual(['day']);
    it.quotas.spend(caller, 1);
    expect(it.quotas.take(caller)).toMatchObject({
      violatedPolicies: ['day', 'month'],
      retryAfterMs: Date.UTC(2026, 11, 1) - AT,
    });
    it.clock.now = Date.UTC(2026, 11, 1);
    expect(taken(it, caller, 1)).toEqual(['ok']);
  });

  test('of callers without a key are counted by address', () => {
    const it = rig();
    const anonymous = callerOf({ day: 2, month: 3 }, { kind: 'anonymous' });
    it.quotas.spend(anonymous, 2);
    expect(it.quotas.take(anonymous)).toMatchObject({ code: 'quota_exceeded', violatedPolicies: ['day'] });
    expect(taken(it, { ...anonymous, client: '10.0.0.2' }, 1)).toEqual(['ok']);
    it.clock.now += HALF_HOUR;
    expect(taken(it, anonymous, 1)).toEqual(['ok']);
    it.quotas.spend(anonymous, 1);
    expect(it.quotas.take(anonymous)?.violatedPolicies).toEqual(['month']);
    expect(it.quotas.standing(anonymous).used).toEqual({ window: 0, day: 1, month: 3 });
  });

  test('are what all servers have written, and what is not written yet', () => {
    const it = rig();
    const caller = callerOf({ day: 100 });
    const { units } = it.quotas;
    expect(it.quotas.isKnown(caller.principal)).toBe(false);
    it.quotas.spend(caller, 5);
    units.settle('of-k1', { day: 40, month: 90 }, units.periods());
    expect(it.quotas.isKnown(caller.principal)).toBe(true);
    expect(units.used('of-k1')).toMatchObject({ day: 45, month: 95 });
    units.written('of-k1', 5);
    it.quotas.spend(caller, 2);
    units.settle('of-k1', { day: 60, month: 110 }, units.periods());
    expect(units.used('of-k1')).toMatchObject({ day: 62, month: 112 });
  });

  test('of yesterday do not become those of today by a late word', () => {
    const it = rig();
    const { units } = it.quotas;
    const asked = units.periods();
    it.clock.now += HALF_HOUR;
    units.settle('of-k1', { day: 40, month: 90 }, asked);
    expect(units.used('of-k1')).toMatchObject({ day: 0, month: 90 });
  });

  test('need not be known where no plan limits them', () => {
    const it = rig();
    expect(it.quotas.isKnown(callerOf({ requests: 1 }).principal)).toBe(true);
    expect(it.quotas.isKnown(callerOf({ day: 1 }, { kind: 'anonymous' }).principal)).toBe(true);
    expect(it.quotas.isKnown(callerOf({ month: 1 }).principal)).toBe(false);
  });
});

describe('what is told of limits', () => {
  test('is one entry a limit, with what is left and when it begins anew', () => {
    const it = rig();
    const caller = callerOf({ requests: 600, day: 50_000, month: 1_000_000 });
    it.quotas.take(caller);
    it.quotas.spend(caller, 4);
    it.clock.now += 12_000;
    expect(it.quotas.limits(caller)).toEqual([
      { name: 'window', quota: 600, windowMs: 60_000, remaining: 599, resetMs: 48_000 },
      { name: 'day', quota: 50_000, windowMs: 86_400_000, remaining: 49_996, resetMs: HALF_HOUR - 12_000 },
      {
        name: 'month',
        quota: 1_000_000,
        windowMs: 30 * 86_400_000,
        remaining: 999_996,
        resetMs: Date.UTC(2026, 11, 1) - it.clock.now,
      },
    ]);
    expect(it.quotas.standing(caller)).toEqual({
      used: { window: 1, day: 4, month: 4 },
      resets: {
        window: AT + 60_000,
        day: Date.UTC(2026, 10, 27),
        month: Date.UTC(2026, 11, 1),
      },
    });
  });

  test('is nothing where there is no limit', () => {
    const it = rig();
    expect(it.quotas.limits(callerOf({}))).toEqual([]);
    expect(it.quotas.standing(callerOf({})).resets).toEqual({ window: null, day: null, month: null });
  });
});

test('the units of consumers that were not heard of for long are forgotten first', () => {
  const it = rig();
  const { units } = it.quotas;
  for (let i = 0; i <= 100_000; i++) units.spend(`c${i}`, 1);
  expect(units.used('c100000').day).toBe(1);
  expect(units.used('c0').day).toBe(0);
});

describe('a plan in words', () => {
  const whole = {
    ...{ requests: 2, window: 30, day: 3, month: 4, streams: 5, subscriptions: 6, symbols: 7 },
    ...{ exchanges: ['binance'], ohlcv_max: 8, backfill: false, graphql_cost: 9 },
  };
  test('comes back as it was given, and what it leaves out is unlimited', () => {
    expect(bodyOfLimits(limitsOfText(textOfLimits(limitsOfBody(whole))))).toEqual(whole);
    expect(bodyOfLimits(limitsOfBody({}))).toEqual({});
    expect(bodyOfLimits(limitsOfBody({ requests: 1 }))).toEqual({ requests: 1, window: 60 });
  });

  test.each([
    ...['requests', 'window', 'day', 'month', 'streams', 'subscriptions', 'symbols', 'ohlcv_max'].flatMap(
      (name) => [{ [name]: 0 }, { [name]: -1 }, { [name]: 1.5 }, { [name]: '2' }, { [name]: null }],
    ),
    { graphql_cost: 0 },
    { exchanges: [] },
    { exchanges: ['a b'] },
    { exchanges: 'binance' },
    { backfill: 1 },
    { unknown: 1 },
    { window: 86_401 },
  ])('is refused as %j', (body) => {
    expect(planLimits.safeParse(body).success).toBe(false);
  });
});
