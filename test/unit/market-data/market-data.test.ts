/** Every rule of docs/rest-api.md#freshness, as a caller sees it. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { AppError, type ErrorCode } from '../../../src/errors.js';
import type { LiveTicker, MarketQuery } from '../../../src/market-data/market-data-api.js';
import { PATIENCE_MS } from '../../../src/market-data/shared-loads.js';
import { venueAnswer } from '../../support/fake-exchange-client.js';
import { createRig, tickerOf, type Rig, type RigOptions } from '../../support/market-data-rig.js';

const START = 1_700_000_000_000;
let rig: Rig;
const open = (options: RigOptions = {}): Rig => {
  rig = createRig(options);
  return rig;
};
const get = (query: MarketQuery = tickerOf('BTC/USDT')) => rig.marketData.get(query);
const fail = (code: ErrorCode, retryAfterMs?: number): void => {
  rig.exchanges.answer = () => Promise.reject(new AppError(code, 'no', { retryAfterMs }));
};
const recover = (members: object = { last: 2 }): void => {
  rig.exchanges.answer = (request) => Promise.resolve(venueAnswer(request, Date.now(), { members }));
};
/** A venue that answers when the test says so. */
const gate = () => {
  let release: (how: 'ok' | AppError) => void = () => undefined;
  rig.exchanges.answer = (request) =>
    new Promise((resolve, reject) => {
      release = (how) => (how === 'ok' ? resolve(venueAnswer(request, Date.now())) : reject(how));
    });
  return { release: (how: 'ok' | AppError = 'ok') => release(how) };
};
const calls = (): number => rig.exchanges.fetched.length;
const text = ({ body }: { body: Buffer }): string => body.toString();
const codeOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'answered',
    (error: unknown) => (error instanceof AppError ? error.code : 'not an AppError'),
  );
const tick = (): Promise<unknown> => vi.advanceTimersByTimeAsync(0);

beforeEach(() => {
  vi.useFakeTimers({ now: START });
});
afterEach(async () => {
  await rig.close();
  vi.useRealTimers();
});

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

  it('is what faults of lists name too, but not those of somebody else', async () => {
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

describe('an expired answer', () => {
  const expire = async (by = 10_000): Promise<void> => {
    recover({ last: 1 });
    await get();
    await vi.advanceTimersByTimeAsync(by);
  };

  it('is served marked and with its true times when one attempt at a new one fails', async () => {
    open();
    await expire();
    fail('upstream_unavailable');
    const answer = await get();
    expect(answer).toMatchObject({ cache: 'STALE', receivedAt: START, freshUntil: START + 2_000 });
    expect(rig.exchanges.fetched.at(-1)!.options.attempts).toBe(1);
    expect(calls()).toBe(2);
  });

  it('then serves at once, without another attempt that a caller would wait for', async () => {
    open();
    await expire();
    fail('upstream_unavailable');
    await get();
    gate();
    for (let i = 0; i < 50; i++) expect((await get()).cache).toBe('STALE');
    expect(calls()).toBe(2);
  });

  it('is retried behind with all attempts, without anyone asking again', async () => {
    open();
    await expire();
    fail('upstream_unavailable');
    await get();
    recover();
    await vi.advanceTimersByTimeAsync(1_000);
    expect(calls()).toBe(3);
    expect(rig.exchanges.fetched.at(-1)!.options.attempts).toBeUndefined();
    const answer = await get();
    expect(answer).toMatchObject({ cache: 'HIT', receivedAt: START + 11_000 });
    expect(JSON.parse(text(answer))).toMatchObject({ last: 2 });
  });

  it('is retried no sooner than the venue says, and once at a time', async () => {
    open();
    await expire();
    fail('upstream_rate_limited', 5_000);
    await get();
    await vi.advanceTimersByTimeAsync(4_999);
    await get();
    expect(calls()).toBe(2);
    await vi.advanceTimersByTimeAsync(1);
    await get();
    expect(calls()).toBe(3);
    await vi.advanceTimersByTimeAsync(5_000);
    gate();
    for (let i = 0; i < 10; i++) expect((await get()).cache).toBe('STALE');
    expect(calls()).toBe(4);
  });

  it('is served while a refresh takes longer than a caller’s patience, and the refresh goes on', async () => {
    open();
    await expire();
    const venue = gate();
    const waiting = get();
    await vi.advanceTimersByTimeAsync(PATIENCE_MS - 1);
    const later = get();
    await vi.advanceTimersByTimeAsync(1);
    expect((await waiting).cache).toBe('STALE');
    expect((await later).cache).toBe('STALE');
    expect((await get()).cache).toBe('STALE');
    expect(calls()).toBe(2);
    venue.release();
    await tick();
    expect(await get()).toMatchObject({ cache: 'HIT', receivedAt: START + 12_000 });
    expect(calls()).toBe(2);
  });

  it.each([
    ['is cooling down', { coolDownUntil: START + 60_000 }],
    ['has an open circuit', { circuit: 'open' as const }],
  ])('is served at once where the venue %s', async (_name, health) => {
    open();
    await expire();
    rig.exchanges.healthOf = health;
    gate();
    expect((await get()).cache).toBe('STALE');
    expect((await get()).cache).toBe('STALE');
    expect(calls()).toBe(2);
  });

  it('is waited for where the cool-down has passed', async () => {
    open();
    await expire();
    rig.exchanges.healthOf = { coolDownUntil: START + 9_999 };
    recover();
    expect((await get()).cache).toBe('MISS');
  });

  it('is not served any more once it is older than STALE_IF_ERROR', async () => {
    open();
    await expire();
    fail('upstream_unavailable');
    await get();
    await vi.advanceTimersByTimeAsync(289_999);
    expect((await get()).cache).toBe('STALE');
    await vi.advanceTimersByTimeAsync(1);
    expect(await codeOf(get())).toBe('upstream_unavailable');
  });

  it('that becomes too old while its refresh is waited for gives way to the error', async () => {
    open();
    await expire(299_999);
    const venue = gate();
    const answer = codeOf(get());
    await vi.advanceTimersByTimeAsync(10);
    venue.release(new AppError('upstream_timeout', 'late'));
    await tick();
    venue.release(new AppError('upstream_timeout', 'late again'));
    expect(await answer).toBe('upstream_timeout');
  });

  it('gives way to the venue’s word that the symbol is gone', async () => {
    open();
    await expire();
    fail('symbol_not_found');
    expect(await codeOf(get())).toBe('symbol_not_found');
    await vi.advanceTimersByTimeAsync(5_000);
    expect(calls()).toBe(2);
  });

  it('serves even where the fault is our own bug', async () => {
    open();
    await expire();
    rig.exchanges.answer = () => Promise.reject(new TypeError('bug'));
    expect((await get()).cache).toBe('STALE');
  });

  it('is not refreshed behind after the service was closed', async () => {
    open();
    await expire();
    fail('upstream_unavailable');
    await get();
    rig.marketData.close();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(calls()).toBe(2);
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

describe('a bad request', () => {
  it('is remembered for a short while, so that it cannot be used to hammer the venue', async () => {
    open();
    fail('symbol_not_found');
    for (let i = 0; i < 20; i++) expect(await codeOf(get())).toBe('symbol_not_found');
    expect(await codeOf(get({ ...tickerOf('BTC/USDT'), kind: 'trades', limit: 5 }))).toBe('symbol_not_found');
    expect(calls()).toBe(1);
    await vi.advanceTimersByTimeAsync(10_000);
    recover();
    expect((await get()).cache).toBe('MISS');
  });

  it.each(['interval_not_supported', 'not_supported_by_exchange'] as const)(
    'of code %s is remembered for its own kind and interval only',
    async (code) => {
      open();
      const query = (interval: string): MarketQuery => ({
        ...tickerOf('BTC/USDT'),
        kind: 'ohlcv',
        interval,
        limit: 5,
      });
      fail(code);
      expect(await codeOf(get(query('7m')))).toBe(code);
      recover();
      expect(await codeOf(get(query('7m')))).toBe(code);
      expect((await get(query('1m'))).cache).toBe('MISS');
      expect((await get()).cache).toBe('MISS');
    },
  );

  it('is not what a failing venue makes of a good one', async () => {
    open();
    fail('upstream_unavailable');
    expect(await codeOf(get())).toBe('upstream_unavailable');
    recover();
    expect((await get()).cache).toBe('MISS');
  });

  it('names an exchange that is not there', async () => {
    open();
    expect(await codeOf(get(tickerOf('BTC/USDT', '__proto__')))).toBe('unknown_exchange');
    expect(await codeOf(get(tickerOf('BTC/USDT', 'okx')))).toBe('exchange_not_enabled');
    expect(() => rig.marketData.resolveExchange('okx')).toThrow(AppError);
  });
});

describe('waiting', () => {
  it('ends after REQUEST_TIMEOUT even where the venue’s call never settles', async () => {
    open({ requestTimeoutMs: 5_000 });
    gate();
    const code = codeOf(get());
    await vi.advanceTimersByTimeAsync(5_200);
    expect(await code).toBe('upstream_timeout');
  });

  it('ends for a caller who leaves, and not for the others', async () => {
    open();
    const venue = gate();
    const leaving = new AbortController();
    const left = codeOf(rig.marketData.get(tickerOf('BTC/USDT'), leaving.signal));
    const stayed = rig.marketData.get(tickerOf('BTC/USDT'), new AbortController().signal);
    await tick();
    leaving.abort();
    expect(await left).toBe('upstream_timeout');
    expect(rig.exchanges.fetched[0]!.options.signal?.aborted).toBe(false);
    venue.release();
    expect((await stayed).cache).toBe('MISS');
  });

  it('ends the upstream call once everyone has left, with the leaver’s own reason where it is one of ours', async () => {
    open();
    gate();
    const leaving = new AbortController();
    const left = codeOf(rig.marketData.get(tickerOf('BTC/USDT'), leaving.signal));
    await tick();
    leaving.abort(new AppError('shutting_down', 'bye'));
    expect(await left).toBe('shutting_down');
    expect(rig.exchanges.fetched[0]!.options.signal?.aborted).toBe(true);
  });

  it('ends in an AppError whatever was thrown', async () => {
    open();
    rig.exchanges.answer = () => Promise.reject(new TypeError('bug'));
    expect(await codeOf(get())).toBe('internal_error');
  });
});

describe('a running stream', () => {
  const tickAt = (receivedAt: number, last: number): LiveTicker => ({
    symbol: 'BTC/USDT',
    bid: null,
    ask: 3,
    last,
    timestamp: receivedAt - 5,
    rawJson: `{"c":"${last}"}`,
    receivedAt,
  });
  let latest: LiveTicker | undefined;
  const live = {
    latest: (exchange: string, symbol: string) =>
      exchange === 'binance' && symbol === 'BTC/USDT' ? latest : undefined,
  };

  it('answers tickers from its last tick and costs the venue nothing', async () => {
    open({ live });
    latest = tickAt(START - 10, 42);
    const answer = await get();
    expect(answer).toMatchObject({ cache: 'LIVE', receivedAt: START - 10, source: 'binance; via=websocket' });
    expect(answer.freshUntil).toBe(answer.receivedAt);
    expect(JSON.parse(text(answer))).toEqual({
      exchange: 'binance',
      symbol: 'BTC/USDT',
      bid: null,
      ask: 3,
      last: 42,
      timestamp: START - 15,
      raw: { c: '42' },
    });
    expect(calls()).toBe(0);
  });

  it('makes the body once a tick', async () => {
    open({ live });
    latest = tickAt(START, 1);
    const first = await get();
    latest = { ...latest };
    expect((await get()).body).toBe(first.body);
    latest = tickAt(START, 2);
    expect((await get()).etag).not.toBe(first.etag);
  });

  it('says nothing about other kinds of data, nor once it has ended', async () => {
    open({ live });
    latest = tickAt(START, 1);
    expect((await get({ ...tickerOf('BTC/USDT'), kind: 'trades', limit: 1 })).cache).toBe('MISS');
    latest = undefined;
    expect((await get()).cache).toBe('MISS');
  });
});

describe('in the sandbox', () => {
  it('every answer says so', async () => {
    const live = {
      latest: () => ({ symbol: 'X/Y', bid: 1, ask: 1, last: 1, timestamp: 1, rawJson: '1', receivedAt: 1 }),
    };
    open({ sandbox: true });
    expect((await get()).source).toBe('sandbox; via=rest');
    await rig.close();
    open({ sandbox: true, live });
    expect((await get()).source).toBe('sandbox; via=websocket');
  });
});

describe('the list of exchanges', () => {
  it('names each as it was enabled, with its CCXT id', async () => {
    open();
    const list = await rig.marketData.exchanges();
    expect(list.map(({ id, ccxt_id }) => [id, ccxt_id])).toEqual([
      ['binance', 'binance'],
      ['kraken', 'kraken'],
      ['coinbasepro', 'coinbaseexchange'],
    ]);
    expect(list[0]).toMatchObject({
      name: 'BINANCE',
      intervals: ['1m', '1h'],
      capabilities: { ticker: true },
    });
  });

  it('keeps an entry while the exchange is described the same, and follows what is learnt of it', async () => {
    open();
    const described = new Map(
      await Promise.all(
        ['binance', 'kraken', 'coinbaseexchange'].map(
          async (exchange) => [exchange, await rig.exchanges.describe(exchange)] as const,
        ),
      ),
    );
    rig.exchanges.describe = (exchange) => Promise.resolve(described.get(exchange)!);
    const before = await rig.marketData.exchanges();
    const unchanged = await rig.marketData.exchanges();
    expect(unchanged.every((entry, index) => entry === before[index])).toBe(true);
    const kraken = described.get('kraken')!;
    described.set('kraken', { ...kraken, capabilities: { ...kraken.capabilities, trades: false } });
    const after = await rig.marketData.exchanges();
    expect(after.map(({ capabilities }) => capabilities?.trades)).toEqual([true, false, true]);
  });

  it('has one without capabilities in the place of an exchange that does not answer, and asks it again later', async () => {
    open();
    const described = rig.exchanges.describe.bind(rig.exchanges);
    rig.exchanges.describe = (exchange) =>
      exchange === 'kraken' ? new Promise(() => undefined) : described(exchange);
    const listing = rig.marketData.exchanges();
    await vi.advanceTimersByTimeAsync(2_000);
    const capabilities = async () =>
      (await rig.marketData.exchanges()).map((entry) => entry.capabilities?.ticker ?? null);
    expect((await listing).map(({ id }) => id)).toEqual(['binance', 'kraken', 'coinbasepro']);
    expect(await capabilities()).toEqual([true, null, true]);
    rig.exchanges.describe = described;
    await vi.advanceTimersByTimeAsync(5_000);
    expect(await capabilities()).toEqual([true, true, true]);
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
