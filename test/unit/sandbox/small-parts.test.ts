// What no client reaches in a short test: bounds, halted markets, faults of the sandbox itself.
import { once } from 'node:events';
import { type AddressInfo } from 'node:net';
import { describe, expect, test } from 'vitest';
import { faultyCandles } from '../../../src/sandbox/candle-faults.js';
import { createFaultBook } from '../../../src/sandbox/faults.js';
import { createHttpServer } from '../../../src/sandbox/http-server.js';
import { itemAt, numberAt } from '../../../src/sandbox/item-at.js';
import { HALTED_SYMBOL, quoteValue, THIN_SYMBOL } from '../../../src/sandbox/listings.js';
import { rawTicker, rawTrades } from '../../../src/sandbox/market-data.js';
import { createMarketTruth } from '../../../src/sandbox/market.js';
import { createRequestLog, type LoggedRequest } from '../../../src/sandbox/request-log.js';
import { startSandbox } from '../../../src/sandbox/sandbox.js';
import { createBinance } from '../../../src/sandbox/venues/binance.js';
import { coinbaseProduct } from '../../../src/sandbox/venues/coinbase-exchange-markets.js';
import { krakenAssetPairs } from '../../../src/sandbox/venues/kraken-markets.js';
import { createKraken } from '../../../src/sandbox/venues/kraken.js';
import { json, type RestVenue } from '../../../src/sandbox/venues/venue.js';
import { NOON } from './ccxt-clients.js';

const truth = createMarketTruth({ seed: 7, perVenue: undefined });
const btc = truth.find('binance', 'BTC/USDT')!;

test('an item beyond the end of a list is an error', () => {
  expect(itemAt(['a'], 0)).toBe('a');
  expect(() => itemAt(['a'], 1)).toThrow('no item 1 of 1');
  expect(numberAt(Float64Array.of(7), 0)).toBe(7);
  expect(() => numberAt(Float64Array.of(7), 1)).toThrow('no number 1 of 1');
});

test('a currency in which nothing is quoted has no value', () => {
  expect(quoteValue('USD')).toBe(1);
  expect(() => quoteValue('XYZ')).toThrow(RangeError);
});

test('an empty range of time has no bar', () => {
  expect(() => btc.tree.aggregate(NOON, NOON)).toThrow(RangeError);
  expect(btc.tree.aggregate(NOON, NOON + 100).trades).toBe(1);
});

test('a thin market has slots without a trade; its ticker tells the latest one there was', () => {
  const thin = truth.find('coinbaseexchange', THIN_SYMBOL)!;
  const slot = NOON / 100;
  const trades = rawTrades(thin, { from: slot - 72_000, to: slot }, Infinity);
  expect(trades.length).toBeGreaterThan(0);
  expect(trades.length).toBeLessThan(1_000);
  expect(rawTicker(thin, NOON).trade).toEqual(trades.at(-1));
});

test('halted markets say so in each venue’s words', () => {
  expect(truth.find('binance', HALTED_SYMBOL)?.active).toBe(false);
  expect(coinbaseProduct({ ...btc, active: false })).toMatchObject({
    status: 'delisted',
    trading_disabled: true,
  });
  expect(coinbaseProduct(btc)).toMatchObject({ status: 'online', trading_disabled: false });
  expect(krakenAssetPairs([{ ...btc, active: false }])).toMatchObject({ XBTUSDT: { status: 'cancel_only' } });
});

test('the log of requests keeps the latest ones, oldest first, and counts them all', () => {
  const log = createRequestLog(2);
  const request = (path: string): LoggedRequest => ({
    time: 0,
    venue: 'kraken',
    kind: 'other',
    method: 'GET',
    path,
    query: '',
    status: 200,
    fault: null,
    userAgent: '',
  });
  log.add(request('/1'));
  expect(log.list().map(({ path }) => path)).toEqual(['/1']);
  for (const path of ['/2', '/3']) log.add(request(path));
  expect(log.list().map(({ path }) => path)).toEqual(['/2', '/3']);
  expect(log.total()).toBe(3);
});

describe('a fault of candles leaves alone', () => {
  const fault = { type: 'candles_empty' } as const;
  const refusal = json({ code: -1121, msg: 'Invalid symbol.' });

  test.each([
    ['Binance', createBinance({ truth, weightLimit: Infinity }).candles],
    ['Kraken', createKraken({ truth }).candles],
  ])('what is no list of candles at %s', (_venue, shape) => {
    expect(faultyCandles(refusal, { fault, shape, now: NOON })).toEqual(refusal);
    const empty = json({ error: ['EQuery:Unknown asset pair'], result: {} });
    expect(faultyCandles(empty, { fault, shape, now: NOON })).toEqual(empty);
    const odd = json(null);
    expect(faultyCandles(odd, { fault, shape, now: NOON })).toEqual(odd);
  });

  test('refusals, and venues without candles', () => {
    const late = { ...refusal, status: 503 };
    const { candles: shape } = createBinance({ truth, weightLimit: Infinity });
    expect(faultyCandles(late, { fault, shape, now: NOON })).toEqual(late);
    expect(faultyCandles(refusal, { fault, shape: undefined, now: NOON })).toEqual(refusal);
  });
});

test('a fault of the sandbox itself is a 500 that says whose it is', async () => {
  const broken: RestVenue = {
    ...createKraken({ truth }),
    handle: () => {
      throw new Error('broken');
    },
  };
  const server = createHttpServer({
    venues: [broken],
    faults: createFaultBook(1),
    log: createRequestLog(),
    now: () => NOON,
    latencyMs: 0,
    jitterMs: 0,
    seed: 1,
    control: null,
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const answer = await fetch(`http://127.0.0.1:${port}/api.kraken.com/0/public/Time`);
  expect([answer.status, await answer.json()]).toEqual([500, { error: 'sandbox: Error: broken' }]);
  server.closeAllConnections();
  server.close();
});

test('its addresses are right over IPv6 too', async () => {
  const sandbox = await startSandbox({ host: '::1' });
  expect(sandbox.url).toMatch(/^http:\/\/\[::1\]:\d+$/);
  expect((await fetch(`${sandbox.url}/api.kraken.com/0/public/Time`)).status).toBe(200);
  await sandbox.close();
});
