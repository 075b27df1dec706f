import { expect, test } from 'vitest';
import { AppError } from '../../../src/errors.js';
import { connect, textOf } from './client.js';
import { FakeLedger } from './fake-ledger.js';
import { NOW } from './fake-market-data.js';

const NAME = 'get_candle_coverage';
const BTC = { exchange: 'Binance', symbol: 'BTC/USDT' };
const HOUR = 3_600_000;

test('answers the ranges of a series in data and in words, and asks no exchange', async () => {
  const ledger = new FakeLedger();
  const { client, marketData } = await connect({ ledger });
  const result = await client.callTool({ name: NAME, arguments: BTC });
  expect(result.structuredContent).toEqual({
    exchange: 'binance',
    symbol: 'BTC/USDT',
    interval: '1m',
    series: { anchor: 0, generation: 1, first: NOW - 3 * HOUR, last: NOW - HOUR - 60_000, candles: 120 },
    ranges: [
      {
        ...{ from: NOW - 4 * HOUR, to: NOW - 3 * HOUR, state: 'unavailable', reason: 'before_listing' },
        ...{ source: 'rest', checked_at: NOW - 1000 },
      },
      { from: NOW - 3 * HOUR, to: NOW - HOUR, state: 'known', source: 'rest', checked_at: NOW - 1000 },
      { from: NOW - HOUR, to: NOW, state: 'unknown' },
    ],
    source: 'binance; via=store',
    received_at: NOW,
    age_ms: 0,
  });
  expect(textOf(result).split('\n')).toEqual([
    'BTC/USDT on binance, 1m: 120 candles are stored; ranges oldest first, their end not in them.',
    'from,to,state,reason',
    '2023-11-03T04:26:40.000Z,2023-11-03T05:26:40.000Z,unavailable,before_listing',
    '2023-11-03T05:26:40.000Z,2023-11-03T07:26:40.000Z,known,',
    '2023-11-03T07:26:40.000Z,2023-11-03T08:26:40.000Z,unknown,',
    'Source: binance; via=store, 0.0 s old.',
  ]);
  expect(marketData.queries).toEqual([]);
});

test('takes an alias, an interval, and a range in milliseconds, ISO 8601 or null', async () => {
  const ledger = new FakeLedger();
  const { client } = await connect({ ledger });
  const ask = (args: object) =>
    client.callTool({ name: NAME, arguments: { ...BTC, exchange: 'coinbasepro', ...args } });
  const result = await ask({ interval: '1h', from: NOW, to: '2023-11-04' });
  expect(result.structuredContent).toMatchObject({
    exchange: 'coinbasepro',
    source: 'coinbaseexchange; via=store',
  });
  await ask({ from: null, to: null });
  const name = { exchange: 'coinbaseexchange', symbol: 'BTC/USDT' };
  expect(ledger.asked).toEqual([
    [
      { ...name, interval: '1h' },
      { from: NOW, to: Date.UTC(2023, 10, 4) },
    ],
    [
      { ...name, interval: '1m' },
      { from: undefined, to: undefined },
    ],
  ]);
});

test('where nothing is stored it says so', async () => {
  const ledger = new FakeLedger();
  ledger.answer = { symbol: 'BTC/USDT', series: null, ranges: [] };
  const { client } = await connect({ ledger });
  const result = await client.callTool({ name: NAME, arguments: BTC });
  expect(result.structuredContent).toMatchObject({ series: null, ranges: [] });
  expect(textOf(result)).toContain('no candles are stored');
});

test.each([
  [200, 200, undefined],
  [201, 200, NOW + 200 * 60_000],
  [5_000, 200, NOW + 200 * 60_000],
])('of %i ranges %i are answered, and next_from leads on', async (count, answered, next) => {
  const ledger = new FakeLedger();
  ledger.manyRanges(count);
  const { client } = await connect({ ledger });
  const result = await client.callTool({ name: NAME, arguments: BTC });
  expect(result.structuredContent).toHaveProperty('ranges.length', answered);
  expect(Reflect.get(result.structuredContent ?? {}, 'next_from')).toBe(next);
  const text = textOf(result);
  expect(text).toContain(`Here are the oldest 100 of ${answered} rows`);
  expect(text.includes('call again with from=')).toBe(next !== undefined);
  expect(Buffer.byteLength(JSON.stringify(result))).toBeLessThan(100_000);
});

test('a server without a store, and a store that does not answer, are tool errors with advice', async () => {
  const none = await connect({ ledger: null });
  const refused = await none.client.callTool({ name: NAME, arguments: BTC });
  expect(refused.isError).toBe(true);
  expect(textOf(refused)).toMatch(/^not_found: This server keeps no candles.*\n.*get_ohlcv/);
  const ledger = new FakeLedger();
  ledger.fault = new AppError('upstream_unavailable', 'The candle store can not be used at the moment.');
  const { client } = await connect({ ledger });
  const failed = await client.callTool({ name: NAME, arguments: BTC });
  expect(textOf(failed)).toMatch(/^upstream_unavailable: The candle store/);
});
