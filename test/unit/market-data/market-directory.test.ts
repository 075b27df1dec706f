import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { AppError } from '../../../src/errors.js';
import type { MarketsFilter } from '../../../src/market-data/market-data-api.js';
import { spotMarket } from '../../support/markets.js';
import { createRig, type Rig } from '../../support/market-data-rig.js';

const START = 1_700_000_000_000;
const market = (symbol: string) => spotMarket(symbol);
const SYMBOLS = [
  'ADA/USDT',
  'BTC/EUR',
  'BTC/USDT',
  'ETH/BTC',
  'ETH/USDT',
  'SOL/USDT',
  'kPEPE/USDT',
  '币安人生/USDT',
];
let rig: Rig;
const page = async (filter: Partial<MarketsFilter> = {}) =>
  rig.marketData.markets({ exchange: 'binance', limit: 100, ...filter });
const symbols = async (filter: Partial<MarketsFilter> = {}): Promise<string[]> =>
  (await page(filter)).page.markets.map(({ symbol }) => symbol);

beforeEach(() => {
  vi.useFakeTimers({ now: START });
  rig = createRig();
  rig.exchanges.list = () =>
    Promise.resolve({ markets: SYMBOLS.toReversed().map(market), loadedAt: Date.now() - 1_000 });
});
afterEach(async () => {
  await rig.close();
  vi.useRealTimers();
});

describe('a venue’s markets', () => {
  it('come sorted by symbol, with the time they were loaded, under the name that was asked for', async () => {
    const answer = await page({ exchange: 'coinbasepro' });
    expect(answer.loadedAt).toBe(START - 1_000);
    expect(answer.page.exchange).toBe('coinbasepro');
    expect(answer.page.next_cursor).toBeNull();
    expect(answer.page.markets.map(({ symbol }) => symbol)).toEqual([...SYMBOLS].sort());
  });

  it('are filtered by base, quote and part of the symbol in any case', async () => {
    expect(await symbols({ base: 'btc' })).toEqual(['BTC/EUR', 'BTC/USDT']);
    expect(await symbols({ quote: 'BTC' })).toEqual(['ETH/BTC']);
    expect(await symbols({ base: 'KPEPE' })).toEqual(['kPEPE/USDT']);
    expect(await symbols({ search: 'pepe' })).toEqual(['kPEPE/USDT']);
    expect(await symbols({ search: 'eth', quote: 'USDT' })).toEqual(['ETH/USDT']);
    expect(await symbols({ search: 'nothing' })).toEqual([]);
  });

  it.each([1, 2, 3, 7, 8, 9])('come whole in pages of %i, each once', async (limit) => {
    const seen: string[] = [];
    let cursor: string | undefined;
    do {
      const { page: one } = await page({ limit, cursor });
      expect(one.markets.length).toBeLessThanOrEqual(limit);
      expect(one.markets.length).toBeGreaterThan(0);
      seen.push(...one.markets.map(({ symbol }) => symbol));
      cursor = one.next_cursor ?? undefined;
      if (cursor !== undefined) expect(cursor).toMatch(/^[\w-]{1,128}$/);
    } while (cursor !== undefined);
    expect(seen).toEqual([...SYMBOLS].sort());
  });

  it('go on after a cursor whose market has gone', async () => {
    const { page: one } = await page({ limit: 3 });
    rig.exchanges.list = () =>
      Promise.resolve({ markets: SYMBOLS.filter((s) => s !== 'BTC/USDT').map(market), loadedAt: Date.now() });
    await vi.advanceTimersByTimeAsync(60_000);
    await page();
    await vi.advanceTimersByTimeAsync(0);
    expect((await symbols({ limit: 1, cursor: one.next_cursor! }))[0]).toBe('ETH/BTC');
  });

  it.each(['x', '', '!!!', 'MTpBVEMvVVNE=', Buffer.from('2:BTC/USDT').toString('base64url'), '//////'])(
    'are refused for the foreign cursor %j',
    async (cursor) => {
      await expect(page({ cursor })).rejects.toMatchObject({
        code: 'invalid_request',
        errors: [{ parameter: 'cursor' }],
      });
    },
  );

  it('are fetched once for many callers and then every minute, behind', async () => {
    await Promise.all(Array.from({ length: 50 }, () => page()));
    expect(rig.exchanges.listed).toBe(1);
    await vi.advanceTimersByTimeAsync(59_999);
    await page();
    expect(rig.exchanges.listed).toBe(1);
    rig.exchanges.list = () => Promise.resolve({ markets: [market('NEW/USDT')], loadedAt: Date.now() });
    await vi.advanceTimersByTimeAsync(1);
    expect((await symbols()).length).toBe(SYMBOLS.length);
    await vi.advanceTimersByTimeAsync(0);
    expect(await symbols()).toEqual(['NEW/USDT']);
    expect(rig.exchanges.listed).toBe(2);
  });

  it('stay as they were while the venue fails, which is asked now and then', async () => {
    await page();
    rig.exchanges.list = () => Promise.reject(new AppError('upstream_unavailable', 'down'));
    await vi.advanceTimersByTimeAsync(120_000);
    for (let i = 0; i < 20; i++) expect((await symbols()).length).toBe(SYMBOLS.length);
    expect((await page()).loadedAt).toBe(START - 1_000);
    expect(rig.exchanges.listed).toBe(2);
    await vi.advanceTimersByTimeAsync(5_000);
    await page();
    expect(rig.exchanges.listed).toBe(3);
  });

  it('that were never loaded are the venue’s error', async () => {
    rig.exchanges.list = () => Promise.reject(new AppError('upstream_unavailable', 'down'));
    await expect(page()).rejects.toMatchObject({ code: 'upstream_unavailable' });
    await expect(page({ exchange: 'okx' })).rejects.toMatchObject({ code: 'exchange_not_enabled' });
  });

  it('are not waited for by a caller who has left', async () => {
    rig.exchanges.list = () => new Promise(() => undefined);
    const leaving = new AbortController();
    const left = rig.marketData.markets({ exchange: 'binance', limit: 1 }, leaving.signal);
    leaving.abort();
    await expect(left).rejects.toBeInstanceOf(AppError);
  });
});

describe('whether a market is listed', () => {
  const loaded = (marketsLoadedAt: number | null): void => {
    const health = rig.exchanges.health();
    rig.exchanges.health = () => health.map((state) => ({ ...state, marketsLoadedAt }));
  };

  it('is known by its exact symbol, once a list is loaded', async () => {
    loaded(START - 1_000);
    expect(await rig.marketData.lists('binance', 'BTC/USDT')).toBe(true);
    expect(await rig.marketData.lists('binance', 'kPEPE/USDT')).toBe(true);
    for (const other of ['BTCUSDT', 'btc/usdt', 'KPEPE/USDT', ''])
      expect(await rig.marketData.lists('binance', other)).toBe(false);
  });

  it('is not known before, and where the list is not to be had', async () => {
    let asked = 0;
    rig.exchanges.list = () => {
      asked += 1;
      return Promise.reject(new AppError('upstream_unavailable', 'No list.'));
    };
    loaded(null);
    expect(await rig.marketData.lists('binance', 'BTC/USDT')).toBe(false);
    expect(asked).toBe(0);
    loaded(START - 1_000);
    expect(await rig.marketData.lists('binance', 'BTC/USDT')).toBe(false);
    expect(asked).toBe(1);
  });
});
