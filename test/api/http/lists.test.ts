import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { exchangesList, marketsPage } from '../../../src/schemas/market.js';
import { START, startTestApp, type TestApp } from '../../support/app.js';
import { spotMarket } from '../../support/markets.js';

let rig: TestApp;
const get = (path: string, headers: Record<string, string> = {}) =>
  rig.app.inject({ method: 'GET', url: path, headers });

beforeEach(async () => {
  rig = await startTestApp();
});
afterEach(async () => {
  await rig.app.close();
});

describe('lists of exchanges and markets', () => {
  test('exchanges are listed under the names that were enabled, with validator', async () => {
    const response = await get('/v1/exchanges');
    expect(response.json().exchanges).toEqual([
      expect.objectContaining({
        id: 'binance',
        ccxt_id: 'binance',
        name: 'BINANCE',
        intervals: ['1m', '1h'],
      }),
      expect.objectContaining({ id: 'kraken' }),
      expect.objectContaining({ id: 'coinbasepro', ccxt_id: 'coinbaseexchange' }),
    ]);
    const again = await get('/v1/exchanges', { 'if-none-match': String(response.headers.etag) });
    expect(again.statusCode).toBe(304);
    expect(rig.venue.fetched).toEqual([]);
  });

  test('markets come sorted, filtered and in pages, with their age', async () => {
    const market = (base: string, quote: string) => spotMarket(`${base}/${quote}`);
    rig.venue.list = () =>
      Promise.resolve({
        markets: [market('ADA', 'USDT'), market('BTC', 'EUR'), market('BTC', 'USDT')],
        loadedAt: START - 5000,
      });
    const first = await get('/v1/markets?exchange=binance&limit=2');
    const page = marketsPage.parse(first.json());
    expect(page.markets.map(({ symbol }) => symbol)).toEqual(['ADA/USDT', 'BTC/EUR']);
    expect(first.headers).toMatchObject({ age: '5', 'x-cache': 'HIT', 'data-source': 'binance; via=rest' });
    const cursor = encodeURIComponent(page.next_cursor ?? '');
    const second = await get(`/v1/markets?exchange=binance&limit=2&cursor=${cursor}`);
    expect(second.json()).toMatchObject({ markets: [{ symbol: 'BTC/USDT' }], next_cursor: null });
    const filtered = await get('/v1/markets?exchange=binance&base=btc&quote=eur');
    expect(filtered.json().markets).toHaveLength(1);
    expect((await get('/v1/markets?exchange=binance&cursor=nonsense')).json()).toMatchObject({
      code: 'invalid_request',
      errors: [{ parameter: 'cursor' }],
    });
  });

  test('a list of markets that was loaded half an hour ago may still be kept for a minute', async () => {
    rig.venue.list = () => Promise.resolve({ markets: [], loadedAt: START - 1_800_000 });
    const { headers } = await get('/v1/markets?exchange=binance');
    expect(headers).toMatchObject({ age: '1800', 'cache-control': 'public, max-age=1860' });
  });

  test('an exchange that cannot be described, or not in time, is listed without capabilities', async () => {
    const described = rig.venue.describe.bind(rig.venue);
    rig.venue.describe = (exchange) =>
      exchange === 'kraken' ? Promise.reject(new Error('its module is broken')) : described(exchange);
    const response = await get('/v1/exchanges');
    expect(response.statusCode).toBe(200);
    expect(response.headers['cache-control']).toBe('no-cache');
    const { exchanges } = exchangesList.parse(response.json());
    expect(exchanges.map(({ id, capabilities }) => [id, capabilities?.ticker ?? null])).toEqual([
      ['binance', true],
      ['kraken', null],
      ['coinbasepro', true],
    ]);
    expect(exchanges[1]).toEqual({
      id: 'kraken',
      ccxt_id: 'kraken',
      name: 'kraken',
      capabilities: null,
      intervals: [],
      book_integrity: null,
    });
    rig.venue.describe = described;
    rig.clock.now += 5_000;
    const later = exchangesList.parse((await get('/v1/exchanges')).json());
    expect(later.exchanges[1]).toMatchObject({ id: 'kraken', capabilities: { ticker: true } });
    const warned = rig.log.lines.filter(({ message }) => message.includes('without its capabilities'));
    expect(warned).toHaveLength(1);
  });

  test('the list of exchanges names its source', async () => {
    expect((await get('/v1/exchanges')).headers['data-source']).toBe('server');
  });

  test('markets that were just loaded are a MISS', async () => {
    expect((await get('/v1/markets?exchange=binance')).headers).toMatchObject({
      'x-cache': 'MISS',
      age: '0',
    });
  });
});
