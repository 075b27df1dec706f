/** What CoinMarketCap's answers mean, without asking it. */
import { describe, expect, it } from 'vitest';
import { AppError } from '../../../src/errors.js';
import { createAllowance, REQUESTS_PER_MINUTE } from '../../../src/coinmarketcap/allowance.js';
import {
  historyAnswer,
  instantOf,
  mapAnswer,
  quoteIn,
  quotesAnswer,
} from '../../../src/coinmarketcap/answers.js';
import { chooseCoin, createCurrencyIds } from '../../../src/coinmarketcap/currency-ids.js';
import { failureOf, faultOf } from '../../../src/coinmarketcap/faults.js';

const coin = (id: number, name: string, more: object = {}) => ({
  id,
  name,
  symbol: 'UNI',
  rank: id,
  ...more,
});

describe('the shapes of quotes', () => {
  const money = { price: 5, volume_24h: 1, last_updated: '2023-11-14T22:13:00.000Z' };
  const head = { id: 1, name: 'Bitcoin', symbol: 'BTC', slug: 'bitcoin' };
  const v1 = { ...head, quote: { USD: money } };
  const v3 = {
    ...head,
    quote: [
      { id: 2781, symbol: 'EUR', ...money, price: 4 },
      { id: 2781, symbol: 'USD', ...money },
    ],
  };

  it.each([
    ['keyed by id (v1, v2)', { 1: v1 }],
    ['lists under a symbol (v2)', { BTC: [v1, { ...v1, id: 9 }] }],
    ['lists in both places (v3)', [v3]],
    ['one object', v1],
  ])('%s are understood, and everything else they say is kept', (_name, data) => {
    const parsed = quotesAnswer.parse({ data, status: {} });
    const found = parsed.data.find(({ id }) => id === 1)!;
    expect(quoteIn(found.quote, 'USD')).toMatchObject(money);
    expect(quoteIn(found.quote, 'GBP')).toBeUndefined();
    expect(quoteIn(found.quote, '__proto__')).toBeUndefined();
    expect(found).toMatchObject({ slug: 'bitcoin' });
  });

  it.each([
    null,
    {},
    { data: null },
    { data: { 1: { id: 1 } } },
    { data: [{ ...v1, quote: { USD: { price: 'x' } } }] },
  ])('that make no sense are refused: %j', (answer) => {
    expect(quotesAnswer.safeParse(answer).success).toBe(false);
  });

  it('of histories may be one object or keyed by id', () => {
    const one = {
      id: 1,
      quotes: [{ time_open: 'x', quote: { USD: { open: 1, high: 1, low: 1, close: null } } }],
    };
    expect(historyAnswer.parse({ data: one }).data[0]!.quotes.length).toBe(1);
    expect(historyAnswer.parse({ data: { 1: one } }).data[0]!.id).toBe(1);
    expect(mapAnswer.parse({ data: [coin(1, 'a')] }).data.length).toBe(1);
  });

  it('have instants only where they have', () => {
    expect(instantOf('2023-11-14T22:13:20.000Z')).toBe(1_700_000_000_000);
    expect(instantOf('soon')).toBeUndefined();
    expect(instantOf(undefined)).toBeUndefined();
  });
});

describe('an ambiguous code', () => {
  it('means the best ranked active coin of exactly that code', () => {
    const coins = [
      coin(7083, 'Uniswap', { rank: 25 }),
      coin(2, 'UNICORN', { rank: 4000 }),
      coin(3, 'x', { rank: 1, symbol: 'UNI2' }),
    ];
    expect(chooseCoin(coins, 'UNI')?.id).toBe(7083);
    expect(
      chooseCoin([coin(1, 'dead', { is_active: 0 }), coin(2, 'alive', { is_active: 1 })], 'UNI')?.id,
    ).toBe(2);
    expect(chooseCoin([], 'UNI')).toBeUndefined();
  });

  it('means the same coin whatever the order, where ranks do not tell', () => {
    const coins = [
      coin(3, 'b', { rank: null }),
      coin(2, 'a', { rank: undefined }),
      coin(1, 'b', { rank: null }),
    ];
    expect(chooseCoin(coins, 'UNI')?.id).toBe(2);
    expect(chooseCoin(coins.toReversed(), 'UNI')?.id).toBe(2);
    expect(chooseCoin([coins[0]!, coins[2]!], 'UNI')?.id).toBe(1);
    expect(chooseCoin([coin(1, 'a', { rank: null }), coin(2, 'z', { rank: 5 })], 'UNI')?.id).toBe(2);
  });

  it('is looked up once a day, an unknown one once an hour', async () => {
    let at = 0;
    const ids = createCurrencyIds(() => at);
    let loads = 0;
    const load = (coins: ReturnType<typeof coin>[]) => () => {
      loads += 1;
      return Promise.resolve(coins);
    };
    expect(await ids.idOf('UNI', load([coin(7, 'a')]))).toBe(7);
    at = 86_399_999;
    expect(await ids.idOf('UNI', load([]))).toBe(7);
    expect(loads).toBe(1);
    at += 1;
    await expect(ids.idOf('UNI', load([]))).rejects.toMatchObject({ code: 'symbol_not_found' });
    await expect(ids.idOf('UNI', load([coin(7, 'a')]))).rejects.toMatchObject({ code: 'symbol_not_found' });
    at += 3_600_000;
    expect(await ids.idOf('UNI', load([coin(7, 'a')]))).toBe(7);
    expect(loads).toBe(3);
  });
});

describe('a refusal', () => {
  // 2023-11-14T22:13:20Z
  const T = 1_700_000_000_000;
  const of = (status: number, code: number | null, retryAfterMs?: number) =>
    faultOf({ status, code, retryAfterMs }, T).fault;

  it.each([
    [1001, 401, 'upstream_auth_required', 3_600_000],
    [1002, 401, 'upstream_auth_required', 3_600_000],
    [1003, 402, 'upstream_auth_required', 3_600_000],
    [1004, 402, 'upstream_auth_required', 3_600_000],
    [1005, 403, 'upstream_auth_required', 3_600_000],
    [1006, 403, 'upstream_auth_required', 0],
    [1007, 403, 'upstream_auth_required', 3_600_000],
    [1008, 429, 'upstream_rate_limited', 40_000],
    [1009, 429, 'upstream_rate_limited', 6_400_000],
    [1010, 429, 'upstream_rate_limited', Date.UTC(2023, 11, 1) - T],
    [1011, 429, 'upstream_rate_limited', 60_000],
  ])('of code %i is told apart from the others', (...[code, status, appCode, pauseMs]) => {
    const fault = of(status, code);
    expect(fault).toMatchObject({ code, pauseMs });
    expect(fault.error).toMatchObject({ code: appCode, upstream: { exchange: 'coinmarketcap', status } });
    expect(fault.error.retryAfterMs).toBe(status === 429 ? pauseMs : undefined);
  });

  it('has a text of its own for every code', () => {
    const texts = Array.from({ length: 11 }, (_, i) => of(403, 1001 + i).error.message);
    expect(new Set(texts).size).toBe(11);
  });

  it.each([
    [400, 'symbol_not_found', 0],
    [401, 'upstream_auth_required', 3_600_000],
    [402, 'upstream_auth_required', 3_600_000],
    [403, 'upstream_geo_blocked', null],
    [404, 'upstream_error', null],
    [429, 'upstream_rate_limited', 60_000],
    [451, 'upstream_geo_blocked', null],
    [500, 'upstream_unavailable', null],
    [503, 'upstream_unavailable', null],
  ])('with status %i alone is judged by it', (status, appCode, pauseMs) => {
    const fault = of(status, null);
    expect([fault.error.code, fault.pauseMs]).toEqual([appCode, pauseMs]);
  });

  it('holds for as long as Retry-After says where that is longer', () => {
    expect(of(429, 1008, 90_000).pauseMs).toBe(90_000);
    expect(of(429, 1008, 10).pauseMs).toBe(40_000);
  });

  it('is no answer at all in three ways', () => {
    expect(failureOf('upstream_timeout').fault.error.code).toBe('upstream_timeout');
    expect(failureOf('upstream_unavailable').message).toContain('could not be reached');
    expect(failureOf('upstream_bad_response').fault.pauseMs).toBeNull();
  });
});

describe('the allowance', () => {
  let at = 0;
  const open = (random = 0.5) => {
    at = 1_000_000;
    return createAllowance({ now: () => at, random: () => random });
  };
  const faultOn = (work: () => void): AppError | undefined => {
    try {
      work();
    } catch (thrown) {
      if (thrown instanceof AppError) return thrown;
    }
    return undefined;
  };

  it('is a number of requests in any minute', () => {
    const allowance = open();
    for (let i = 0; i < REQUESTS_PER_MINUTE; i++) {
      allowance.take();
      at += 100;
    }
    expect(faultOn(() => allowance.take())).toMatchObject({
      code: 'upstream_budget_exhausted',
      retryAfterMs: 60_000 - REQUESTS_PER_MINUTE * 100,
    });
    at = 1_000_000 + 60_000;
    allowance.take();
    expect(faultOn(() => allowance.take())?.code).toBe('upstream_budget_exhausted');
  });

  it('pauses for as long as a refusal says', () => {
    const allowance = open();
    allowance.failed(5_000);
    expect(allowance.pausedUntil).toBe(at + 5_000);
    expect(faultOn(() => allowance.take())).toMatchObject({
      code: 'upstream_rate_limited',
      retryAfterMs: 5_000,
    });
    at += 5_000;
    expect(allowance.pausedUntil).toBeNull();
    expect(faultOn(() => allowance.take())).toBeUndefined();
  });

  it('backs off further with every failure, up to a minute, until one request succeeds', () => {
    const allowance = open(1);
    const pauses = Array.from({ length: 9 }, () => {
      allowance.failed(null);
      const pause = allowance.pausedUntil! - at;
      at += pause;
      return pause;
    });
    expect(pauses).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000]);
    allowance.succeeded();
    allowance.failed(null);
    expect(allowance.pausedUntil! - at).toBe(1_000);
  });

  it('is never shorter than half of a back-off, and untouched by a request’s own fault', () => {
    const allowance = open(0);
    allowance.failed(0);
    expect(allowance.pausedUntil).toBeNull();
    allowance.failed(null);
    expect(allowance.pausedUntil).toBe(at + 500);
  });
});
