import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { START, startTestApp, type TestApp } from '../../support/app.js';
import { AppError } from '../../../src/errors.js';
import { NO_STATS } from '../../../src/schemas/market.js';
import type { LiveTicker } from '../../../src/market-data/market-data-api.js';
import { FakeHub } from '../../support/fake-hub.js';
import { venueAnswer } from '../../support/fake-exchange-client.js';

let rig: TestApp;
const get = (path: string, headers: Record<string, string> = {}, method: 'GET' | 'HEAD' = 'GET') =>
  rig.app.inject({ method, url: path, headers });
const TICKER = '/v1/markets/ticker?exchange=binance&symbol=BTC/USDT';

beforeEach(async () => {
  rig = await startTestApp();
});
afterEach(async () => {
  await rig.app.close();
});

describe('what the venue is asked', () => {
  test.each([
    ['ticker?exchange=BINANCE&symbol=btc-usdt', { kind: 'ticker', exchange: 'binance', symbol: 'btc-usdt' }],
    ['ticker?exchange=coinbasepro&symbol=btc_usd', { exchange: 'coinbaseexchange', symbol: 'btc_usd' }],
    [
      'ohlcv?exchange=binance&symbol=BTC/USDT',
      { kind: 'ohlcv', interval: '1m', limit: 500, since: undefined },
    ],
    [
      'ohlcv?exchange=binance&symbol=BTC/USDT:USDT&interval=1h&since=1698000000000&limit=2000',
      { symbol: 'BTC/USDT:USDT', interval: '1h', since: 1_698_000_000_000, limit: 2000 },
    ],
    ['orderbook?exchange=kraken&symbol=BTC/USD', { kind: 'orderbook', exchange: 'kraken', limit: 50 }],
    ['orderbook?exchange=kraken&symbol=BTC/USD&limit=1000', { limit: 1000 }],
    ['trades?exchange=kraken&symbol=BTC/USD', { kind: 'trades', limit: 100 }],
    ['trades?exchange=kraken&symbol=BTC%2FUSD&limit=1', { kind: 'trades', symbol: 'BTC/USD', limit: 1 }],
  ])('%s', async (path, asked) => {
    const response = await get(`/v1/markets/${path}`);
    expect(response.statusCode).toBe(200);
    expect(rig.venue.fetched.map(({ request }) => request)).toEqual([expect.objectContaining(asked)]);
  });

  test('the answer repeats the alias that was asked for, and headers and log name the CCXT id', async () => {
    const response = await get('/v1/markets/ticker?exchange=CoinbasePro&symbol=BTC/USD');
    expect(response.json()).toMatchObject({ exchange: 'coinbasepro', symbol: 'BTC/USD' });
    expect(response.headers['data-source']).toBe('coinbaseexchange; via=rest');
    expect(rig.log.lines.at(-1)?.details).toMatchObject({ exchange: 'coinbaseexchange', cache: 'MISS' });
  });

  test.each(['/v1/markets/ticker', '/v1/stream/ticker'])('so do the faults of %s', async (path) => {
    rig.venue.answer = () =>
      Promise.reject(
        new AppError('upstream_geo_blocked', 'coinbaseexchange does not serve this place.', {
          upstream: { exchange: 'coinbaseexchange', status: 451 },
        }),
      );
    const response = await get(`${path}?exchange=coinbasepro&symbol=BTC/USD`);
    expect(response.json()).toMatchObject({
      status: 502,
      detail: 'coinbasepro does not serve this place.',
      upstream: { exchange: 'coinbasepro', status: 451 },
    });
    expect(rig.log.lines.at(-1)?.details).toMatchObject({
      exchange: 'coinbaseexchange',
      code: 'upstream_geo_blocked',
    });
  });
});

test.each(['BTC/USDT', 'btc-usdt'])('a ticker asked for as %s gives way to a live stream', async (symbol) => {
  await rig.app.close();
  let tick: LiveTicker | undefined;
  const hub = Object.assign(new FakeHub(), {
    latest: (exchange: string, listed: string) =>
      exchange === 'binance' && listed === 'BTC/USDT' ? tick : undefined,
  });
  rig = await startTestApp({}, { hub });
  const states = async (): Promise<unknown> =>
    (await get(`/v1/markets/ticker?exchange=binance&symbol=${symbol}`)).headers['x-cache'];
  expect([await states(), await states()]).toEqual(['MISS', 'HIT']);
  const figures = {
    bid: 1,
    ask: 3,
    last: 2,
    timestamp: START,
    stats: NO_STATS,
    rawJson: '{}',
    receivedAt: START,
  };
  tick = { symbol: 'BTC/USDT', ...figures };
  expect(await states()).toBe('LIVE');
  tick = undefined;
  expect(await states()).toBe('HIT');
});

describe('what is refused', () => {
  test.each([
    ['ticker', 'exchange', 'is required'],
    ['ticker?exchange=binance', 'symbol', 'is required'],
    ['ticker?exchange=&symbol=BTC/USDT', 'exchange', 'must not be empty'],
    ['ticker?exchange=binance&symbol=%20', 'symbol', 'must not be empty'],
    ['ticker?exchange=binance&symbol=A%00/B', 'symbol', 'must not contain control characters'],
    ['ticker?exchange=binance&symbol=A/B&symbol=C/D', 'symbol', 'must be given once'],
    ['ticker?exchange=binance&symbol=BTC/USDT&limit=1', 'limit', 'is not a parameter here'],
    ['ticker?exchange=binance&symbol=BTC/USDT&__proto__=1', '__proto__', 'is not a parameter here'],
    ['ohlcv?exchange=binance&symbol=BTC/USDT&interval=1x', 'interval', 'must look like'],
    ['ohlcv?exchange=binance&symbol=BTC/USDT&limit=2001', 'limit', 'must be at most 2000'],
    ['ohlcv?exchange=binance&symbol=BTC/USDT&limit=0', 'limit', 'must be at least 1'],
    ['ohlcv?exchange=binance&symbol=BTC/USDT&limit=1e2', 'limit', 'must be a whole number'],
    ['ohlcv?exchange=binance&symbol=BTC/USDT&since=-1', 'since', 'must be at least 0'],
    ['orderbook?exchange=binance&symbol=BTC/USDT&limit=1001', 'limit', 'must be at most 1000'],
    ['trades?exchange=binance&symbol=BTC/USDT&limit=NaN', 'limit', 'must be a whole number'],
  ])('%s', async (path, parameter, reason) => {
    const response = await get(`/v1/markets/${path}`);
    expect(response.statusCode).toBe(400);
    expect(response.headers['content-type']).toMatch(/^application\/problem\+json/);
    expect(response.headers['cache-control']).toBe('no-store');
    const { code, errors, detail } = response.json();
    expect(code).toBe('invalid_request');
    expect(errors).toContainEqual({ parameter, reason: expect.stringContaining(reason) });
    expect(detail).toContain(parameter);
    expect(rig.venue.fetched).toEqual([]);
  });

  test.each([
    ['nowhere', 'unknown_exchange'],
    ['__proto__', 'unknown_exchange'],
    ['constructor', 'unknown_exchange'],
    ['okx', 'exchange_not_enabled'],
  ])('the exchange %s is %s', async (exchange, code) => {
    const response = await get(`/v1/markets/ticker?exchange=${exchange}&symbol=BTC/USDT`);
    expect(response.statusCode).toBe(400);
    expect(response.json()).toMatchObject({ code, retryable: false, instance: '/v1/markets/ticker' });
  });

  test("a venue's fault is the problem that it was classified as, with upstream and Retry-After", async () => {
    rig.venue.answer = () =>
      Promise.reject(
        new AppError('upstream_rate_limited', 'binance asks for a pause.', {
          retryAfterMs: 29_500,
          upstream: { exchange: 'binance', status: 429 },
        }),
      );
    const response = await get(TICKER);
    expect(response.statusCode).toBe(429);
    expect(response.headers['retry-after']).toBe('30');
    expect(response.json()).toEqual({
      type: '/docs/errors#upstream_rate_limited',
      title: 'Upstream rate limited',
      status: 429,
      detail: 'binance asks for a pause.',
      instance: '/v1/markets/ticker',
      code: 'upstream_rate_limited',
      retryable: true,
      retry_after_ms: 29_500,
      request_id: response.headers['x-request-id'],
      upstream: { exchange: 'binance', status: 429 },
    });
  });

  test('who takes no JSON gets a 406, and who prefers something else but takes anything gets his answer', async () => {
    const refused = await get(TICKER, { accept: 'text/html' });
    expect(refused.statusCode).toBe(406);
    expect(refused.json()).toMatchObject({ code: 'not_acceptable' });
    expect((await get(TICKER, { accept: 'text/html, */*;q=0.1' })).statusCode).toBe(200);
    // The second time the answer is cached, and the cache must not forget the rule.
    expect((await get(TICKER, { accept: 'text/html' })).statusCode).toBe(406);
  });
});

describe('freshness, as headers tell it', () => {
  test('MISS, then HIT with the same validator and a true age, then MISS again past the TTL', async () => {
    const miss = await get(TICKER);
    expect(miss.headers).toMatchObject({ 'x-cache': 'MISS', age: '0', 'cache-control': 'public, max-age=2' });
    expect(miss.headers['data-source']).toBe('binance; via=rest');
    rig.clock.now += 1100;
    const hit = await get(TICKER);
    expect(hit.headers).toMatchObject({ 'x-cache': 'HIT', age: '1', 'cache-control': 'public, max-age=1' });
    expect(hit.headers.etag).toBe(miss.headers.etag);
    expect(hit.body).toBe(miss.body);
    rig.clock.now = START + 2000;
    expect((await get(TICKER)).headers['x-cache']).toBe('MISS');
    expect(rig.venue.fetched).toHaveLength(2);
  });

  test('HIT and MISS carry the same headers but for those that must differ', async () => {
    const [miss, hit] = [await get(TICKER), await get(TICKER)];
    const names = (headers: object) => Object.keys(headers).sort();
    expect(names(hit.headers)).toEqual(names(miss.headers));
    const differing = names(hit.headers).filter((name) => hit.headers[name] !== miss.headers[name]);
    expect(differing.filter((name) => name !== 'date')).toEqual(['x-cache', 'x-request-id']);
  });

  test('a failing venue leaves its last answer in service: STALE, max-age=0, true age', async () => {
    await get(TICKER);
    rig.venue.answer = () =>
      Promise.reject(new AppError('upstream_unavailable', 'binance cannot be reached.'));
    rig.clock.now += 30_500;
    for (let i = 0; i < 2; i++) {
      const stale = await get(TICKER);
      expect(stale.statusCode).toBe(200);
      expect(stale.headers).toMatchObject({
        'x-cache': 'STALE',
        age: '30',
        'cache-control': 'public, max-age=0',
      });
    }
  });

  test.each([
    ['the validator itself', (etag: string) => etag],
    ['a weak copy of it', (etag: string) => `W/${etag}`],
    ['a list that holds it', (etag: string) => `"other", W/${etag}`],
    ['an asterisk', () => '*'],
  ])(
    'If-None-Match with %s is a 304 without a body, fresh and from the response cache',
    async (_, header) => {
      const first = await get(TICKER);
      const etag = String(first.headers.etag);
      const fresh = `${TICKER}&convert=usd`;
      for (const path of [fresh, TICKER]) {
        const response = await get(path, { 'if-none-match': header(etag) });
        expect(response.statusCode).toBe(304);
        expect(response.body).toBe('');
        expect(response.headers).toMatchObject({ etag, 'x-cache': 'HIT', age: '0' });
        expect(response.headers).not.toHaveProperty('content-type');
      }
    },
  );

  test('another validator is answered in full', async () => {
    await get(TICKER);
    expect((await get(TICKER, { 'if-none-match': '"other"' })).statusCode).toBe(200);
  });

  test('HEAD has the headers of GET and no body, fresh and from the response cache', async () => {
    const miss = await get(TICKER, {}, 'HEAD');
    const hit = await get(TICKER, {}, 'HEAD');
    const full = await get(TICKER);
    for (const head of [miss, hit]) {
      expect(head.statusCode).toBe(200);
      expect(head.body).toBe('');
      expect(head.headers['content-length']).toBe(String(full.body.length));
      expect(head.headers.etag).toBe(full.headers.etag);
    }
    expect(hit.headers['x-cache']).toBe('HIT');
  });

  test('a body with letters beyond ASCII arrives byte for byte from the response cache', async () => {
    rig.venue.answer = (request) =>
      Promise.resolve(venueAnswer(request, rig.clock.now, { members: { raw: { name: 'Ünïcødé 币安' } } }));
    const [miss, hit] = [await get(TICKER), await get(TICKER)];
    expect(hit.headers['x-cache']).toBe('HIT');
    expect(hit.rawPayload).toEqual(miss.rawPayload);
    expect(hit.json()).toMatchObject({ raw: { name: 'Ünïcødé 币安' } });
  });
});

test('a client that leaves aborts its request to the venue', async () => {
  const asked = new Promise<AbortSignal | undefined>((resolve) => {
    rig.venue.answer = (_request, options) => {
      resolve(options.signal);
      return new Promise(() => undefined);
    };
  });
  const controller = new AbortController();
  const answered = rig.app.inject({ url: TICKER, signal: controller.signal }).catch(() => undefined);
  const signal = await asked;
  expect(signal?.aborted).toBe(false);
  controller.abort();
  await answered;
  await expect.poll(() => signal?.aborted).toBe(true);
});
