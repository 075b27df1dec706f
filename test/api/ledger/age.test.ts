// The age of stored candles is that of the oldest check of those that are served.
import type { FastifyInstance } from 'fastify';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { LedgerRig, MINUTE, rangesOf, series } from './ledger-app.js';

let rig: LedgerRig;
beforeEach(async () => {
  rig = await LedgerRig.start();
});
afterEach(() => rig.close());

const BTC = series('binance', 'BTC/USDT');
const HOUR = 60 * MINUTE;

test('of two ranges checked at different times each has its own age, and both together that of the older', async () => {
  const ask = async (app: FastifyInstance, from: number, limit: number) => {
    const { headers } = await app.inject(`/v1/markets/ohlcv?${BTC}&since=${from}&limit=${limit}`);
    const age = Number(headers.age);
    return {
      cache: headers['x-cache'],
      age,
      maxAge: Number(/\d+$/.exec(String(headers['cache-control']))?.[0]),
    };
  };
  const first = await rig.app();
  const now = rig.now();
  const since = now - (now % MINUTE) - 10 * HOUR;
  await ask(first, since, 30);
  await rangesOf(first, BTC);
  rig.ahead = 3 * HOUR;
  await ask(first, since + 30 * MINUTE, 30);
  await rangesOf(first, BTC);
  await first.close();

  const app = await rig.app();
  const older = await ask(app, since, 30);
  const newer = await ask(app, since + 30 * MINUTE, 30);
  const both = await ask(app, since, 60);
  const [threeHours, aMinute] = [(3 * HOUR) / 1000, 60];
  expect([older.cache, newer.cache, both.cache]).toEqual(['STORE', 'STORE', 'STORE']);
  for (const { age } of [older, both]) {
    expect(age).toBeGreaterThanOrEqual(threeHours);
    expect(age).toBeLessThan(threeHours + aMinute);
  }
  expect(newer.age).toBeLessThan(aMinute);
  // What is stored may be kept as long as any closed candles, however old its check is: a cache takes Age from max-age.
  for (const { age, maxAge } of [older, newer, both]) expect(maxAge - age).toBeGreaterThan(290);

  // What is served from memory afterwards is not younger.
  const again = await ask(app, since, 60);
  expect(again.cache).toBe('HIT');
  expect(again.age).toBeGreaterThanOrEqual(threeHours);

  const answer = await app.inject({
    url: `/v1/markets/ohlcv?${BTC}&since=${since}&limit=60`,
    headers: { accept: 'text/csv' },
  });
  expect(Number(answer.headers.age)).toBeGreaterThanOrEqual(threeHours);
  expect(answer.headers['data-source']).toBe('sandbox; via=store');
});
