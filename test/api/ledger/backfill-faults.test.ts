// What a backfill does while the exchange limits, fails, or answers nonsense: the real CCXT over simulated venues.
import { afterEach, beforeEach, expect, test } from 'vitest';
import { backfill, done, jobOf, LedgerRig, series, until } from './ledger-app.js';
import { exported, minutes, states, truth } from './backfill-rig.js';

let rig: LedgerRig;
beforeEach(async () => {
  rig = await LedgerRig.start();
});
afterEach(() => rig.close());

test('a 429 in mid-job: the job says what it waits for, and not one request leaves in the cool-down', async () => {
  const app = await rig.app();
  const asked = minutes(rig, 5_000);
  rig.sandbox.control.setFault({ match: 'ohlcv', fault: { type: 'delay', ms: 50 } });
  const job = await backfill(app, asked);
  await until(app, job.id, ({ pages }) => pages === 2);
  rig.sandbox.control.clearFaults();
  rig.sandbox.control.setFault({
    ...{ match: 'ohlcv', times: 1 },
    fault: { type: 'status', status: 429, retryAfter: 120 },
  });
  await until(app, job.id, ({ waiting_for: reason }) => reason === 'cool_down');
  expect(await jobOf(app, job.id)).toMatchObject({ state: 'waiting', error: 'upstream_rate_limited' });
  rig.sandbox.control.resetLog();
  rig.ahead = 100_000;
  // Another job shows that they are looked at.
  const other = await backfill(app, { ...minutes(rig, 10), symbol: 'ETH/USDT' });
  await until(app, other.id, ({ waiting_for: reason }) => reason === 'cool_down');
  expect(rig.candleRequests()).toBe(0);
  rig.ahead = 121_000;
  await backfill(app, asked);
  expect(await done(app, job.id)).toMatchObject({ state: 'done', candles: 5_000, error: null });
  expect(await exported(app, asked)).toEqual(truth(rig, asked));
});

test('an open circuit: the job waits for it, and goes on by itself when the exchange answers again', async () => {
  const app = await rig.app();
  rig.sandbox.control.setFault({ match: 'ohlcv', fault: { type: 'status', status: 503 } });
  const since = minutes(rig, 10).from;
  for (let call = 0; call < 10; call += 1)
    await app.inject(`/v1/markets/ohlcv?${series('binance', 'ETH/USDT')}&since=${since}&limit=${call + 1}`);
  const asked = minutes(rig, 100);
  const job = await backfill(app, asked);
  await until(app, job.id, ({ waiting_for: reason }) => reason === 'circuit_open');
  rig.sandbox.control.clearFaults();
  rig.ahead = 60_000;
  await backfill(app, asked);
  expect(await done(app, job.id)).toMatchObject({ state: 'done', candles: 100 });
});

test('HTML with a 200 stores nothing, and the page is asked for again', async () => {
  const app = await rig.app();
  const asked = minutes(rig, 100);
  rig.sandbox.control.setFault({ match: 'ohlcv', times: 2, fault: { type: 'html' } });
  const job = await backfill(app, asked);
  await until(app, job.id, ({ state }) => state === 'waiting');
  expect(await jobOf(app, job.id)).toMatchObject({ error: 'upstream_bad_response', pages: 0 });
  expect(await states(app, asked)).toEqual([[0, 100, 'pending']]);
  rig.ahead = 5_000;
  await backfill(app, asked);
  await expect.poll(() => rig.sandbox.control.faults()).toEqual([]);
  rig.ahead = 60_000;
  await backfill(app, asked);
  expect(await done(app, job.id)).toMatchObject({ state: 'done', candles: 100 });
  expect(await exported(app, asked)).toEqual(truth(rig, asked));
});

test('a backfill spends its share of the budget and no more in a window', async () => {
  const app = await rig.app({ RATE_LIMIT_REQUESTS: '10', BACKFILL_BUDGET_SHARE: '0.5' });
  const asked = minutes(rig, 6_000);
  const job = await backfill(app, asked);
  await until(app, job.id, ({ waiting_for: reason }) => reason === 'budget');
  expect(rig.candleRequests()).toBe(5);
  expect(await jobOf(app, job.id)).toMatchObject({ state: 'waiting', pages: 4, error: null });
  rig.ahead = 61_000;
  await backfill(app, asked);
  expect(await done(app, job.id)).toMatchObject({ state: 'done', candles: 6_000 });
});
