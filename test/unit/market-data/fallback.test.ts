/** CoinMarketCap in a venue's place. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { AppError } from '../../../src/errors.js';
import type { CoinMarketCapClient } from '../../../src/coinmarketcap/coinmarketcap-api.js';
import type { MarketQuery } from '../../../src/market-data/market-data-api.js';
import { venueAnswer } from '../../support/fake-exchange-client.js';
import { createRig, tickerOf, type Rig, type RigOptions } from '../../support/market-data-rig.js';

const START = 1_700_006_400_000;
const HOUR = 3_600_000;

interface FakeCmc extends CoinMarketCapClient {
  quoted: { base: string; convert: string; deadline: number }[];
  asked: object[];
  down: boolean;
  plan: boolean;
  candleTimes: number[];
}
const createFakeCmc = (): FakeCmc => {
  const reuse = new Map<string, { last: number; timestamp: number; receivedAt: number; raw: object }>();
  const fake: FakeCmc = {
    quoted: [],
    asked: [],
    down: false,
    plan: true,
    candleTimes: [],
    quote({ base, convert }, { deadline }) {
      fake.quoted.push({ base, convert, deadline });
      if (fake.down) return Promise.reject(new AppError('upstream_rate_limited', 'no'));
      const known = reuse.get(base + convert);
      if (known !== undefined && Date.now() < known.receivedAt + 60_000) return Promise.resolve(known);
      const quote = { last: 7, timestamp: START - 30_000, receivedAt: Date.now(), raw: { id: 1 } };
      reuse.set(base + convert, quote);
      return Promise.resolve(quote);
    },
    offersCandles: (interval) => fake.plan && (interval === '1h' || interval === '1d'),
    candles(request) {
      fake.asked.push(request);
      if (fake.down) return Promise.reject(new AppError('upstream_auth_required', 'no'));
      const candles = fake.candleTimes.map((timestamp) => ({
        ...{ timestamp, open: 1, high: 2, low: 1, close: 2, volume: null },
        closed: timestamp + HOUR <= Date.now(),
      }));
      return Promise.resolve({ candles, receivedAt: Date.now() });
    },
    stats: () => ({ requests: 0, succeeded: 0, failures: 0, reused: 0, pausedUntil: null, historical: true }),
    close: () => Promise.resolve(),
  };
  return fake;
};

let rig: Rig;
let cmc: FakeCmc;
const open = (options: RigOptions = {}): void => {
  cmc = createFakeCmc();
  rig = createRig({ coinMarketCap: cmc, ...options });
  rig.exchanges.answer = () => Promise.reject(new AppError('upstream_unavailable', 'down'));
};
const get = (query: MarketQuery = tickerOf('BTC/USDT')) => rig.marketData.get(query);
const codeOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'answered',
    (error: unknown) => (error instanceof AppError ? error.code : 'not an AppError'),
  );
const json = ({ body }: { body: Buffer }) => JSON.parse(body.toString()) as Record<string, unknown>;

beforeEach(() => {
  vi.useFakeTimers({ now: START });
});
afterEach(async () => {
  await rig.close();
  vi.useRealTimers();
});

describe('where a venue has no ticker to give', () => {
  it('CoinMarketCap’s quote is served and named so', async () => {
    open();
    const answer = await get();
    expect(answer).toMatchObject({
      cache: 'MISS',
      source: 'coinmarketcap',
      receivedAt: START,
      freshUntil: START + 2_000,
    });
    expect(json(answer)).toEqual({
      exchange: 'coinmarketcap',
      symbol: 'BTC/USDT',
      bid: null,
      ask: null,
      last: 7,
      timestamp: START - 30_000,
      raw: { id: 1 },
    });
    expect(rig.marketData.stats().fallbacks).toBe(1);
  });

  it('keeps that name under an alias of the venue too', async () => {
    open();
    expect(json(await get(tickerOf('BTC/USD', 'coinbasepro')))['exchange']).toBe('coinmarketcap');
  });

  it('a quote in another currency is that of another symbol', async () => {
    open();
    const answer = await get({ ...tickerOf('BTC/USDT'), convert: 'EUR' });
    expect(cmc.quoted).toMatchObject([{ base: 'BTC', convert: 'EUR' }]);
    expect(json(answer)['symbol']).toBe('BTC/EUR');
  });

  it('further callers get the quote at once, while the venue is tried behind', async () => {
    open();
    await get();
    await vi.advanceTimersByTimeAsync(3_000);
    let release: () => void = () => undefined;
    rig.exchanges.answer = (request) =>
      new Promise((resolve) => (release = () => resolve(venueAnswer(request, Date.now()))));
    expect(await get()).toMatchObject({ cache: 'HIT', receivedAt: START, freshUntil: START + 5_000 });
    release();
    await vi.advanceTimersByTimeAsync(0);
    expect(await get()).toMatchObject({ cache: 'HIT', source: 'binance; via=rest' });
  });

  it('a venue that cools down is not waited for', async () => {
    open();
    rig.exchanges.healthOf = { coolDownUntil: START + 60_000 };
    rig.exchanges.answer = () => new Promise(() => undefined);
    expect((await get()).source).toBe('coinmarketcap');
  });

  it('the venue’s own error is the answer where CoinMarketCap has none either', async () => {
    open();
    cmc.down = true;
    expect(await codeOf(get())).toBe('upstream_unavailable');
    rig.exchanges.healthOf = { circuit: 'open' };
    expect(await codeOf(get())).toBe('upstream_unavailable');
  });

  it('some of the request’s time is kept for CoinMarketCap', async () => {
    open({ requestTimeoutMs: 8_000 });
    rig.exchanges.answer = () => new Promise(() => undefined);
    const answer = get();
    await vi.advanceTimersByTimeAsync(6_200);
    expect((await answer).source).toBe('coinmarketcap');
    expect(rig.exchanges.fetched[0]!.options.deadline).toBe(START + 6_000);
    expect(cmc.quoted[0]!.deadline).toBe(START + 8_000);
  });

  it('an expired answer of the venue goes before the quote', async () => {
    open();
    rig.exchanges.answer = (request) => Promise.resolve(venueAnswer(request, Date.now()));
    await get();
    rig.exchanges.answer = () => Promise.reject(new AppError('upstream_unavailable', 'down'));
    await vi.advanceTimersByTimeAsync(299_999);
    expect((await get()).cache).toBe('STALE');
    await vi.advanceTimersByTimeAsync(1);
    expect((await get()).source).toBe('coinmarketcap');
    cmc.down = true;
    await vi.advanceTimersByTimeAsync(1);
    expect(await codeOf(get())).toBe('upstream_unavailable');
  });
});

describe('CoinMarketCap is no substitute', () => {
  it.each<[string, MarketQuery]>([
    ['for a caller who wants venues only', { ...tickerOf('BTC/USDT'), fallback: false }],
    ['for a derivative', tickerOf('BTC/USDT:USDT')],
    ['for an order book', { kind: 'orderbook', exchange: 'binance', symbol: 'BTC/USDT', limit: 5 }],
    [
      'for minute candles',
      { kind: 'ohlcv', exchange: 'binance', symbol: 'BTC/USDT', interval: '1m', limit: 5 },
    ],
  ])('%s', async (_name, query) => {
    open();
    expect(await codeOf(get(query))).toBe('upstream_unavailable');
    expect([cmc.quoted, cmc.asked]).toEqual([[], []]);
  });

  it('for a symbol that the venue does not have', async () => {
    open();
    rig.exchanges.answer = () => Promise.reject(new AppError('symbol_not_found', 'no'));
    expect(await codeOf(get())).toBe('symbol_not_found');
    expect(cmc.quoted).toEqual([]);
  });
});

describe('where a venue has no candles to give', () => {
  const query: MarketQuery = {
    kind: 'ohlcv',
    exchange: 'binance',
    symbol: 'BTC/USDT',
    interval: '1h',
    limit: 3,
  };
  const hour = (n: number): number => Math.floor(START / HOUR) * HOUR + n * HOUR;

  it('hourly and daily ones come from CoinMarketCap, are named so and kept', async () => {
    open();
    cmc.candleTimes = [hour(-2), hour(-1), hour(0)];
    const answer = await get(query);
    expect(answer).toMatchObject({ cache: 'MISS', source: 'coinmarketcap', freshUntil: START + 60_000 });
    const body = json(answer);
    expect(body).toMatchObject({ exchange: 'coinmarketcap', symbol: 'BTC/USDT', interval: '1h' });
    expect(body['candles']).toMatchObject([
      { closed: true },
      { closed: true },
      { closed: false, volume: null },
    ]);
    expect(body).not.toHaveProperty('gaps');
    expect((await get(query)).cache).toBe('HIT');
    expect(cmc.asked).toEqual([{ base: 'BTC', convert: 'USDT', interval: '1h', since: undefined, limit: 3 }]);
  });

  it('closed ones alone are fresh until the next may be there, where the range goes on', async () => {
    vi.setSystemTime(hour(1) - 20_000);
    open();
    cmc.candleTimes = [hour(-2), hour(-1)];
    expect(await get(query)).toMatchObject({ freshUntil: hour(1) });
    const whole = await get({ ...query, since: hour(-2), limit: 2 });
    expect(whole.freshUntil).toBeGreaterThan(hour(1));
  });

  it('what is missing of the range is named', async () => {
    open();
    cmc.candleTimes = [hour(-5), hour(-2)];
    const body = json(await get({ ...query, since: hour(-7) + 1 }));
    expect(body['gaps']).toEqual([
      { from: hour(-6), to: hour(-5), reason: 'not_available_from_exchange' },
      { from: hour(-4), to: hour(-2), reason: 'not_available_from_exchange' },
    ]);
  });

  it('the venue’s error is the answer where the plan has none', async () => {
    open();
    cmc.down = true;
    expect(await codeOf(get(query))).toBe('upstream_unavailable');
    cmc.plan = false;
    expect(await codeOf(get(query))).toBe('upstream_unavailable');
    expect(cmc.asked.length).toBe(1);
  });

  it('in the sandbox they say so', async () => {
    open({ sandbox: true });
    cmc.candleTimes = [hour(-1)];
    expect((await get(query)).source).toBe('sandbox; via=coinmarketcap');
  });
});
