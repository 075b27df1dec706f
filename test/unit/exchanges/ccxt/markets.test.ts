import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { AppError } from '../../../../src/errors.js';
import { currentUpstreamCall } from '../../../../src/exchanges/ccxt/call-context.js';
import {
  VenueMarkets,
  MARKETS_LOAD_MS,
  MARKETS_REFRESH_MS,
  UNKNOWN_REFRESH_MS,
  type MarketLists,
} from '../../../../src/exchanges/ccxt/markets.js';
import type { Market } from '../../../../src/schemas/market.js';
import { spotMarket } from '../../../support/markets.js';
import { recordingLog } from '../../../support/recording-log.js';

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

const LIST: readonly Market[] = [spotMarket('BTC/USD')];
type Loaded = MarketLists | readonly Market[];
const failure = new AppError('upstream_unavailable', 'down');

const make = () => {
  const loads: (() => Promise<Loaded>)[] = [];
  const calls: unknown[] = [];
  const outcomes: (string | null)[] = [];
  const log = recordingLog();
  const book = new VenueMarkets({
    exchange: 'kraken',
    now: Date.now,
    monotonic: Date.now,
    random: () => 0.5,
    log,
    load: async () => {
      calls.push(currentUpstreamCall());
      const loaded = await (loads.shift()?.() ?? Promise.resolve(LIST));
      return 'list' in loaded ? loaded : { list: loaded };
    },
    onOutcome: (error) => outcomes.push(error?.code ?? null),
  });
  const soon = (rest = {}) => ({ deadline: Date.now() + 1000, priority: 'caller' as const, ...rest });
  return { book, loads, calls, outcomes, soon, log };
};

describe('the markets of a venue', () => {
  it('are loaded once for all who ask, as a call of its own kind', async () => {
    const { book, calls, soon } = make();
    expect(book.state).toBe('not_loaded');
    const both = Promise.all([book.get(soon()), book.get(soon())]);
    expect(book.state).toBe('loading');
    const [a, b] = await both;
    expect(a).toBe(b);
    expect(a.list).toEqual(LIST);
    expect(calls).toMatchObject([{ kind: 'markets', priority: 'caller' }]);
    expect(book).toMatchObject({ state: 'loaded', loadedAt: Date.now() });
    book.close();
  });

  it('are loaded again after a failure, by the next caller', async () => {
    const { book, loads, outcomes, soon } = make();
    loads.push(() => Promise.reject(failure));
    await expect(book.get(soon())).rejects.toBe(failure);
    expect(book).toMatchObject({ state: 'load_failed', loadedAt: null });
    await book.get(soon());
    expect(book.state).toBe('loaded');
    expect(outcomes).toEqual(['upstream_unavailable', null]);
    book.close();
  });

  it('that can not be loaded are one warning, however often it is tried, and one line when they are back', async () => {
    const { book, loads, soon, log } = make();
    const refused = new AppError('upstream_geo_blocked', 'x', {
      upstream: { exchange: 'kraken', status: 451 },
    });
    for (let i = 0; i < 20; i += 1) {
      loads.push(() => Promise.reject(i === 0 ? refused : failure));
      await expect(book.get(soon())).rejects.toThrow();
    }
    await book.get(soon());
    loads.push(() => Promise.reject(failure));
    await vi.advanceTimersByTimeAsync(2 * MARKETS_REFRESH_MS);
    const told = { exchange: 'kraken', markets: 1 };
    expect(log.lines).toEqual([
      {
        level: 'warn',
        message: 'could not load markets',
        details: { exchange: 'kraken', code: 'upstream_geo_blocked', status: 451 },
      },
      { level: 'info', message: 'markets are loaded again', details: told },
      {
        level: 'warn',
        message: 'could not load markets',
        details: { exchange: 'kraken', code: 'upstream_unavailable', status: undefined },
      },
      { level: 'info', message: 'markets are loaded again', details: told },
    ]);
    book.close();
  });

  it('whose load ends with the server are no warning', async () => {
    const { book, loads, soon, log } = make();
    let fail: (error: AppError) => void = () => undefined;
    loads.push(() => new Promise((_, reject) => (fail = reject)));
    const waiting = book.get(soon()).catch((error: unknown) => error);
    book.close();
    fail(failure);
    expect(await waiting).toBe(failure);
    expect(log.lines).toEqual([]);
  });

  it('make nobody wait beyond his own time, and go on loading for the others', async () => {
    const { book, loads, soon } = make();
    let finish: (list: readonly Market[]) => void = () => undefined;
    loads.push(() => new Promise((resolve) => (finish = resolve)));
    const controller = new AbortController();
    const reason = new AppError('shutting_down', 'x');
    const hasty = book.get(soon({ deadline: Date.now() + 10 })).catch((error: unknown) => error);
    const leaver = book.get(soon({ signal: controller.signal })).catch((error: unknown) => error);
    const patient = book.get(soon());
    await vi.advanceTimersByTimeAsync(11);
    controller.abort(reason);
    expect(await hasty).toMatchObject({ code: 'upstream_timeout' });
    expect(await leaver).toBe(reason);
    finish(LIST);
    expect((await patient).list).toEqual(LIST);
    book.close();
  });

  it('that never come are given up in the end', async () => {
    const { book, loads, soon } = make();
    loads.push(() => new Promise(() => undefined));
    const waiting = book.get(soon({ deadline: Infinity })).catch((error: unknown) => error);
    await vi.advanceTimersByTimeAsync(MARKETS_LOAD_MS + 1);
    expect(await waiting).toMatchObject({ code: 'upstream_timeout' });
    expect(book.state).toBe('load_failed');
    book.close();
  });

  it('tell that a refresh is about to load them, well before it begins', async () => {
    const { book, loads, calls, soon } = make();
    await book.get(soon());
    expect(book.loading).toBe(false);
    let done: (list: typeof LIST) => void = () => undefined;
    loads.push(() => new Promise((resolve) => (done = resolve)));
    await vi.advanceTimersByTimeAsync(MARKETS_REFRESH_MS - 1);
    expect(book).toMatchObject({ loading: true, state: 'loaded' });
    expect(calls).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(1);
    expect(calls).toHaveLength(2);
    expect(book.loading).toBe(true);
    done(LIST);
    await vi.advanceTimersByTimeAsync(0);
    expect(book.loading).toBe(false);
    book.close();
  });

  it('are refreshed behind everybody’s back, and stay as they were when that fails', async () => {
    const { book, loads, calls, soon } = make();
    await book.get(soon());
    loads.push(() => Promise.reject(new Error('odd')));
    await vi.advanceTimersByTimeAsync(MARKETS_REFRESH_MS + 1);
    expect(calls).toHaveLength(2);
    expect(calls[1]).toMatchObject({ priority: 'poll' });
    expect(book.state).toBe('refresh_failed');
    expect((await book.get(soon())).list).toEqual(LIST);
    const failedAt = book.since;
    await vi.advanceTimersByTimeAsync(MARKETS_REFRESH_MS / 2);
    expect(book.state).toBe('loaded');
    expect(book.since).toBeGreaterThan(failedAt);
    book.close();
    const { length } = calls;
    await vi.advanceTimersByTimeAsync(3 * MARKETS_REFRESH_MS);
    expect(calls).toHaveLength(length);
  });
});

describe('a symbol that is not listed', () => {
  const NEWER = [...LIST, spotMarket('NEW/USD')];

  it('loads the list again once it is a minute old, and no more often', async () => {
    const { book, loads, calls, soon } = make();
    const first = await book.get(soon());
    expect(await book.latest(soon(), first)).toBe(first);
    vi.advanceTimersByTime(UNKNOWN_REFRESH_MS);
    loads.push(() => Promise.resolve(NEWER));
    const second = await book.latest(soon(), first);
    expect(second.list).toEqual(NEWER);
    for (let asked = 0; asked < 100; asked += 1) expect(await book.latest(soon(), second)).toBe(second);
    expect(calls).toHaveLength(2);
  });

  it('has the present list where the load fails, and does not try again for a minute', async () => {
    const { book, loads, calls, soon } = make();
    const first = await book.get(soon());
    vi.advanceTimersByTime(UNKNOWN_REFRESH_MS);
    loads.push(() => Promise.reject(failure));
    expect(await book.latest(soon(), first)).toBe(first);
    expect(await book.latest(soon(), first)).toBe(first);
    expect(calls).toHaveLength(2);
  });
});

describe('a venue of whose lists one fails', () => {
  it('serves the others, and is asked again in a minute', async () => {
    const { book, loads, outcomes, soon, log } = make();
    loads.push(() => Promise.resolve({ list: LIST, missing: failure }));
    const loaded = await book.get(soon());
    expect(loaded).toMatchObject({ list: LIST, missing: failure });
    expect(book.state).toBe('loaded');
    expect(outcomes).toEqual(['upstream_unavailable']);
    expect(log.lines.filter(({ level }) => level === 'warn')).toHaveLength(1);
    loads.push(() => Promise.resolve([...LIST, spotMarket('ETH/USD')]));
    await vi.advanceTimersByTimeAsync(61_000);
    expect(await book.get(soon())).toMatchObject({ missing: null, list: { length: 2 } });
  });

  it('keeps what the failing list had before', async () => {
    const { book, loads, soon } = make();
    const whole = [...LIST, spotMarket('ETH/USD')];
    loads.push(() => Promise.resolve(whole));
    await book.get(soon());
    loads.push(() => Promise.resolve({ list: LIST, missing: failure }));
    await vi.advanceTimersByTimeAsync(MARKETS_REFRESH_MS);
    expect((await book.get(soon())).list).toEqual(whole);
    expect(book.state).toBe('refresh_failed');
  });
});
