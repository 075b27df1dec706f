/** What clients of the built server get from its cache while the venue fails. */
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { startRig, type Rig } from './streams-rig.js';

const STALE_IF_ERROR_S = 6;
/** A caller who waited for retries would wait through back-offs of this order. */
const BACKOFF_S = 20;
/** One attempt, on a busy machine. */
const ONE_ATTEMPT_MS = 8_000;

let rig: Rig;
beforeAll(async () => {
  rig = await startRig({
    CMC_API_KEY: 'any',
    TICKER_CACHE_TTL: '1',
    STALE_IF_ERROR: String(STALE_IF_ERROR_S),
    INITIAL_BACKOFF: String(BACKOFF_S),
    REQUEST_TIMEOUT: '25',
  });
});
afterAll(() => rig.close());

interface Seen {
  readonly status: number;
  readonly cache: string | null;
  readonly body: {
    exchange?: string;
    code?: string;
    retryable?: boolean;
    last?: number;
    bid?: number | null;
  };
  readonly headers: Headers;
  readonly ms: number;
}
const ask = async (): Promise<Seen> => {
  const asked = performance.now();
  const response = await fetch(`${rig.url}/v1/markets/ticker?exchange=binance&symbol=BTC/USDT`);
  const body = (await response.json()) as Seen['body'];
  const { status, headers } = response;
  return { status, body, headers, cache: headers.get('x-cache'), ms: performance.now() - asked };
};

test('while the venue fails, old answers are served, marked and with their true age, then CoinMarketCap’s, then one clear error', async () => {
  const { control } = rig.sandbox;
  const first = await ask();
  const receivedAt = Date.now();
  expect(first).toMatchObject({ status: 200, cache: 'MISS', body: { exchange: 'binance' } });

  control.setFault({ venue: 'binance', fault: { type: 'status', status: 500 } });
  await vi.waitFor(async () => expect((await ask()).cache).toBe('STALE'), {
    timeout: 30_000,
    interval: 50,
  });
  const ageBefore = (Date.now() - receivedAt) / 1000;
  const stale = await Promise.all(Array.from({ length: 100 }, () => ask()));
  const ageAfter = (Date.now() - receivedAt) / 1000;
  for (const { status, cache, body, headers, ms } of stale) {
    expect({ status, cache, last: body.last }).toEqual({
      status: 200,
      cache: 'STALE',
      last: first.body.last,
    });
    expect(headers.get('cache-control')).toContain('max-age=0');
    const age = Number(headers.get('age'));
    expect(age).toBeGreaterThanOrEqual(Math.floor(ageBefore));
    // The request for the first answer took some time itself.
    expect(age).toBeLessThanOrEqual(ageAfter + first.ms / 1000);
    expect(ms).toBeLessThan(ONE_ATTEMPT_MS);
  }

  const quote = await vi.waitFor(
    async () => {
      const seen = await ask();
      expect(seen.body.exchange).toBe('coinmarketcap');
      return seen;
    },
    { timeout: 60_000, interval: 200 },
  );
  expect((Date.now() - receivedAt) / 1000).toBeGreaterThanOrEqual(STALE_IF_ERROR_S - first.ms / 1000);
  expect(quote).toMatchObject({ status: 200, body: { bid: null, ask: null, symbol: 'BTC/USDT' } });
  expect(quote.headers.get('data-source')).toBe('sandbox; via=coinmarketcap');

  control.setFault({ venue: 'coinmarketcap', fault: { type: 'status', status: 500 } });
  const refusal = await vi.waitFor(
    async () => {
      const seen = await ask();
      expect(seen.status).toBe(503);
      return seen;
    },
    { timeout: 60_000, interval: 200 },
  );
  expect(refusal.body).toMatchObject({ code: 'upstream_unavailable', retryable: true });
  expect(Number(refusal.headers.get('retry-after'))).toBeGreaterThan(0);

  control.clearFaults();
  await vi.waitFor(async () => expect((await ask()).body.exchange).toBe('binance'), {
    timeout: 90_000,
    interval: 500,
  });
});
