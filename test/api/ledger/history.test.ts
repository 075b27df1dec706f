// Candles that stay, as callers see them: the real CCXT over simulated venues.
import type { FastifyInstance } from 'fastify';
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createTestDatabase } from './postgres.js';
import { backfill, DAY, done, LedgerRig, MINUTE, rangesOf, series } from './ledger-app.js';

interface Answer {
  readonly candles: readonly {
    readonly timestamp: number;
    readonly closed: boolean;
    readonly close: number;
  }[];
  readonly gaps?: readonly { readonly from: number; readonly to: number; readonly reason: string }[];
}

const database = await createTestDatabase();
afterAll(() => database?.drop());
const BTC = series('binance', 'BTC/USDT');

const ask = async (app: FastifyInstance, query: string) => {
  const answer = await app.inject(`/v1/markets/ohlcv?${query}`);
  const { headers, statusCode } = answer;
  return {
    status: statusCode,
    cache: headers['x-cache'],
    source: headers['data-source'],
    age: Number(headers.age),
    body: answer.json<Answer>(),
  };
};
const hourAgo = (rig: LedgerRig, hours = 2): number => {
  const at = rig.now() - hours * 60 * MINUTE;
  return at - (at % MINUTE);
};

describe.each([
  ['a SQLite file', undefined],
  ...(database === null ? [] : [['PostgreSQL', database.url] as const]),
] as const)('with %s', (name, storeUrl) => {
  let rig: LedgerRig;
  beforeEach(async () => {
    rig = await LedgerRig.start(storeUrl);
  });
  afterEach(async () => {
    await rig.close();
    if (name === 'PostgreSQL' && database !== null) await database.empty();
  });

  test('what was asked for once is served from the store after a restart, without a request and with its age', async () => {
    const first = await rig.app();
    const since = hourAgo(rig);
    const asked = await ask(first, `${BTC}&since=${since}&limit=60`);
    expect(asked).toMatchObject({ status: 200, cache: 'MISS', source: 'sandbox; via=rest' });
    await rangesOf(first, BTC);
    await first.close();
    rig.ahead = 5_000;
    rig.sandbox.control.resetLog();
    const second = await rig.app();
    rig.sandbox.control.setFault({ fault: { type: 'status', status: 503 } });
    const stored = await ask(second, `${BTC}&since=${since}&limit=60`);
    expect(stored).toMatchObject({
      status: 200,
      cache: 'STORE',
      source: 'sandbox; via=store',
      body: asked.body,
    });
    expect(stored.age).toBeGreaterThanOrEqual(5);
    expect(rig.candleRequests()).toBe(0);
  });

  test('of a range that is known in part only the rest is asked for, and the seam shows nothing', async () => {
    const app = await rig.app();
    const since = hourAgo(rig);
    await ask(app, `${BTC}&since=${since}&limit=30`);
    await rangesOf(app, BTC);
    rig.sandbox.control.resetLog();
    const whole = await ask(app, `${BTC}&since=${since}&limit=50`);
    expect(whole).toMatchObject({ cache: 'MISS', source: 'sandbox; via=store+rest' });
    expect(whole.body.gaps).toBeUndefined();
    expect(whole.body.candles.map(({ timestamp }) => timestamp)).toEqual(
      Array.from({ length: 50 }, (_, index) => since + index * MINUTE),
    );
    const [request] = rig.sandbox.control.requestLog().filter(({ kind }) => kind === 'ohlcv');
    expect(request?.query).toContain('limit=21');
    const truth = rig.sandbox.market.candles('binance', 'BTC/USDT', {
      interval: '1m',
      from: since,
      to: since + 49 * MINUTE,
      now: rig.now(),
    });
    expect(whole.body.candles.map(({ close }) => close)).toEqual(truth.map(({ close }) => close));
  });

  test('the latest candles: what is settled from the store, the newest from the exchange', async () => {
    const app = await rig.app();
    await ask(app, `${BTC}&limit=100`);
    await rangesOf(app, BTC);
    rig.ahead = 3 * MINUTE;
    const latest = await ask(app, `${BTC}&limit=100`);
    expect(latest).toMatchObject({ cache: 'MISS', source: 'sandbox; via=store+rest' });
    expect(latest.body.candles).toHaveLength(100);
    expect(latest.body.candles.at(-1)?.closed).toBe(false);
    expect(latest.body.gaps).toBeUndefined();
  });

  test('a range that is half known while the exchange fails is answered with a gap and fetched behind it', async () => {
    const app = await rig.app();
    const since = hourAgo(rig);
    await ask(app, `${BTC}&since=${since}&limit=30`);
    await rangesOf(app, BTC);
    rig.sandbox.control.setFault({ match: 'ohlcv', fault: { type: 'status', status: 503 } });
    const half = await ask(app, `${BTC}&since=${since}&limit=60`);
    expect(half).toMatchObject({ status: 200, cache: 'STORE', source: 'sandbox; via=store' });
    expect(half.body.candles).toHaveLength(30);
    expect(half.body.gaps?.[0]).toMatchObject({ from: since + 30 * MINUTE, reason: 'not_loaded_yet' });
    const span = `&from=${since}&to=${since + 60 * MINUTE}`;
    await expect
      .poll(async () => (await rangesOf(app, BTC, span)).map(({ state }) => state))
      .toEqual(['known', 'pending']);
    rig.sandbox.control.clearFaults();
    await expect
      .poll(async () => (await rangesOf(app, BTC, span)).map(({ state }) => state), { timeout: 20_000 })
      .toEqual(['known']);
  });

  test('an exchange that is no longer enabled: known ranges are served, others are refused', async () => {
    const first = await rig.app();
    const since = hourAgo(rig);
    await ask(first, `${BTC}&since=${since}&limit=30`);
    await rangesOf(first, BTC);
    await first.close();
    const app = await rig.app({ ENABLED_EXCHANGES: 'kraken' });
    expect(await ask(app, `${BTC}&since=${since}&limit=30`)).toMatchObject({ status: 200, cache: 'STORE' });
    const partly = await ask(app, `${BTC}&since=${since}&limit=40`);
    expect(partly.body.gaps?.[0]).toMatchObject({ reason: 'not_available_from_exchange' });
    const nothing = await app.inject(`/v1/markets/ohlcv?${series('binance', 'ETH/USDT')}&since=${since}`);
    expect(nothing.json()).toMatchObject({ status: 400, code: 'exchange_not_enabled' });
  });

  test('a backfill fetches days in whole pages, once', async () => {
    const app = await rig.app();
    const to = hourAgo(rig, 1);
    const from = to - 5 * DAY;
    const job = await backfill(app, { exchange: 'binance', symbol: 'BTC/USDT', interval: '1m', from, to });
    expect(await done(app, job.id)).toMatchObject({
      state: 'done',
      percent: 100,
      candles: 5 * 1440,
      pages: 8,
    });
    expect(rig.candleRequests()).toBeLessThanOrEqual(8 + 3);
    expect(await rangesOf(app, BTC, `&from=${from}&to=${to}`)).toMatchObject([{ from, to, state: 'known' }]);
    rig.sandbox.control.resetLog();
    const again = await backfill(app, { exchange: 'binance', symbol: 'BTC/USDT', interval: '1m', from, to });
    expect(await done(app, again.id)).toMatchObject({ state: 'done', percent: 100, pages: 0 });
    expect(rig.candleRequests()).toBe(0);
    const csv = await app.inject(`/v1/markets/ohlcv/export?${BTC}&from=${from}&to=${to}&format=csv`);
    expect(csv.headers['content-type']).toContain('text/csv');
    const rows = csv.body.split('\r\n');
    expect(rows[0]).toBe('timestamp,open,high,low,close,volume,closed');
    const truth = rig.sandbox.market.candles('binance', 'BTC/USDT', {
      interval: '1m',
      from,
      to: to - MINUTE,
      now: rig.now(),
    });
    expect(rows.slice(1, -1)).toEqual(
      truth.map(({ timestamp, open, high, low, close, volume }) =>
        [timestamp, open, high, low, close, volume, true].join(','),
      ),
    );
  });
});

describe('the evidence rules', () => {
  let rig: LedgerRig;
  beforeEach(async () => {
    rig = await LedgerRig.start();
  });
  afterEach(() => rig.close());

  test('what Kraken no longer keeps is unavailable, and a backfill over it is done', async () => {
    const app = await rig.app();
    const of = series('kraken', 'BTC/USD');
    const from = rig.now() - 3 * DAY;
    const job = await backfill(app, { exchange: 'kraken', symbol: 'BTC/USD', interval: '1m', from });
    expect(await done(app, job.id)).toMatchObject({ state: 'done', percent: 100 });
    const ranges = await rangesOf(app, of, `&from=${from}`);
    expect(ranges.map(({ state }) => state).slice(0, 2)).toEqual(['unavailable', 'known']);
    expect(ranges[0]?.reason).toBeTypeOf('string');
    const answer = await ask(app, `${of}&since=${Math.ceil(from / MINUTE) * MINUTE}&limit=10`);
    expect(answer.body.gaps?.[0]).toMatchObject({ reason: 'not_available_from_exchange' });
  });

  test('an empty page is unconfirmed, and asked for again an hour later', async () => {
    const app = await rig.app();
    const since = hourAgo(rig, 10);
    await ask(app, `${BTC}&since=${since}&limit=30`);
    await rangesOf(app, BTC);
    rig.sandbox.control.setFault({ match: 'ohlcv', times: 1, fault: { type: 'odd_json', body: [] } });
    const to = since + 60 * MINUTE;
    const job = await backfill(app, {
      exchange: 'binance',
      symbol: 'BTC/USDT',
      interval: '1m',
      from: since,
      to,
    });
    await done(app, job.id);
    rig.ahead = 61 * MINUTE;
    rig.sandbox.control.resetLog();
    const answer = await ask(app, `${BTC}&since=${since}&limit=60`);
    expect(answer.body.candles).toHaveLength(60);
    expect(answer.body.gaps).toBeUndefined();
  });

  test('a corrected candle is kept as a revision', async () => {
    const app = await rig.app();
    const since = hourAgo(rig, 10);
    const before = await ask(app, `${BTC}&since=${since}&limit=30`);
    await rangesOf(app, BTC);
    const last = since + 29 * MINUTE;
    const row = [last, '1', '4', '0.5', '2', '7', last + MINUTE - 1, '0', 1, '0', '0', '0'];
    const next = [last + MINUTE, '1', '4', '0.5', '2', '7', last + 2 * MINUTE - 1, '0', 1, '0', '0', '0'];
    rig.sandbox.control.setFault({
      match: 'ohlcv',
      times: 1,
      fault: { type: 'odd_json', body: [row, next] },
    });
    await ask(app, `${BTC}&since=${since}&limit=31`);
    const answer = await app.inject(`/v1/markets/ohlcv/revisions?${BTC}`);
    const [revision, ...more] = answer.json<{ revisions: Record<string, unknown>[] }>().revisions;
    expect(more).toEqual([]);
    expect(revision).toMatchObject({
      timestamp: last,
      rev: 1,
      close: before.body.candles.at(-1)?.close,
      source: 'rest',
      disputed: false,
    });
    expect((await ask(app, `${BTC}&since=${last}&limit=1`)).body.candles[0]?.close).toBe(2);
  });

  test('before the listing there is nothing: known after one backfill, and never asked for again', async () => {
    const app = await rig.app();
    const listed = rig.sandbox.market.markets('coinbaseexchange').map(({ symbol }) => symbol);
    expect(listed).toContain('BTC/USD');
    const from = Date.UTC(2000, 0, 1);
    const of = series('binance', 'BTC/USDT', '1d');
    const job = await backfill(app, {
      exchange: 'binance',
      symbol: 'BTC/USDT',
      interval: '1d',
      from: '2000-01-01',
    });
    expect(await done(app, job.id)).toMatchObject({ state: 'done', percent: 100 });
    const ranges = await rangesOf(app, of, '&from=2000-01-01');
    expect(ranges[0]).toMatchObject({ from, state: 'unavailable', reason: 'before_listing' });
    expect(ranges[1]).toMatchObject({ state: 'known' });
  });
});

test('without a store its addresses say so, and readiness calls it disabled', async () => {
  const rig = await LedgerRig.start('none');
  try {
    const app = await rig.app();
    for (const path of [
      '/v1/markets/ohlcv/coverage',
      '/v1/markets/ohlcv/revisions',
      '/v1/markets/ohlcv/export',
    ])
      expect((await app.inject(`${path}?${BTC}`)).json()).toMatchObject({ status: 404, code: 'not_found' });
    expect((await app.inject('/v1/backfills')).json()).toMatchObject({ status: 404, code: 'not_found' });
    const ready = (await app.inject('/v1/health/ready')).json<{
      status: string;
      checks: Record<string, object>;
    }>();
    expect(ready).toMatchObject({ status: 'ready', checks: { store: { state: 'disabled' } } });
  } finally {
    await rig.close();
  }
});
