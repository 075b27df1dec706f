import { afterEach, describe, expect, test } from 'vitest';
import { createClientLimiter } from '../../../src/access/client-limiter.js';
import { startTestApp, type TestApp } from '../../support/app.js';
import { holdAnswers } from '../../support/fake-exchange-client.js';

let rig: TestApp | undefined;
const start = async (...args: Parameters<typeof startTestApp>): Promise<TestApp> => {
  rig = await startTestApp(...args);
  return rig;
};
afterEach(async () => {
  await rig?.app.close();
  rig = undefined;
});
const TICKER = '/v1/markets/ticker?exchange=binance&symbol=BTC/USDT';
const LIMITED = { CLIENT_RATE_LIMIT_REQUESTS: '3', CLIENT_RATE_LIMIT_WINDOW: '60' };

describe('the client limit', () => {
  test('counts down in its headers, also for cached answers, and then refuses until the window ends', async () => {
    const { app, clock, venue } = await start(LIMITED);
    const answers = [await app.inject(TICKER), await app.inject(TICKER), await app.inject(TICKER)];
    expect(answers.map(({ statusCode }) => statusCode)).toEqual([200, 200, 200]);
    expect(answers.map(({ headers }) => headers['x-cache'])).toEqual(['MISS', 'HIT', 'HIT']);
    expect(answers.map(({ headers }) => headers['ratelimit'])).toEqual([
      '"default";r=2;t=60',
      '"default";r=1;t=60',
      '"default";r=0;t=60',
    ]);
    expect(answers[2]?.headers).toMatchObject({
      'ratelimit-policy': '"default";q=3;w=60',
      'x-ratelimit-limit': '3',
      'x-ratelimit-remaining': '0',
      'x-ratelimit-reset': '60',
    });
    clock.now += 30_000;
    const refused = await app.inject(TICKER);
    expect(refused.statusCode).toBe(429);
    expect(refused.json()).toMatchObject({ code: 'client_rate_limited', retry_after_ms: 30_000 });
    expect(refused.headers).toMatchObject({ 'retry-after': '30', ratelimit: '"default";r=0;t=30' });
    expect(venue.fetched).toHaveLength(1);
    clock.now += 30_000;
    expect((await app.inject(TICKER)).statusCode).toBe(200);
  });

  test('counts each address by itself, unknown paths too, health checks never', async () => {
    const { app } = await start(LIMITED);
    const ask = (url: string, remoteAddress: string) => app.inject({ url, remoteAddress });
    for (let i = 0; i < 3; i++) expect((await ask('/nothing', '192.0.2.1')).statusCode).toBe(404);
    expect((await ask('/nothing', '192.0.2.1')).statusCode).toBe(429);
    expect((await ask('/nothing', '192.0.2.2')).statusCode).toBe(404);
    const health = await ask('/v1/health', '192.0.2.1');
    expect(health.statusCode).toBe(200);
    expect(health.headers).not.toHaveProperty('ratelimit');
  });

  test.each([
    ['false', '10.0.0.9, 192.0.2.7', [200, 429]],
    ['true', '192.0.2.7', [200, 200]],
    ['1', '10.0.0.9, 192.0.2.7', [200, 200]],
    ['127.0.0.1', '192.0.2.7', [200, 200]],
  ])(
    'TRUST_PROXY=%s decides whether X-Forwarded-For is believed',
    async (TRUST_PROXY, forwarded, statuses) => {
      const { app } = await start({ ...LIMITED, CLIENT_RATE_LIMIT_REQUESTS: '1', TRUST_PROXY });
      const ask = (headers: Record<string, string>) => app.inject({ url: TICKER, headers });
      const first = await ask({});
      const second = await ask({ 'x-forwarded-for': forwarded });
      expect([first.statusCode, second.statusCode]).toEqual(statuses);
    },
  );

  test('is off by default', async () => {
    const { app } = await start();
    expect((await app.inject(TICKER)).headers).not.toHaveProperty('ratelimit-policy');
  });

  test('forgets the oldest addresses rather than growing', () => {
    const limiter = createClientLimiter({ requests: 1, windowMs: 1000, maxKeys: 2 });
    expect(limiter.hit('a', 0).allowed).toBe(true);
    expect(limiter.hit('b', 0).allowed).toBe(true);
    expect(limiter.hit('b', 1).allowed).toBe(false);
    expect(limiter.hit('c', 1).allowed).toBe(true);
    expect(limiter.hit('a', 2).allowed).toBe(true);
    expect(limiter.hit('a', 999).allowed).toBe(false);
    expect(limiter.hit('a', 1002).allowed).toBe(true);
  });
});

describe('overload', () => {
  test('is answered early with 503 and Retry-After, and the venue is not asked; health checks still answer', async () => {
    let overloaded = true;
    const gauge = { overloaded: () => overloaded, lagMs: () => 900, close: () => undefined };
    const { app, venue } = await start({}, { loadGauge: gauge });
    const refused = await app.inject(TICKER);
    expect(refused.statusCode).toBe(503);
    expect(refused.headers['retry-after']).toBe('2');
    expect(refused.json()).toMatchObject({ code: 'overloaded', retryable: true });
    expect(venue.fetched).toEqual([]);
    expect((await app.inject('/v1/health')).statusCode).toBe(200);
    overloaded = false;
    expect((await app.inject(TICKER)).statusCode).toBe(200);
  });

  test('more requests at once than the bound are refused, those within are answered', async () => {
    const { app, venue } = await start({}, { maxInFlight: 2 });
    const release = holdAnswers(venue);
    const waiting = [app.inject(TICKER), app.inject(`${TICKER}&convert=EUR`)];
    await expect.poll(() => app.inFlight()).toBe(2);
    expect((await app.inject(TICKER)).json()).toMatchObject({ code: 'overloaded' });
    release();
    expect((await Promise.all(waiting)).map(({ statusCode }) => statusCode)).toEqual([200, 200]);
    expect(app.inFlight()).toBe(0);
  });

  test('one address takes no more than three quarters of the requests at once, and gets them back', async () => {
    const { app, venue } = await start({}, { maxInFlight: 8 });
    const ask = (remoteAddress: string) => app.inject({ url: TICKER, remoteAddress });
    for (let round = 0; round < 2; round += 1) {
      const release = holdAnswers(venue);
      const waiting = Array.from({ length: 6 }, () => ask('192.0.2.1'));
      await expect.poll(() => app.inFlight()).toBe(6);
      const refused = await ask('192.0.2.1');
      expect(refused.statusCode).toBe(503);
      expect(refused.headers['retry-after']).toBe('2');
      expect(refused.json()).toMatchObject({ code: 'overloaded', retryable: true });
      waiting.push(ask('192.0.2.2'), ask('192.0.2.3'));
      await expect.poll(() => app.inFlight()).toBe(8);
      release();
      for (const { statusCode } of await Promise.all(waiting)) expect(statusCode).toBe(200);
      rig!.clock.now += 2_001;
    }
  });
});

test('the head of an answer has what a client of it needs, and no more', async () => {
  await start();
  const { headers } = await rig!.app.inject({ url: TICKER, headers: { 'x-request-id': 'id' } });
  expect(Object.keys(headers).sort()).toEqual([
    ...['access-control-allow-origin', 'access-control-expose-headers', 'age', 'cache-control', 'connection'],
    ...['content-length', 'content-security-policy', 'content-type', 'cross-origin-resource-policy'],
    ...['data-source', 'date', 'etag', 'vary', 'x-cache', 'x-content-type-options', 'x-request-id'],
  ]);
  const head = Object.entries(headers).map(([name, value]) => `${name}: ${String(value)}\r\n`);
  expect(Buffer.byteLength(head.join(''))).toBeLessThan(700);
});

describe('CORS', () => {
  const ask = (origin: string, url = TICKER) => rig!.app.inject({ url, headers: { origin } });

  test('every origin may read by default, and sees the headers of the contract', async () => {
    await start();
    const { headers } = await ask('https://a.example');
    expect(headers['access-control-allow-origin']).toBe('*');
    const exposed = String(headers['access-control-expose-headers']).split(', ');
    expect(exposed).toEqual([
      ...['Age', 'ETag', 'X-Cache', 'Data-Source', 'X-Request-Id', 'Retry-After'],
      ...['Data-Gaps', 'Data-Next-Since'],
    ]);
  });

  test('sees the state of a client limit where there is one', async () => {
    await start({ CLIENT_RATE_LIMIT_REQUESTS: '10' });
    const { headers } = await ask('https://a.example');
    const exposed = String(headers['access-control-expose-headers']).split(', ');
    for (const name of ['Age', 'RateLimit', 'RateLimit-Policy', 'X-RateLimit-Remaining'])
      expect(exposed).toContain(name);
  });

  test('a list lets its own origins read, and tells caches that the answer depends on it', async () => {
    await start({ CORS_ORIGIN: 'https://a.example, https://b.example' });
    for (let i = 0; i < 2; i++) {
      expect((await ask('https://b.example')).headers).toMatchObject({
        'access-control-allow-origin': 'https://b.example',
        vary: 'Accept-Encoding, Origin',
      });
      const other = await ask('https://c.example');
      expect(other.headers).not.toHaveProperty('access-control-allow-origin');
      expect(other.headers.vary).toBe('Accept-Encoding, Origin');
    }
    expect((await rig!.app.inject(TICKER)).headers).not.toHaveProperty('access-control-allow-origin');
  });

  test('an empty setting lets no origin read', async () => {
    await start({ CORS_ORIGIN: '' });
    expect((await ask('https://a.example')).headers).not.toHaveProperty('access-control-allow-origin');
  });

  test('a preflight is answered with methods, headers and how long to remember', async () => {
    await start();
    const response = await rig!.app.inject({
      method: 'OPTIONS',
      url: '/v1/markets/ticker',
      headers: { origin: 'https://a.example', 'access-control-request-method': 'GET' },
    });
    expect(response.statusCode).toBe(204);
    expect(response.headers).toMatchObject({
      'access-control-allow-origin': '*',
      'access-control-allow-methods': 'GET, HEAD, OPTIONS',
      'access-control-max-age': '86400',
    });
    expect(response.headers['access-control-allow-headers']).toContain('If-None-Match');
  });
});
