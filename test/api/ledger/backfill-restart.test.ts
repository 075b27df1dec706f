// Backfills over the end of a server, by themselves, and into a full store: the real CCXT over simulated venues.
import { afterEach, expect, test } from 'vitest';
import { backfill, DAY, done, jobOf, LedgerRig, MINUTE, rangesOf, series, until } from './ledger-app.js';
import { exported, minutes, states, truth } from './backfill-rig.js';

const BTC = series('binance', 'BTC/USDT');

let rig: LedgerRig;
afterEach(() => rig.close());

test('a job goes on after the end of its server where it was: at most one page is asked for twice', async () => {
  rig = await LedgerRig.start();
  const first = await rig.app();
  const asked = minutes(rig, 8_000);
  rig.sandbox.control.setFault({ match: 'ohlcv', fault: { type: 'delay', ms: 30 } });
  const job = await backfill(first, asked);
  await until(first, job.id, ({ pages }) => pages >= 3);
  await first.close();
  rig.sandbox.control.clearFaults();
  const second = await rig.app();
  expect(await done(second, job.id)).toMatchObject({ state: 'done', percent: 100, candles: 8_000 });
  // Eight pages, the listing, and the page that was under way.
  expect(rig.candleRequests()).toBeLessThanOrEqual(8 + 1 + 1);
  expect(await states(second, asked)).toEqual([[0, 8_000, 'known']]);
  expect(await exported(second, asked)).toEqual(truth(rig, asked));
});

test('a series in BACKFILL becomes and stays complete without anybody asking', async () => {
  rig = await LedgerRig.start();
  const from = Math.floor(rig.now() / DAY) * DAY - 2 * DAY;
  const date = new Date(from).toISOString().slice(0, 10);
  const app = await rig.app({ BACKFILL: `binance:BTC/USDT:1m:${date}`, BACKFILL_API: 'false' });
  const isComplete = async () => {
    const [range, ...more] = await rangesOf(app, BTC, `&from=${from}`);
    return more.length === 0 && range?.from === from && range.state === 'known' ? range.to : null;
  };
  await expect.poll(isComplete, { timeout: 25_000 }).toBeGreaterThan(rig.now() - 2 * MINUTE);
  // The last page is stored before its job is told to be done.
  const job = async () => (await app.inject('/v1/backfills')).json<{ backfills: object[] }>().backfills[0];
  await expect.poll(job, { timeout: 25_000 }).toMatchObject({ from, to: null, state: 'done' });
});

test('a store over STORE_MAX_GB takes no more: the job says so, no request leaves, reads go on', async () => {
  rig = await LedgerRig.start();
  const first = await rig.app();
  const asked = minutes(rig, 3_000);
  await done(first, (await backfill(first, asked)).id);
  await first.close();
  const app = await rig.app({ STORE_MAX_GB: '0.0001' });
  const ready = async () =>
    (await app.inject('/v1/health/ready')).json<{ status: string; checks: { store: object } }>();
  await expect.poll(async () => (await ready()).status).toBe('degraded');
  rig.sandbox.control.resetLog();
  const job = await backfill(app, { ...asked, from: asked.from - 3_000 * MINUTE });
  await until(app, job.id, ({ waiting_for: reason }) => reason === 'store_full');
  expect(await jobOf(app, job.id)).toMatchObject({ state: 'waiting', pages: 0, error: null });
  expect(rig.candleRequests()).toBe(0);
  const read = await app.inject(`/v1/markets/ohlcv?${BTC}&since=${asked.from}&limit=100`);
  expect(read.headers['x-cache']).toBe('STORE');
});
