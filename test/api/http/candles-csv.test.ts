// Candles as CSV: the real CCXT over simulated venues, fresh and from the response cache.
import type { AddressInfo } from 'node:net';
import { gunzipSync } from 'node:zlib';
import type { FastifyInstance } from 'fastify';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { LedgerRig, MINUTE } from '../ledger/ledger-app.js';
import type { Ohlcv } from '../../../src/schemas/market.js';

let rig: LedgerRig;
let app: FastifyInstance;
beforeAll(async () => {
  rig = await LedgerRig.start('none');
  app = await rig.app({ CORS_ORIGIN: '*', OHLCV_CACHE_TTL: '300' });
});
afterAll(() => rig.close());

const CSV = { accept: 'text/csv' };
const GZIP = { 'accept-encoding': 'gzip' };
const PATH = '/v1/markets/ohlcv?exchange=binance&symbol=BTC/USDT&interval=1m';
/** Closed candles, so that an answer stays what it is; `nth` tells the ranges of tests apart. */
const rangeOf = (nth: number, limit = 20): string => {
  const since = rig.now() - (nth + 1) * 3000 * MINUTE;
  return `${PATH}&since=${since - (since % MINUTE)}&limit=${limit}`;
};
const get = (url: string, headers: Record<string, string> = {}) => app.inject({ url, headers });

const expectedCsv = ({ candles }: Ohlcv): string =>
  [
    'timestamp,open,high,low,close,volume,closed',
    ...candles.map((row) =>
      [row.timestamp, row.open, row.high, row.low, row.close, row.volume, row.closed].join(','),
    ),
    '',
  ].join('\r\n');

describe.each([
  ['Accept', '', CSV],
  ['format=csv', '&format=csv', {}],
] as const)('asked for by %s', (name, query, headers) => {
  test('the candles are those of JSON, with every header of an answer, fresh and repeated', async () => {
    const url = rangeOf(name === 'Accept' ? 0 : 1);
    const json = await get(url);
    for (const round of [1, 2, 3]) {
      const csv = await get(url + query, headers);
      expect(csv.statusCode).toBe(200);
      expect(csv.body, `round ${round}`).toBe(expectedCsv(json.json<Ohlcv>()));
      expect(csv.headers).toMatchObject({
        'content-type': 'text/csv; charset=utf-8; header=present',
        'content-length': String(csv.rawPayload.length),
        'x-cache': 'HIT',
        'data-source': 'sandbox; via=rest',
        vary: 'Accept, Accept-Encoding',
        'data-next-since': String(json.json<Ohlcv>().next_since),
      });
      expect(csv.headers['access-control-expose-headers']).toMatch(/Data-Gaps, Data-Next-Since/);
      expect(csv.headers['cache-control']).toMatch(/^public, max-age=\d+$/);
      expect(csv.headers).not.toHaveProperty('content-disposition');
      expect(csv.headers).not.toHaveProperty('data-gaps');
    }
  });
});

test('one address is JSON to one and CSV to another, in any order and from the response cache', async () => {
  const url = rangeOf(2);
  const json = await get(url);
  for (const accept of [
    'text/csv',
    'application/json',
    'text/csv',
    '*/*',
    'text/csv;q=0.1, application/json',
  ]) {
    const answer = await get(url, { accept });
    const isCsv = accept === 'text/csv';
    expect(answer.headers['content-type'], accept).toMatch(isCsv ? /^text\/csv/ : /^application\/json/);
    expect(answer.body === json.body, accept).toBe(!isCsv);
    expect(answer.headers['x-cache']).toBe('HIT');
    expect(answer.headers.vary).toBe('Accept, Accept-Encoding');
  }
});

test('a response that is cached and sent before Fastify sees the request chooses by Accept too', async () => {
  const { port } = app.server.address() as AddressInfo;
  const url = `http://127.0.0.1:${port}${rangeOf(8)}`;
  const ask = async (accept: string) => {
    const answer = await fetch(url, { headers: { accept } });
    return { status: answer.status, type: answer.headers.get('content-type'), text: await answer.text() };
  };
  const json = await ask('application/json');
  const counted = rig.candleRequests();
  for (let round = 0; round < 2; round += 1) {
    const csv = await ask('text/csv');
    expect(csv).toMatchObject({ status: 200, type: 'text/csv; charset=utf-8; header=present' });
    expect(csv.text).toBe(expectedCsv(JSON.parse(json.text) as Ohlcv));
    expect(await ask('application/json')).toEqual(json);
    expect((await ask('text/html')).status).toBe(406);
  }
  expect(rig.candleRequests()).toBe(counted);
});

test('a validator belongs to its form: as it is, compressed, JSON or CSV', async () => {
  const url = rangeOf(3, 200);
  const forms = [{}, GZIP, CSV, { ...CSV, ...GZIP }];
  const etags = [];
  for (const form of forms) etags.push(String((await get(url, form)).headers.etag));
  expect(new Set(etags).size).toBe(4);
  for (const [index, form] of forms.entries())
    for (const [other, etag] of etags.entries()) {
      const { statusCode, headers, body } = await get(url, { ...form, 'if-none-match': etag });
      expect(statusCode, `form ${index}, validator ${other}`).toBe(index === other ? 304 : 200);
      if (index !== other) continue;
      expect(body).toBe('');
      expect(headers.vary).toBe('Accept, Accept-Encoding');
    }
});

test('CSV is compressed for who takes gzip', async () => {
  const url = rangeOf(4, 300);
  const plain = await get(url, CSV);
  for (let round = 0; round < 2; round += 1) {
    const packed = await get(url, { ...CSV, ...GZIP });
    expect(packed.headers).toMatchObject({
      'content-encoding': 'gzip',
      'content-type': 'text/csv; charset=utf-8; header=present',
      'data-next-since': plain.headers['data-next-since'],
    });
    expect(gunzipSync(packed.rawPayload).toString()).toBe(plain.body);
    expect(packed.rawPayload.length).toBeLessThan(plain.rawPayload.length / 2);
  }
});

test('HEAD has the headers of the CSV that GET would send', async () => {
  const url = rangeOf(5);
  const full = await get(url, CSV);
  for (let round = 0; round < 2; round += 1) {
    const head = await app.inject({ method: 'HEAD', url, headers: CSV });
    expect(head.body).toBe('');
    expect(head.headers).toMatchObject({
      'content-type': full.headers['content-type'],
      'content-length': full.headers['content-length'],
      etag: full.headers.etag,
    });
  }
});

test('download=1 names a file of the form that is sent; the same answer is shown elsewhere without', async () => {
  const url = rangeOf(6);
  for (let round = 0; round < 2; round += 1) {
    expect((await get(`${url}&format=csv&download=1`)).headers['content-disposition']).toBe(
      'attachment; filename="binance-BTC-USDT-1m.csv"',
    );
    expect((await get(`${url}&download=true`)).headers['content-disposition']).toBe(
      'attachment; filename="binance-BTC-USDT-1m.json"',
    );
    for (const shown of ['', '&format=csv', '&format=csv&download=0'])
      expect((await get(url + shown)).headers).not.toHaveProperty('content-disposition');
  }
});

test('what is missing stands in Data-Gaps, and the open candle says so', async () => {
  const url = `/v1/markets/ohlcv?exchange=kraken&symbol=BTC/USD&interval=1m&since=1699000000000&limit=2000`;
  const json = (await get(url)).json<Ohlcv>();
  const [gap] = json.gaps ?? [];
  const csv = await get(url, CSV);
  expect(csv.headers['data-gaps']).toBe(`1699000020000-${gap?.to ?? NaN};not_available_from_exchange`);
  expect(csv.body).toBe(expectedCsv(json));
  expect(csv.body).toMatch(/,false\r\n$/);
  expect(csv.headers).not.toHaveProperty('data-next-since');
});

test('faults are problems whatever was asked for', async () => {
  for (const [query, code] of [
    ['exchange=binance&symbol=NO/SUCH', 'symbol_not_found'],
    ['exchange=binance&symbol=BTC/USDT&format=xml', 'invalid_request'],
    ['exchange=binance&symbol=BTC/USDT&download=yes', 'invalid_request'],
    ['exchange=nowhere&symbol=BTC/USDT', 'unknown_exchange'],
  ]) {
    const answer = await get(`/v1/markets/ohlcv?${query}`, CSV);
    expect(answer.headers['content-type']).toMatch(/^application\/problem\+json/);
    expect(answer.json()).toMatchObject({ code });
  }
});

test('who takes neither form gets a 406 before the exchange is asked, also where the answer is known', async () => {
  rig.sandbox.control.resetLog();
  const refused = await get(rangeOf(7), { accept: 'text/html' });
  expect(refused.json()).toMatchObject({ status: 406, code: 'not_acceptable' });
  expect(refused.json<{ detail: string }>().detail).toContain('text/csv');
  expect(rig.candleRequests()).toBe(0);
  await get(rangeOf(7));
  expect((await get(rangeOf(7), { accept: 'text/html' })).statusCode).toBe(406);
});

test('other market answers are JSON alone', async () => {
  const ticker = '/v1/markets/ticker?exchange=binance&symbol=BTC/USDT';
  expect((await get(ticker, CSV)).statusCode).toBe(406);
  expect((await get(`${ticker}&format=csv`)).json()).toMatchObject({ code: 'invalid_request' });
});
