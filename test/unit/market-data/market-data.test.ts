/** Rules of docs/rest-api.md#freshness, as a caller sees them: fresh answers, their names and their times. */
import { NO_STATS } from '../../../src/schemas/market.js';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { AppError } from '../../../src/errors.js';
import type { MarketRequest } from '../../../src/exchanges/exchange-client.js';
import type { MarketQuery } from '../../../src/market-data/market-data-api.js';
import { venueAnswer } from '../../support/fake-exchange-client.js';
import { tickerOf } from '../../support/market-data-rig.js';
import { closeRig, useClock, START, rig, open, get, fail, gate, calls, text, codeOf, tick } from './rig.js';

beforeEach(useClock);
afterEach(closeRig);

describe('a fresh answer', () => {
  it('is fetched once and then served from memory with its own times', async () => {
    open();
    expect(await get()).toMatchObject({
      cache: 'MISS',
      receivedAt: START,
      freshUntil: START + 2_000,
      source: 'binance; via=rest',
    });
    await vi.advanceTimersByTimeAsync(1_999);
    const hit = await get();
    expect(hit).toMatchObject({ cache: 'HIT', receivedAt: START, freshUntil: START + 2_000 });
    expect(calls()).toBe(1);
    expect(await get()).toBe(hit);
    await vi.advanceTimersByTimeAsync(1);
    expect((await get()).cache).toBe('MISS');
    expect(calls()).toBe(2);
  });

  it('without a time of the venue’s says so to streams, also out of memory', async () => {
    open();
    const { answer } = rig.exchanges;
    rig.exchanges.answer = async (...asked) => ({ ...(await answer(...asked)), untimed: true });
    expect(await get()).toMatchObject({ cache: 'MISS', untimed: true });
    expect(await get()).toMatchObject({ cache: 'HIT', untimed: true });
    expect(await get({ ...tickerOf('BTC/USD'), exchange: 'coinbasepro' })).toMatchObject({ untimed: true });
  });

  it('is one upstream call for a thousand callers, fresh or expired', async () => {
    open();
    for (let round = 1; round <= 3; round++) {
      const venue = gate();
      const all = Promise.all(Array.from({ length: 1_000 }, () => get()));
      await tick();
      venue.release();
      expect(new Set((await all).map(({ etag }) => etag)).size).toBe(1);
      expect(calls()).toBe(round);
      await vi.advanceTimersByTimeAsync(2_000);
    }
  });

  it('is kept apart by kind, interval, limit, since, symbol and exchange', async () => {
    open();
    const base = { exchange: 'binance', symbol: 'BTC/USDT' };
    const queries: MarketQuery[] = [
      { ...base, kind: 'ticker' },
      { ...base, kind: 'ticker', exchange: 'kraken' },
      { ...base, kind: 'ticker', symbol: 'ETH/USDT' },
      { ...base, kind: 'orderbook', limit: 5 },
      { ...base, kind: 'orderbook', limit: 6 },
      { ...base, kind: 'trades', limit: 5 },
      { ...base, kind: 'ohlcv', interval: '1m', limit: 5 },
      { ...base, kind: 'ohlcv', interval: '1h', limit: 5 },
      { ...base, kind: 'ohlcv', interval: '1m', limit: 6 },
      { ...base, kind: 'ohlcv', interval: '1m', limit: 5, since: 1 },
    ];
    for (const query of queries) expect((await get(query)).cache).toBe('MISS');
    for (const query of queries) expect((await get(query)).cache).toBe('HIT');
    expect(calls()).toBe(queries.length);
  });

  it('is not cached where its time to live is none', async () => {
    open({ ttl: { tickerMs: 0, orderbookMs: 0, tradesMs: 0, ohlcvMs: 0, staleIfErrorMs: 0 } });
    expect(await get()).toMatchObject({ cache: 'MISS', freshUntil: START });
    expect((await get()).cache).toBe('MISS');
    expect(calls()).toBe(2);
  });

  it('asks the venue only for what is the venue’s to know, with a deadline', async () => {
    open();
    await get({ ...tickerOf('BTC/USDT', 'coinbasepro'), convert: 'EUR', fallback: false });
    const [{ request, options }] = rig.exchanges.fetched as [(typeof rig.exchanges.fetched)[0]];
    expect(request).toEqual({ kind: 'ticker', exchange: 'coinbaseexchange', symbol: 'BTC/USDT' });
    expect(options).toMatchObject({ deadline: START + 20_000, priority: 'caller', attempts: undefined });
  });

  it('is remembered under the venue’s own spelling of the symbol', async () => {
    open();
    rig.exchanges.answer = (request) =>
      Promise.resolve({ ...venueAnswer(request, Date.now()), symbol: 'kPEPE/USDC' });
    await get(tickerOf('KPEPE/USDC'));
    expect((await get(tickerOf('KPEPE/USDC'))).cache).toBe('HIT');
    expect((await get(tickerOf('kPEPE/USDC'))).cache).toBe('HIT');
    expect(calls()).toBe(1);
  });
});

describe('an alias', () => {
  it('is repeated in the answer, which then has a validator of its own', async () => {
    open();
    const alias = await get(tickerOf('BTC/USD', 'coinbasepro'));
    const own = await get(tickerOf('BTC/USD', 'CoinbaseExchange'));
    expect(JSON.parse(text(alias))).toEqual({ exchange: 'coinbasepro', symbol: 'BTC/USD', last: 1 });
    expect(JSON.parse(text(own))).toEqual({ exchange: 'coinbaseexchange', symbol: 'BTC/USD', last: 1 });
    expect(alias.etag).not.toBe(own.etag);
    expect(alias.source).toBe('coinbaseexchange; via=rest');
    expect(own.cache).toBe('HIT');
    expect((await get(tickerOf('BTC/USD', 'coinbasepro'))).body).toBe(alias.body);
    expect(calls()).toBe(1);
  });

  it('is repeated in candles that are empty because the only one has closed meanwhile', async () => {
    open();
    const members = { interval: '1m', candles: [{ timestamp: START - 60_000, close: 1, closed: false }] };
    rig.exchanges.answer = (request) =>
      Promise.resolve(venueAnswer(request, START, { members, closesAt: START - 1 }));
    const query = { kind: 'ohlcv', symbol: 'BTC/USD', interval: '1m', limit: 5 } as const;
    for (const exchange of ['coinbasepro', 'coinbaseexchange']) {
      const answer = JSON.parse(text(await get({ ...query, exchange }))) as object;
      expect(answer).toEqual({ exchange, symbol: 'BTC/USD', interval: '1m', candles: [] });
    }
  });

  it('is what faults name too, each in the words of its own caller', async () => {
    open();
    const reason = 'coinbaseexchange has no FOO/BAR.';
    const error = new AppError('symbol_not_found', reason, {
      upstream: { exchange: 'coinbaseexchange', status: 404 },
      errors: [{ parameter: 'symbol', reason }],
    });
    rig.exchanges.answer = () => Promise.reject(error);
    const faultFor = (name: string) => get(tickerOf('FOO/BAR', name)).catch((thrown: unknown) => thrown);
    const [alias, own] = await Promise.all([faultFor('CoinbasePro'), faultFor('coinbaseexchange')]);
    expect(alias).toMatchObject({
      code: 'symbol_not_found',
      message: 'coinbasepro has no FOO/BAR.',
      upstream: { exchange: 'coinbasepro', status: 404 },
      errors: [{ parameter: 'symbol', reason: 'coinbasepro has no FOO/BAR.' }],
    });
    expect(own).toBe(error);
    // Remembered by both.
    expect(await faultFor('coinbasepro')).toEqual(alias);
    expect(calls()).toBe(1);
  });

  it('is what faults of lists name too, but not those of another exchange', async () => {
    open({ enabled: ['coinbasepro'] });
    rig.exchanges.list = () =>
      Promise.reject(new AppError('upstream_timeout', 'coinbaseexchange did not answer in time.'));
    fail('upstream_rate_limited', 5_000);
    await expect(rig.marketData.markets({ exchange: 'coinbasepro', limit: 1 })).rejects.toMatchObject({
      message: 'coinbasepro did not answer in time.',
    });
    await expect(get(tickerOf('BTC/USD', 'coinbasepro'))).rejects.toMatchObject({
      message: 'no',
      retryAfterMs: 5_000,
      upstream: undefined,
    });
  });
});

describe('an OHLCV answer with an open candle', () => {
  const closesAt = START + 30_000;
  const candles = [
    { timestamp: START - 60_000, close: 1, closed: true },
    { timestamp: START, close: 2, closed: false },
  ];
  const query: MarketQuery = {
    kind: 'ohlcv',
    exchange: 'binance',
    symbol: 'BTC/USDT',
    interval: '1h',
    limit: 2,
  };
  const serveCandles = (at: number | null): void => {
    rig.exchanges.answer = (request) =>
      Promise.resolve(venueAnswer(request, Date.now(), { members: { candles }, closesAt: at }));
  };
  const shown = async (): Promise<number[]> => {
    const { candles: list } = JSON.parse(text(await get(query))) as { candles: { timestamp: number }[] };
    return list.map(({ timestamp }) => timestamp);
  };

  it('is refreshed at its close at the latest', async () => {
    open();
    serveCandles(closesAt);
    expect((await get(query)).freshUntil).toBe(closesAt);
  });

  it('loses that candle rather than show it open after its close', async () => {
    open();
    serveCandles(closesAt);
    const whole = await get(query);
    expect(await shown()).toEqual([START - 60_000, START]);
    fail('upstream_unavailable');
    await vi.advanceTimersByTimeAsync(30_000);
    const cut = await get(query);
    expect(cut).toMatchObject({ cache: 'STALE', receivedAt: START });
    expect(await shown()).toEqual([START - 60_000]);
    expect(cut.etag).not.toBe(whole.etag);
    expect((await get(query)).body).toBe(cut.body);
  });

  it('loses it also where it closed while the answer was on its way', async () => {
    open();
    serveCandles(START - 1);
    expect(await shown()).toEqual([START - 60_000]);
  });

  const openAlone = (request: MarketRequest, at: number) =>
    venueAnswer(request, Date.now(), { members: { candles: candles.slice(1) }, closesAt: at });
  const closedBy = (request: MarketRequest) =>
    venueAnswer(request, Date.now(), {
      members: { candles: [{ timestamp: START, close: 3, closed: true }] },
    });

  it('that is its only one is asked for once more where it closed on the way, by all callers together', async () => {
    open();
    let asked = 0;
    rig.exchanges.answer = (request) => {
      asked += 1;
      return Promise.resolve(asked === 1 ? openAlone(request, START - 1) : closedBy(request));
    };
    const all = await Promise.all([shown(), shown(), shown()]);
    expect(all).toEqual([[START], [START], [START]]);
    expect(asked).toBe(2);
    expect((await get(query)).cache).toBe('HIT');
  });

  it('that is its only one does not stand in after its close: the fault is told', async () => {
    open();
    rig.exchanges.answer = (request) => Promise.resolve(openAlone(request, closesAt));
    expect(await shown()).toEqual([START]);
    fail('upstream_unavailable');
    await vi.advanceTimersByTimeAsync(30_000);
    expect(await codeOf(get(query))).toBe('upstream_unavailable');
    expect(await codeOf(get(query))).toBe('upstream_unavailable');
    rig.exchanges.answer = (request) => Promise.resolve(closedBy(request));
    expect(await shown()).toEqual([START]);
  });

  it('that is its only one stops standing in when it closes during the refresh', async () => {
    open();
    rig.exchanges.answer = (request) => Promise.resolve(openAlone(request, closesAt));
    await get(query);
    await vi.advanceTimersByTimeAsync(29_000);
    rig.cache.put('mcds:v1:ohlcv:binance:1h:2:latest:now:BTC/USDT', {
      ...rig.cache.peek('mcds:v1:ohlcv:binance:1h:2:latest:now:BTC/USDT')!,
      freshUntil: START,
    });
    const held = gate();
    const asked = get(query);
    await vi.advanceTimersByTimeAsync(3_000);
    rig.exchanges.answer = (request) => Promise.resolve(closedBy(request));
    held.release(new AppError('upstream_unavailable', 'no'));
    expect(await codeOf(asked)).toBe('upstream_unavailable');
    expect(await shown()).toEqual([START]);
  });

  it('keeps everything where all candles are closed and the next one is due', async () => {
    open();
    rig.exchanges.answer = (request) =>
      Promise.resolve(
        venueAnswer(request, Date.now(), {
          members: { candles: [{ timestamp: 1, closed: true }] },
          closesAt: START,
        }),
      );
    expect(await shown()).toEqual([1]);
  });
});

describe('in the sandbox', () => {
  it('every answer says so', async () => {
    const live = {
      latest: () => ({
        symbol: 'X/Y',
        bid: 1,
        ask: 1,
        last: 1,
        timestamp: 1,
        stats: NO_STATS,
        rawJson: '1',
        receivedAt: 1,
      }),
    };
    open({ sandbox: true });
    expect((await get()).source).toBe('sandbox; via=rest');
    await rig.close();
    open({ sandbox: true, live });
    expect((await get()).source).toBe('sandbox; via=websocket');
  });
});

describe('statistics', () => {
  it('count answers by kind and state, and failures', async () => {
    open();
    await get();
    await get();
    await vi.advanceTimersByTimeAsync(3_000);
    fail('upstream_error');
    await get();
    await codeOf(get(tickerOf('NOPE/USDT')));
    expect(rig.marketData.stats()).toMatchObject({
      answers: { ticker: { HIT: 1, MISS: 1, STALE: 1, LIVE: 0 }, trades: { HIT: 0 } },
      failures: 1,
      fallbacks: 0,
    });
  });
});
