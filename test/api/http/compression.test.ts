import { gunzipSync } from 'node:zlib';
import { afterEach, describe, expect, test } from 'vitest';
import { startTestApp, type TestApp } from '../../support/app.js';
import { venueAnswer } from '../../support/fake-exchange-client.js';

const BOOK = '/v1/markets/orderbook?exchange=binance&symbol=BTC/USDT';
const levels = Array.from({ length: 200 }, (_, i) => ({ price: 42_000 + i, amount: 1 }));

let rig: TestApp;
afterEach(async () => {
  await rig.app.close();
});

/** A venue whose order book is far above a kilobyte, and whose ticker is far below. */
const start = async (env: Readonly<Record<string, string>> = {}) => {
  rig = await startTestApp(env);
  rig.venue.answer = (request) => {
    const members = request.kind === 'ticker' ? { last: 1 } : { bids: levels, asks: [], timestamp: 1 };
    return Promise.resolve(venueAnswer(request, rig.clock.now, { members }));
  };
};
const get = (url: string, headers: Record<string, string> = {}) => rig.app.inject({ url, headers });
const GZIP = { 'accept-encoding': 'gzip, deflate, br' };

describe.each([
  ['every origin', {}],
  ['one origin', { CORS_ORIGIN: 'https://a.example' }],
])('market answers to clients of %s', (_, env) => {
  test('are compressed for who takes gzip, fresh and from the response cache, with a validator of their own', async () => {
    await start(env);
    const plain = await get(BOOK);
    expect(plain.headers['content-encoding']).toBeUndefined();
    for (const path of [`${BOOK}&limit=50`, BOOK]) {
      const packed = await get(path, GZIP);
      expect(packed.headers).toMatchObject({
        'content-encoding': 'gzip',
        'content-type': 'application/json; charset=utf-8',
        'x-cache': 'HIT',
      });
      expect(packed.rawPayload.length).toBeLessThan(plain.rawPayload.length / 3);
      expect(gunzipSync(packed.rawPayload).toString()).toBe(plain.body);
      expect(packed.headers['content-length']).toBe(String(packed.rawPayload.length));
      expect(packed.headers.etag).toMatch(/^"[^"]+"$/);
      expect(packed.headers.etag).not.toBe(plain.headers.etag);
    }
  });

  test('tell caches that they vary, whichever form they have', async () => {
    await start(env);
    const vary =
      'CORS_ORIGIN' in env ? /^(Accept-Encoding, Origin|Origin, Accept-Encoding)$/ : /^Accept-Encoding$/;
    for (const headers of [{}, GZIP, {}, GZIP]) {
      const response = await get(BOOK, headers);
      expect(response.headers.vary).toMatch(vary);
      const again = await get(BOOK, { ...headers, 'if-none-match': String(response.headers.etag) });
      expect(again.statusCode).toBe(304);
      expect(again.headers.vary).toMatch(vary);
      expect(again.headers.etag).toBe(response.headers.etag);
      expect(again.headers['content-encoding']).toBeUndefined();
    }
  });
});

test('the validator of one form is not that of the other', async () => {
  await start();
  const [plain, packed] = [await get(BOOK), await get(BOOK, GZIP)];
  const asked = (etag: unknown, headers = {}) => get(BOOK, { ...headers, 'if-none-match': String(etag) });
  expect((await asked(plain.headers.etag, GZIP)).statusCode).toBe(200);
  expect((await asked(packed.headers.etag)).statusCode).toBe(200);
});

test('a small answer is sent as it is', async () => {
  await start();
  const ticker = '/v1/markets/ticker?exchange=binance&symbol=BTC/USDT';
  const { headers } = await get(ticker, GZIP);
  expect(headers['content-encoding']).toBeUndefined();
  expect(headers.vary).toBe('Accept-Encoding');
});

test('HEAD tells the length of the form that GET would send', async () => {
  await start();
  for (let i = 0; i < 2; i++) {
    const head = await rig.app.inject({ method: 'HEAD', url: BOOK, headers: GZIP });
    expect(head.body).toBe('');
    const full = await get(BOOK, GZIP);
    expect(head.headers['content-length']).toBe(String(full.rawPayload.length));
    expect(head.headers['content-encoding']).toBe('gzip');
  }
});
