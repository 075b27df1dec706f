import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { AppError } from '../../../src/errors.js';
import type { OhlcvRequest } from '../../../src/exchanges/exchange-client.js';
import type { LedgerAnswer } from '../../../src/ledger/ledger-answer.js';
import type { Ledger } from '../../../src/ledger/ledger.js';
import { DAY, MINUTE, NAME, T0 } from './candle-data.js';
import { UnitRig, write } from './ledger-rig.js';

let rig: UnitRig;
let ledger: Ledger;
/** Half a minute into the period of T0 + 1440 minutes. */
const NOW = T0 + DAY + MINUTE / 2;

beforeEach(() => {
  vi.useFakeTimers({ now: NOW });
  rig = new UnitRig();
  ledger = rig.ledger();
});
afterEach(async () => {
  await rig.close();
  vi.useRealTimers();
});

interface Body {
  readonly candles: readonly {
    readonly timestamp: number;
    readonly close: number;
    readonly closed: boolean;
  }[];
  readonly gaps?: readonly { readonly from: number; readonly to: number; readonly reason: string }[];
  readonly next_since?: number;
}
const index = (at: number): number => (at - T0) / MINUTE;
const told = (answer: LedgerAnswer | null) => {
  if (answer === null) return null;
  const body: Body = JSON.parse(Buffer.from(answer.body).toString());
  const { candles, gaps = [], next_since: next } = body;
  return {
    ...{ cache: answer.cache, via: answer.via, complete: answer.complete, count: candles.length },
    first: index(candles[0]?.timestamp ?? NaN),
    gaps: gaps.map(({ from, to, reason }) => [index(from), index(to), reason]),
    next: next === undefined ? null : index(next),
  };
};
/** Candles `first` to `first + limit`, in minutes from T0. */
const of = (first: number | null, limit: number, given: Partial<OhlcvRequest> = {}): OhlcvRequest => ({
  ...{ kind: 'ohlcv', ...NAME, limit },
  ...(first === null ? {} : { since: T0 + first * MINUTE }),
  ...given,
});
const ask = (request: OhlcvRequest) => rig.venue.fetch(request, { deadline: 0, priority: 'caller' });
const load = async (request: OhlcvRequest) => told(await ledger.load(request, ask));
const asked = () => rig.venue.asked.map(({ since, limit }) => [index(since ?? NaN), limit]);
const queuedJobs = async () => {
  await vi.advanceTimersByTimeAsync(0);
  return (await rig.store.jobs(10)).map(({ from, to, origin }) => [index(from), index(to ?? NaN), origin]);
};
const store = (first: number, count: number, askedAt = T0 + DAY) =>
  write(rig.store, { first, count, limit: count, askedAt });

describe('known', () => {
  test('a range that is all known, with the age of its oldest check', async () => {
    await store(0, 10, T0 + 0.4 * DAY);
    await store(10, 10, T0 + 0.6 * DAY);
    const answer = await ledger.known(of(5, 10));
    expect(told(answer)).toEqual({
      ...{ cache: 'STORE', via: 'store', complete: true, count: 10, first: 5, gaps: [], next: 15 },
    });
    expect(answer).toMatchObject({ symbol: 'BTC/USDT', receivedAt: T0 + 0.4 * DAY, closesAt: null });
    expect(await ledger.known(of(10, 5))).toMatchObject({ receivedAt: T0 + 0.6 * DAY });
  });

  test('up to an end, where nothing more follows', async () => {
    await store(0, 20);
    const until = T0 + 8 * MINUTE;
    expect(told(await ledger.known(of(2, 100, { until })))).toMatchObject({ count: 6, first: 2, next: null });
    expect(told(await ledger.known(of(2, 6, { until })))).toMatchObject({ count: 6, next: null });
    expect(told(await ledger.known(of(null, 5, { until })))).toMatchObject({
      count: 5,
      first: 3,
      next: null,
    });
  });

  test('however the symbol is spelled', async () => {
    await store(0, 20);
    expect(await ledger.known(of(0, 5, { symbol: 'btc-usdt' }))).toMatchObject({ symbol: 'BTC/USDT' });
    expect(await ledger.known(of(0, 5, { symbol: 'btc-usdt' }))).toMatchObject({ symbol: 'BTC/USDT' });
  });

  test.each<[string, OhlcvRequest]>([
    ['a part of it is not known', of(15, 10)],
    ['the newest candles are wanted', of(15, 2000)],
    ['nothing is stored of the symbol', of(0, 5, { symbol: 'ETH/USDT' })],
    ['nothing is stored of the interval', of(0, 5, { interval: '5m' })],
    ['the interval is none', of(0, 5, { interval: 'soon' })],
    ['a hole is to be asked for again', of(20, 5, { until: T0 + 25 * MINUTE })],
  ])('is null where %s', async (_name, request) => {
    await store(0, 20);
    await write(rig.store, { first: 20, count: 0, kind: 'window', limit: 5, askedAt: NOW - 61 * MINUTE });
    expect(await ledger.known(request)).toBeNull();
  });

  test('a range that gave no candle this once, until it is to be asked for again', async () => {
    await write(rig.store, { first: 20, count: 0, kind: 'window', limit: 5, askedAt: NOW - 59 * MINUTE });
    expect(told(await ledger.known(of(20, 5, { until: T0 + 25 * MINUTE })))).toMatchObject({
      ...{ cache: 'STORE', count: 0, complete: true, gaps: [[20, 25, 'unconfirmed']] },
    });
  });

  test('is null without a store, or where the series has gone between two reads', async () => {
    await store(0, 20);
    rig.handle.current = { ...rig.store, read: () => Promise.resolve(null) };
    expect(await ledger.known(of(0, 5))).toBeNull();
    rig.handle.current = null;
    expect(await ledger.known(of(0, 5))).toBeNull();
  });

  test.each([
    ['50 ms where it is shared', true, 50],
    ['two seconds where it is a file', false, 2_000],
  ])('a store that is slow is waited for %s', async (_name, shared, ms) => {
    rig.handle.shared = shared;
    rig.handle.current = { ...rig.store, spelling: () => new Promise(() => undefined) };
    let answer: unknown = 'none yet';
    void ledger.known(of(0, 5)).then((value) => (answer = value));
    await vi.advanceTimersByTimeAsync(ms - 1);
    expect(answer).toBe('none yet');
    await vi.advanceTimersByTimeAsync(2);
    expect(answer).toBeNull();
  });
});

describe('load', () => {
  test('is null where nothing of the range is known', async () => {
    await store(0, 20);
    expect(await ledger.load(of(100, 10), ask)).toBeNull();
    expect(rig.venue.asked).toEqual([]);
  });

  test('asks for the missing part only, with one known candle at the seam', async () => {
    await store(0, 20);
    expect(await load(of(5, 30))).toEqual({
      ...{ cache: 'MISS', via: 'store+rest', complete: true, count: 30, first: 5, gaps: [], next: 35 },
    });
    expect(asked()).toEqual([[19, 16]]);
    await vi.advanceTimersByTimeAsync(0);
    expect(await rig.states()).toEqual([[0, 35, 'known']]);
  });

  test('a candle that was corrected at the seam is answered as it is now, and kept as a revision', async () => {
    await store(0, 20);
    rig.venue.corrected.set(T0 + 19 * MINUTE, 5);
    const answer = await ledger.load(of(18, 5), ask);
    const body: Body = JSON.parse(Buffer.from(answer?.body ?? []).toString());
    expect(body.candles.map(({ close }) => close)).toEqual([118, 5, 120, 121, 122]);
    const [revision] = await ledger.revisions(NAME, { from: undefined, to: undefined }, 5);
    expect(revision).toMatchObject({ timestamp: T0 + 19 * MINUTE, close: 119 });
  });

  test('the latest candles: the unsettled from the venue, with the time at which they change', async () => {
    await store(1340, 90, T0 + 1430 * MINUTE + 10_000);
    const answer = await ledger.load(of(null, 50), ask);
    expect(told(answer)).toMatchObject({ cache: 'MISS', count: 50, first: 1391, gaps: [], next: null });
    expect(answer?.closesAt).toBe(T0 + 1441 * MINUTE);
    expect(asked()).toEqual([[1429, 12]]);
  });

  test.each([
    ['the latest candles', of(null, 50)],
    ['candles since a time, fewer than the limit so far', of(1400, 50)],
  ])('%s change at once where their period ends while the venue is asked', async (_, request) => {
    await store(1340, 90, T0 + 1430 * MINUTE + 10_000);
    vi.setSystemTime(T0 + 1441 * MINUTE - 5);
    rig.venue.ahead = 10;
    const answer = await ledger.load(request, ask);
    const body: Body = JSON.parse(Buffer.from(answer?.body ?? []).toString());
    expect(body.candles.at(-1)).toMatchObject({ timestamp: T0 + 1440 * MINUTE, closed: true });
    expect(answer).toMatchObject({ complete: true, closesAt: T0 + 1441 * MINUTE });
  });

  test('the latest candles without those that the venue could not be asked for change when the open one ends', async () => {
    await store(1340, 90, T0 + 1430 * MINUTE + 10_000);
    rig.venue.fault = new AppError('upstream_unavailable', 'Away.');
    const answer = await ledger.load(of(null, 50), ask);
    expect(answer).toMatchObject({ cache: 'STORE', closesAt: T0 + 1441 * MINUTE });
  });

  test('a part of the longest answer is asked for in one call, with its seam', async () => {
    vi.setSystemTime(T0 + 10 * DAY + MINUTE / 2);
    await store(12_392, 10, T0 + 10 * DAY);
    expect(await load(of(null, 2000))).toMatchObject({
      count: 2000,
      first: 12_401,
      gaps: [],
      complete: true,
    });
    await vi.advanceTimersByTimeAsync(0);
    expect(await load(of(12_402, 2000))).toMatchObject({ count: 1999, complete: true });
    expect(asked()).toEqual([
      [12_401, 2000],
      [14_399, 2],
    ]);
  });

  test('where another has stored the rest meanwhile nobody is asked', async () => {
    await store(0, 20);
    expect(await load(of(0, 10))).toMatchObject({ cache: 'STORE', via: 'store', count: 10 });
    expect(rig.venue.asked).toEqual([]);
  });

  test('a hole that the venue leaves is asked for once and told as unconfirmed', async () => {
    await store(0, 20);
    for (let at = 20; at < 200; at += 1) rig.venue.missing.add(T0 + at * MINUTE);
    rig.venue.traits = { page: 100, kind: 'window', omitsEmpty: false };
    const until = T0 + 30 * MINUTE;
    expect(await load(of(10, 100, { until }))).toMatchObject({
      ...{ count: 10, cache: 'MISS', complete: true },
      gaps: [[20, 30, 'unconfirmed']],
    });
    expect(asked()).toEqual([[19, 11]]);
  });

  test('four parts are fetched for one answer, the rest is named and queued', async () => {
    for (const first of [0, 20, 40, 60, 80, 100]) await store(first, 10);
    expect(await load(of(0, 2000, { until: T0 + 110 * MINUTE }))).toMatchObject({
      ...{ count: 100, complete: false, gaps: [[90, 100, 'not_loaded_yet']] },
    });
    expect(asked().map(([since]) => since)).toEqual([9, 29, 49, 69]);
    expect(await queuedJobs()).toEqual([[90, 100, 'read']]);
  });

  test('a venue that fails: what is known, and a job for the rest', async () => {
    await store(0, 20);
    rig.venue.fault = new AppError('upstream_unavailable', 'down');
    expect(await load(of(10, 30))).toEqual({
      ...{ cache: 'STORE', via: 'store', complete: false, count: 10, first: 10, next: null },
      gaps: [[20, 1440, 'not_loaded_yet']],
    });
    expect(await queuedJobs()).toEqual([[20, 1440, 'read']]);
  });

  test('a venue that fails after its first part: what is known by then', async () => {
    for (const first of [0, 20, 40]) await store(first, 10);
    const once = (request: OhlcvRequest) => {
      if (rig.venue.asked.length > 0) rig.venue.fault = new AppError('upstream_timeout', 'late');
      return ask(request);
    };
    const answer = told(await ledger.load(of(0, 50, { until: T0 + 50 * MINUTE }), once));
    expect(answer).toMatchObject({
      ...{ cache: 'MISS', count: 40, complete: false, gaps: [[30, 40, 'not_loaded_yet']] },
    });
  });

  test.each(['shutting_down', 'internal_error'] as const)(
    '%s is not answered from the store',
    async (code) => {
      await store(0, 20);
      rig.venue.fault = new AppError(code, 'no');
      await expect(ledger.load(of(10, 30), ask)).rejects.toMatchObject({ code });
    },
  );

  test('an answer without pages is joined, but proves nothing', async () => {
    await store(0, 20);
    rig.venue.evidence = false;
    expect(await load(of(10, 30, { until: T0 + 40 * MINUTE }))).toMatchObject({
      ...{ count: 30, gaps: [[20, 40, 'not_loaded_yet']], complete: false },
    });
    expect(asked()).toHaveLength(1);
    expect(await rig.states()).toEqual([[0, 20, 'known']]);
  });

  test('a venue whose clock is an hour ahead settles nothing early', async () => {
    await store(1400, 30, T0 + 1430 * MINUTE + 10_000);
    rig.venue.ahead = 60 * MINUTE;
    await load(of(1420, 100));
    await vi.advanceTimersByTimeAsync(0);
    expect((await rig.states()).at(-1)).toEqual([1400, 1440, 'known']);
  });

  test('a part at the beginning of the range has no candle before it to ask for again', async () => {
    await store(10, 10);
    expect(await load(of(0, 15))).toMatchObject({ first: 0, count: 15, gaps: [] });
    expect(asked()).toEqual([[0, 10]]);
  });

  test('a page whose periods are not of one length is joined, but proves nothing', async () => {
    await store(0, 20);
    const odd = async (request: OhlcvRequest) => {
      const answer = await ask(request);
      // The second row begins a millisecond late.
      answer.evidence?.pages[0]?.rows.set([T0 + 20 * MINUTE + 1], 6);
      return answer;
    };
    expect(told(await ledger.load(of(10, 100, { until: T0 + 30 * MINUTE }), odd))).toMatchObject({
      ...{ count: 20, complete: false, gaps: [[20, 30, 'not_loaded_yet']] },
    });
    expect(asked()).toHaveLength(1);
    expect(await rig.states()).toEqual([[0, 20, 'known']]);
  });

  test('a page of which nothing is settled is joined all the same', async () => {
    vi.setSystemTime(T0 + 20 * MINUTE + 15_000);
    await store(0, 20, T0 + 20 * MINUTE + 11_000);
    expect(await load(of(15, 100))).toMatchObject({ cache: 'MISS', count: 6, gaps: [], complete: true });
    expect(asked()).toEqual([[19, 2]]);
  });
});

describe('partly', () => {
  test('what is known of an exchange that can not be asked', async () => {
    await store(0, 20);
    expect(told(await ledger.partly(of(10, 30), 'not_available_from_exchange'))).toMatchObject({
      ...{ cache: 'STORE', count: 10, complete: true, gaps: [[20, 1440, 'not_available_from_exchange']] },
    });
    expect(await queuedJobs()).toEqual([]);
  });

  test('a job for what is not loaded yet', async () => {
    await store(0, 20);
    expect(told(await ledger.partly(of(10, 30), 'not_loaded_yet'))).toMatchObject({ complete: false });
    expect(await queuedJobs()).toEqual([[20, 1440, 'read']]);
    expect(told(await ledger.partly(of(0, 5), 'not_loaded_yet'))).toMatchObject({ complete: true, gaps: [] });
    expect(await queuedJobs()).toHaveLength(1);
  });

  test('no job for a caller who may not start backfills', async () => {
    for (const first of [0, 20, 40, 60, 80, 100]) await store(first, 10);
    const whole = of(0, 2000, { until: T0 + 110 * MINUTE });
    expect(told(await ledger.partly(whole, 'not_loaded_yet', false))).toMatchObject({ complete: false });
    const answer = told(await ledger.load(whole, ask, false));
    expect(answer).toMatchObject({ complete: false, gaps: [[90, 100, 'not_loaded_yet']] });
    rig.venue.fault = new AppError('upstream_unavailable', 'down');
    const failed = told(await ledger.load(of(95, 10, { until: T0 + 110 * MINUTE }), ask, false));
    expect(failed).toMatchObject({ cache: 'STORE', complete: false });
    expect(await queuedJobs()).toEqual([]);
  });

  test('is null where nothing of it is known', async () => {
    await store(0, 20);
    expect(await ledger.partly(of(50, 30), 'not_loaded_yet')).toBeNull();
    expect(await ledger.partly(of(0, 5, { exchange: 'kraken' }), 'not_loaded_yet')).toBeNull();
  });
});
