/** What was refused as the request's own fault is remembered for a short while. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { AppError } from '../../../src/errors.js';
import type { MarketQuery } from '../../../src/market-data/market-data-api.js';
import { tickerOf } from '../../support/market-data-rig.js';
import { closeRig, useClock, rig, open, get, fail, recover, calls, codeOf } from './rig.js';

beforeEach(useClock);
afterEach(closeRig);

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
