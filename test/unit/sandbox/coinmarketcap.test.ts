import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Sandbox } from '../../../src/sandbox/sandbox.js';
import { NOON, sandboxAt } from './ccxt-clients.js';

let sandbox: Sandbox;
beforeAll(async () => {
  ({ sandbox } = await sandboxAt(NOON));
});
afterAll(() => sandbox.close());

async function get(path: string, key = 'any-key'): Promise<{ status: number; body: Body }> {
  const headers: Record<string, string> = key === '' ? {} : { 'X-CMC_PRO_API_KEY': key };
  const answer = await fetch(`${sandbox.url}/pro-api.coinmarketcap.com${path}`, { headers });
  return { status: answer.status, body: (await answer.json()) as Body };
}
interface Body {
  readonly status: { readonly error_code: number; readonly error_message: string | null };
  readonly data?: unknown;
}

describe('simulated CoinMarketCap', () => {
  test.each([
    ['', 401, 1002],
    ['error-1001', 401, 1001],
    ['error-1003', 402, 1003],
    ['error-1006', 403, 1006],
    ['error-1008', 429, 1008],
    ['error-1011', 429, 1011],
  ])('refuses the key "%s" with %i and code %i', async (key, status, code) => {
    const answer = await get('/v1/cryptocurrency/map', key);
    expect(answer.status).toBe(status);
    expect(answer.body.status).toMatchObject({
      error_code: code,
      error_message: expect.any(String) as string,
    });
  });

  test('maps a ticker to all assets that carry it', async () => {
    const { body } = await get('/v1/cryptocurrency/map?symbol=SOL,ETH');
    expect(body.data).toMatchObject([
      { id: 5426, symbol: 'SOL' },
      { id: 16_116, symbol: 'SOL' },
      { id: 1027, symbol: 'ETH' },
    ]);
  });

  test('quotes by id: v1 and v2 keyed by id, v3 as arrays', async () => {
    const { price, updatedAt } = sandbox.coinMarketCap(1, 'EUR', NOON);
    const usd = sandbox.coinMarketCap(1, 'USD', NOON).price;
    expect(updatedAt).toBe(NOON - 30_000);
    const shape = {
      id: 1,
      symbol: 'BTC',
      quote: { USD: { price: usd }, EUR: { price, last_updated: new Date(updatedAt).toISOString() } },
    };
    for (const version of ['v1', 'v2']) {
      const { body } = await get(`/${version}/cryptocurrency/quotes/latest?id=1&convert=USD,EUR`);
      expect(body.data).toMatchObject({ '1': shape });
    }
    const { body } = await get('/v3/cryptocurrency/quotes/latest?id=1&convert=EUR');
    expect(body.data).toMatchObject([{ id: 1, quote: [{ symbol: 'EUR', price }] }]);
  });

  test('quotes by symbol: v2 lists every asset of the ticker', async () => {
    const { body } = await get('/v2/cryptocurrency/quotes/latest?symbol=SOL');
    expect(body.data).toMatchObject({ SOL: [{ id: 5426 }, { id: 16_116 }] });
  });

  test('is near the price of the exchanges', () => {
    const exchange = sandbox.market.ticker('kraken', 'BTC/USD', NOON - 30_000).last;
    expect(Math.abs(sandbox.coinMarketCap(1, 'USD', NOON).price / exchange - 1)).toBeLessThan(0.002);
  });

  test.each(['id=999999999', 'symbol=NOPE', 'id=1&convert=NOPE', ''])(
    'refuses quotes of "%s"',
    async (query) => {
      const { status, body } = await get(`/v2/cryptocurrency/quotes/latest?${query}`);
      expect([status, body.status.error_code]).toEqual([400, 400]);
    },
  );

  test('tells the plan of a key, which has no history', async () => {
    expect((await get('/v1/key/info')).body.data).toMatchObject({ plan: { rate_limit_minute: 30 } });
    expect((await get('/v2/cryptocurrency/ohlcv/historical?id=1')).body.status.error_code).toBe(1006);
  });

  test('maps all assets in pages, and refuses a ticker that nothing carries', async () => {
    const all = (await get('/v1/cryptocurrency/map')).body.data as { id: number }[];
    expect(all.map(({ id }) => id)).toEqual(expect.arrayContaining([1, 1027, 20_314, 4172, 31_469]));
    expect((await get('/v1/cryptocurrency/map?start=2&limit=3')).body.data).toEqual(all.slice(1, 4));
    expect((await get('/v1/cryptocurrency/map?symbol=BTC,NOPE')).body.status).toMatchObject({
      error_code: 400,
      error_message: 'Invalid value for "symbol": "NOPE"',
    });
  });

  test('quotes by slug, keyed by id', async () => {
    const { body } = await get('/v2/cryptocurrency/quotes/latest?slug=bitcoin,terra-classic');
    expect(body.data).toMatchObject({ '1': { symbol: 'BTC' }, '4172': { symbol: 'LUNC' } });
    expect((await get('/v2/cryptocurrency/quotes/latest?slug=nope')).status).toBe(400);
  });

  test.each(['/v1/weather', '/nothing'])('has no %s', async (path) => {
    expect(await get(path)).toMatchObject({ status: 404, body: { status: { error_message: 'Not Found' } } });
  });

  test('publishes nothing of an asset or in a currency that it does not know', () => {
    expect(() => sandbox.coinMarketCap(7, 'USD', NOON)).toThrow('CoinMarketCap has no asset 7');
    expect(() => sandbox.coinMarketCap(1, 'XYZ', NOON)).toThrow('nothing is quoted in XYZ');
  });
});
