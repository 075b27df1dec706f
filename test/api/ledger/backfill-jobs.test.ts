// Backfill jobs as callers see them: the real CCXT over simulated venues.
import { afterEach, beforeEach, expect, test } from 'vitest';
import { backfill, done, jobOf, LedgerRig, MINUTE, series, until } from './ledger-app.js';
import { minutes, startTimes } from './backfill-rig.js';

let rig: LedgerRig;
beforeEach(async () => {
  rig = await LedgerRig.start();
});
afterEach(() => rig.close());

test('a new job is a 202 with its address, and its progress never falls', async () => {
  const app = await rig.app();
  const asked = minutes(rig, 3_000);
  const answer = await app.inject({ method: 'POST', url: '/v1/backfills', payload: asked });
  expect(answer.statusCode).toBe(202);
  const job = answer.json<{ id: string }>();
  expect(answer.headers.location).toBe(`/v1/backfills/${job.id}`);
  expect(job).toMatchObject({ ...asked, state: 'queued', percent: 0, pages: 0, candles: 0, error: null });
  const seen: { percent: number; candles: number; pages: number }[] = [];
  await until(app, job.id, (now) => {
    seen.push(now);
    return now.state === 'done';
  });
  for (const key of ['percent', 'candles', 'pages'] as const) {
    const values = seen.map((at) => at[key]);
    expect(values).toEqual(values.toSorted((a, b) => a - b));
  }
  expect(seen.at(-1)).toMatchObject({
    ...{ percent: 100, candles: 3_000, pages: 3, eta_seconds: null, waiting_for: null, error: null },
    reached: asked.from,
  });
  const list = (await app.inject('/v1/backfills')).json<{ backfills: { id: string }[] }>();
  expect(list.backfills.map(({ id }) => id)).toEqual([job.id]);
});

test('pages are asked for newest first, each once', async () => {
  const app = await rig.app();
  const asked = minutes(rig, 2_500);
  const job = await backfill(app, asked);
  await done(app, job.id);
  const [listing, ...pages] = startTimes(rig);
  expect(listing).toBe(0);
  expect(pages).toEqual([1_500, 500, 0].map((index) => asked.from + index * MINUTE));
});

test('an equal open job is given again, an ended one is not', async () => {
  const app = await rig.app();
  rig.sandbox.control.setFault({ match: 'ohlcv', fault: { type: 'status', status: 503 } });
  const asked = minutes(rig, 100);
  const first = await backfill(app, asked);
  expect((await backfill(app, asked)).id).toBe(first.id);
  expect((await backfill(app, { ...asked, to: asked.to + MINUTE })).id).not.toBe(first.id);
  await app.inject({ method: 'DELETE', url: `/v1/backfills/${first.id}` });
  expect((await backfill(app, asked)).id).not.toBe(first.id);
});

test('without an end, asked for again a minute later: the same open job, up to the latest candle of then', async () => {
  const app = await rig.app();
  rig.sandbox.control.setFault({ match: 'ohlcv', fault: { type: 'status', status: 503 } });
  const { exchange, symbol, interval, from } = minutes(rig, 100);
  const asked = { exchange, symbol, interval, from };
  const first = await backfill(app, asked);
  rig.ahead = 2 * MINUTE;
  const again = await backfill(app, asked);
  expect(again.id).toBe(first.id);
  expect(again.to).toBeGreaterThanOrEqual(first.to + 2 * MINUTE);
  expect((await backfill(app, { ...asked, from: from - MINUTE })).id).not.toBe(first.id);
  rig.sandbox.control.clearFaults();
  rig.ahead = 70_000 + 2 * MINUTE;
  await backfill(app, minutes(rig, 1));
  expect(await done(app, first.id)).toMatchObject({
    ...{ state: 'done', percent: 100, to: again.to },
    candles: (again.to - from) / MINUTE,
  });
  // An ended one is not begun again.
  expect((await backfill(app, asked)).id).not.toBe(first.id);
});

test('where nothing is missing the job is done without a request, also in a cool-down', async () => {
  const app = await rig.app();
  const asked = minutes(rig, 100);
  await done(app, (await backfill(app, asked)).id);
  rig.sandbox.control.setFault({
    match: 'ohlcv',
    fault: { type: 'status', status: 429, retryAfter: 3_600 },
  });
  const waiting = await backfill(app, { ...asked, from: asked.from - 60 * MINUTE });
  await until(app, waiting.id, ({ state }) => state === 'waiting');
  rig.sandbox.control.resetLog();
  const again = await backfill(app, asked);
  expect(await done(app, again.id)).toMatchObject({ state: 'done', percent: 100, pages: 0, candles: 100 });
  expect(rig.candleRequests()).toBe(0);
});

test('a job that is cancelled while it waits, runs or has ended', async () => {
  const app = await rig.app();
  const cancel = async (id: string) => {
    const answer = await app.inject({ method: 'DELETE', url: `/v1/backfills/${id}` });
    return { status: answer.statusCode, job: answer.json<{ state: string }>() };
  };
  rig.sandbox.control.setFault({ match: 'ohlcv', fault: { type: 'delay', ms: 50 } });
  const running = await backfill(app, minutes(rig, 20_000));
  const queued = await backfill(app, { ...minutes(rig, 100), symbol: 'ETH/USDT' });
  await until(app, running.id, ({ pages }) => pages > 0);
  expect((await jobOf(app, queued.id)).state).toBe('queued');
  expect(await cancel(queued.id)).toMatchObject({ status: 200, job: { state: 'cancelled' } });
  expect(await cancel(running.id)).toMatchObject({ status: 200, job: { state: 'cancelled' } });
  const next = await backfill(app, { ...minutes(rig, 10), symbol: 'SOL/USDT' });
  const pages = rig.candleRequests();
  expect(await done(app, next.id)).toMatchObject({ state: 'done' });
  // At most the page that was under way, the next job's listing and its page.
  expect(rig.candleRequests()).toBeLessThanOrEqual(pages + 3);
  expect((await jobOf(app, running.id)).state).toBe('cancelled');
  expect(await cancel(next.id)).toMatchObject({ status: 200, job: { state: 'done' } });
  expect(await cancel('none')).toMatchObject({ status: 404, job: { code: 'not_found' } });
  expect((await app.inject('/v1/backfills/none')).json()).toMatchObject({ code: 'not_found' });
});

test('without BACKFILL_API jobs can be read, but not started or cancelled', async () => {
  const app = await rig.app({ BACKFILL_API: 'false' });
  const started = await app.inject({ method: 'POST', url: '/v1/backfills', payload: minutes(rig, 10) });
  expect(started.json()).toMatchObject({ status: 403, code: 'feature_disabled' });
  const nothing = await app.inject({ method: 'POST', url: '/v1/backfills', payload: {} });
  expect(nothing.json()).toMatchObject({ status: 403, code: 'feature_disabled' });
  const cancelled = await app.inject({ method: 'DELETE', url: '/v1/backfills/x' });
  expect(cancelled.json()).toMatchObject({ status: 403, code: 'feature_disabled' });
  expect((await app.inject('/v1/backfills')).json()).toEqual({ backfills: [] });
});

test('what no exchange could give is refused at once, or fails with its reason', async () => {
  const app = await rig.app();
  const refused = async (change: object) => {
    const payload = { ...minutes(rig, 10), ...change };
    return (await app.inject({ method: 'POST', url: '/v1/backfills', payload })).json<object>();
  };
  expect(await refused({ interval: '7m' })).toMatchObject({ status: 400, code: 'interval_not_supported' });
  expect(await refused({ exchange: 'kucoin' })).toMatchObject({ code: 'exchange_not_enabled' });
  expect(await refused({ to: minutes(rig, 20).from })).toMatchObject({
    status: 400,
    code: 'invalid_request',
  });
  const job = await backfill(app, { ...minutes(rig, 10), symbol: 'NO/SUCH' });
  const failed = await done(app, job.id);
  expect(failed).toMatchObject({ state: 'failed', waiting_for: null });
  expect(failed.error).toContain('symbol_not_found');
});

test('the newest two hundred are listed', async () => {
  const app = await rig.app();
  rig.sandbox.control.setFault({ match: 'ohlcv', fault: { type: 'status', status: 503 } });
  const first = await backfill(app, minutes(rig, 1));
  await Promise.all(Array.from({ length: 200 }, (_, count) => backfill(app, minutes(rig, 2 + count))));
  const { backfills } = (await app.inject('/v1/backfills')).json<{ backfills: { id: string }[] }>();
  expect(new Set(backfills.map(({ id }) => id)).size).toBe(200);
  expect(backfills.map(({ id }) => id)).not.toContain(first.id);
});

test('a symbol in another spelling is told as the exchange spells it', async () => {
  const app = await rig.app();
  const job = await backfill(app, { ...minutes(rig, 10), symbol: 'btc-usdt' });
  expect(await done(app, job.id)).toMatchObject({ state: 'done', symbol: 'BTC/USDT', candles: 10 });
});

test('an exchange is named as it was asked for, and listed as it was enabled', async () => {
  const app = await rig.app({ ENABLED_EXCHANGES: 'binance,coinbasepro' });
  const asked = { ...minutes(rig, 10), symbol: 'BTC/USD' };
  const { id, exchange } = await backfill(app, { ...asked, exchange: 'CoinbaseExchange' });
  expect(exchange).toBe('coinbaseexchange');
  expect(await done(app, id)).toMatchObject({ state: 'done', exchange: 'coinbasepro', candles: 10 });
  const { backfills } = (await app.inject('/v1/backfills')).json<{ backfills: object[] }>();
  expect(backfills).toMatchObject([{ id, exchange: 'coinbasepro' }]);
  const again = await backfill(app, { ...asked, exchange: 'coinbasepro' });
  expect(again).toMatchObject({ exchange: 'coinbasepro', state: 'done', pages: 0 });
});

test('a range that is older than the exchange keeps is answered from the store, without a request', async () => {
  const app = await rig.app();
  const at = Math.floor(rig.now() / MINUTE) * MINUTE;
  const asked = { exchange: 'kraken', symbol: 'BTC/USD', interval: '1m', from: at - 5_000 * MINUTE, to: at };
  expect(await done(app, (await backfill(app, asked)).id)).toMatchObject({ state: 'done', percent: 100 });
  rig.sandbox.control.resetLog();
  const { from } = asked;
  const span = `since=${from}&until=${from + 100 * MINUTE}&limit=100`;
  const answer = await app.inject(`/v1/markets/ohlcv?${series('kraken', 'BTC/USD')}&${span}`);
  expect(answer.headers).toMatchObject({ 'x-cache': 'STORE', 'data-source': 'sandbox; via=store' });
  expect(answer.json()).toMatchObject({
    candles: [],
    gaps: [{ from, to: from + 100 * MINUTE, reason: 'not_available_from_exchange' }],
  });
  expect(rig.candleRequests()).toBe(0);
});

test('of two jobs of one exchange one page is under way at a time', async () => {
  const app = await rig.app();
  rig.sandbox.control.setFault({ match: 'ohlcv', fault: { type: 'delay', ms: 60 } });
  const at = Math.floor(rig.now() / MINUTE) * MINUTE;
  const jobs = await Promise.all(
    ['BTC/USDT', 'ETH/USDT'].map((symbol) =>
      backfill(app, { exchange: 'binance', symbol, interval: '1m', from: at - 3_500 * MINUTE, to: at }),
    ),
  );
  for (const { id } of jobs) expect(await done(app, id)).toMatchObject({ state: 'done' });
  const times = rig.sandbox.control
    .requestLog()
    .filter(({ kind }) => kind === 'ohlcv')
    .map(({ time }) => time);
  expect(times.length).toBeGreaterThanOrEqual(8);
  const pauses = times.slice(1).map((time, index) => time - (times[index] ?? 0));
  expect(Math.min(...pauses)).toBeGreaterThanOrEqual(55);
});
