import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { AppError } from '../../../../src/errors.js';
import { currentUpstreamCall } from '../../../../src/services/exchange/ccxt/call-context.js';
import {
  MarketBook,
  MARKETS_LOAD_MS,
  MARKETS_REFRESH_MS,
} from '../../../../src/services/exchange/ccxt/markets.js';
import { silentLog } from '../../../../src/services/log.js';
import type { Market } from '../../../../src/schemas/market.js';

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

const LIST: readonly Market[] = [
  { symbol: 'BTC/USD', base: 'BTC', quote: 'USD', type: 'spot', active: true },
];
const failure = new AppError('upstream_unavailable', 'down');

const make = () => {
  const loads: (() => Promise<readonly Market[]>)[] = [];
  const calls: unknown[] = [];
  const outcomes: (string | null)[] = [];
  const book = new MarketBook({
    exchange: 'kraken',
    now: Date.now,
    random: () => 0.5,
    log: silentLog,
    load: () => {
      calls.push(currentUpstreamCall());
      return loads.shift()?.() ?? Promise.resolve(LIST);
    },
    onOutcome: (error) => outcomes.push(error?.code ?? null),
  });
  const soon = (rest = {}) => ({ deadline: Date.now() + 1000, priority: 'caller' as const, ...rest });
  return { book, loads, calls, outcomes, soon };
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
