// What exchanges do to candles, as callers of the ledger see it: the real CCXT over simulated venues.
import type { FastifyInstance } from 'fastify';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { DAY, LedgerRig, MINUTE, rangesOf, series } from './ledger-app.js';

let rig: LedgerRig;
beforeEach(async () => {
  rig = await LedgerRig.start();
});
afterEach(() => rig.close());

interface Answer {
  readonly candles: readonly { readonly timestamp: number; readonly volume: number }[];
  readonly gaps?: readonly { readonly from: number; readonly to: number; readonly reason: string }[];
}
interface Revisions {
  readonly revisions: readonly {
    readonly timestamp: number;
    readonly rev: number;
    readonly volume: number;
    readonly disputed: boolean;
    readonly seen_at: number | null;
    readonly replaced_at: number;
  }[];
}
const BTC = series('binance', 'BTC/USDT');

const ask = async (app: FastifyInstance, query: string) => {
  const answer = await app.inject(`/v1/markets/ohlcv?${query}`);
  const { headers, statusCode } = answer;
  return {
    ...{ status: statusCode, cache: headers['x-cache'], source: headers['data-source'] },
    body: answer.json<Answer>(),
  };
};
const minutesAgo = (minutes: number): number => {
  const at = rig.now() - minutes * MINUTE;
  return at - (at % MINUTE);
};
const revisionsOf = async (app: FastifyInstance, of = BTC) =>
  (await app.inject(`/v1/markets/ohlcv/revisions?${of}`)).json<Revisions>().revisions;

test('an empty page once: a gap that is unconfirmed, suspect in coverage, not asked for again within the hour', async () => {
  const app = await rig.app();
  const since = minutesAgo(600);
  await ask(app, `${BTC}&since=${since}&limit=30`);
  await rangesOf(app, BTC);
  rig.sandbox.control.setFault({ match: 'ohlcv', times: 1, fault: { type: 'candles_empty' } });
  const query = `${BTC}&since=${since}&until=${since + 60 * MINUTE}&limit=60`;
  const first = await ask(app, query);
  expect(first.body.candles).toHaveLength(30);
  const gap = { from: since + 30 * MINUTE, to: since + 60 * MINUTE, reason: 'unconfirmed' };
  expect(first.body.gaps).toEqual([gap]);
  const span = `&from=${since}&to=${since + 60 * MINUTE}`;
  expect((await rangesOf(app, BTC, span)).map(({ state }) => state)).toEqual(['known', 'suspect']);
  rig.sandbox.control.resetLog();
  rig.ahead = 30 * MINUTE;
  expect(await ask(app, query)).toMatchObject({ status: 200, body: { gaps: [gap] } });
  expect(rig.candleRequests()).toBe(0);
  rig.ahead = 61 * MINUTE;
  const healed = await ask(app, query);
  expect(healed.body.candles).toHaveLength(60);
  expect(healed.body.gaps).toBeUndefined();
  expect((await rangesOf(app, BTC, span)).map(({ state }) => state)).toEqual(['known']);
});

test('a range of which nothing was known, and that comes empty once, is told alike by its answer and by coverage', async () => {
  const app = await rig.app();
  const since = minutesAgo(600);
  const to = since + 60 * MINUTE;
  rig.sandbox.control.setFault({ match: 'ohlcv', times: 1, fault: { type: 'candles_empty' } });
  const query = `${BTC}&since=${since}&until=${to}&limit=60`;
  const gaps = [{ from: since, to, reason: 'unconfirmed' }];
  expect(await ask(app, query)).toMatchObject({ status: 200, cache: 'MISS', body: { candles: [], gaps } });
  const span = `&from=${since}&to=${to}`;
  expect(await rangesOf(app, BTC, span)).toMatchObject([{ from: since, to, state: 'suspect' }]);
  rig.sandbox.control.resetLog();
  rig.ahead = 30 * MINUTE;
  expect(await ask(app, query)).toMatchObject({ cache: 'STORE', body: { candles: [], gaps } });
  expect(rig.candleRequests()).toBe(0);
  rig.sandbox.control.setFault({ match: 'ohlcv', times: 1, fault: { type: 'candles_empty' } });
  rig.ahead = 61 * MINUTE;
  const again = [{ from: since, to, reason: 'not_available_from_exchange' }];
  expect(await ask(app, query)).toMatchObject({ cache: 'MISS', body: { candles: [], gaps: again } });
  expect(await rangesOf(app, BTC, span)).toMatchObject([{ from: since, to, state: 'empty' }]);
});

test('a live series is checked after a quarter of an hour and a day, also over restarts: late, corrected, back again', async () => {
  const from = minutesAgo(100);
  const BACKFILL = `binance:BTC/USDT:1m:${new Date(from).toISOString().slice(0, 16)}Z`;
  const [late, corrected] = [from + 20 * MINUTE, from + 40 * MINUTE];
  const minute = (at: number) => ({ from: at, to: at + MINUTE });
  rig.sandbox.control.setFault({ match: 'ohlcv', fault: { type: 'candles_hole', ...minute(late) } });
  const span = `&from=${from}&to=${from + 60 * MINUTE}`;
  const checked = async (hours: number, done: (app: FastifyInstance) => Promise<void>) => {
    rig.ahead = hours * 60 * MINUTE;
    const app = await rig.app({ BACKFILL });
    await vi.waitFor(() => done(app), { timeout: 10_000, interval: 50 });
    await app.close();
  };
  await checked(0, async (app) =>
    expect((await rangesOf(app, BTC, span)).map(({ state }) => state)).toEqual(['known', 'empty', 'known']),
  );
  rig.sandbox.control.clearFaults();
  rig.sandbox.control.setFault({
    match: 'ohlcv',
    fault: { type: 'candles_corrected', ...minute(corrected) },
  });
  await checked(0.3, async (app) => {
    expect((await rangesOf(app, BTC, span)).map(({ state }) => state)).toEqual(['known']);
    expect(await revisionsOf(app)).toMatchObject([{ timestamp: corrected, rev: 1, disputed: false }]);
  });
  rig.sandbox.control.clearFaults();
  await checked(24.1, async (app) => {
    const [newest, oldest, ...more] = await revisionsOf(app);
    expect(more).toEqual([]);
    expect(newest).toMatchObject({ timestamp: corrected, rev: 2, disputed: true });
    expect(newest?.volume).toBeCloseTo(2 * (oldest?.volume ?? 0), 6);
    // Each value was seen after it had replaced the one before it, and before it was replaced itself.
    expect(oldest?.seen_at).toBeLessThan(oldest?.replaced_at ?? 0);
    expect(newest?.seen_at).toBeGreaterThanOrEqual(oldest?.replaced_at ?? Infinity);
    expect(newest?.seen_at).toBeLessThan(newest?.replaced_at ?? 0);
    expect((newest?.replaced_at ?? 0) - (oldest?.replaced_at ?? 0)).toBeGreaterThan(23 * 60 * MINUTE);
  });
});

test('periods that begin elsewhere are another series, and never mixed with those of before', async () => {
  const app = await rig.app();
  const of = series('binance', 'BTC/USDT', '1d');
  const since = minutesAgo(0) - 20 * DAY;
  const start = since - (since % DAY);
  await ask(app, `${of}&since=${start}&limit=5`);
  await rangesOf(app, of);
  rig.sandbox.control.setFault({ match: 'ohlcv', fault: { type: 'candles_moved', ms: 16 * 60 * MINUTE } });
  await ask(app, `${of}&since=${start + 8 * DAY}&limit=5`);
  const coverage = async () =>
    (await app.inject(`/v1/markets/ohlcv/coverage?${of}`)).json<{
      series: { anchor: number; generation: number; candles: number; first: number };
    }>().series;
  expect(await coverage()).toMatchObject({ anchor: 16 * 60 * MINUTE, generation: 1, candles: 5 });
  expect(((await coverage()).first - 16 * 60 * MINUTE) % DAY).toBe(0);
});

test('a known range is served without a call while the circuit of its exchange is open', async () => {
  const app = await rig.app();
  const since = minutesAgo(120);
  await ask(app, `${BTC}&since=${since}&limit=30`);
  await rangesOf(app, BTC);
  rig.sandbox.control.setFault({ venue: 'binance', fault: { type: 'status', status: 503 } });
  const circuit = async () => {
    await app.inject(`/v1/markets/ticker?exchange=binance&symbol=ETH/USDT`);
    const { checks } = (await app.inject('/v1/health/ready')).json<{
      checks: { binance: { circuit: string } };
    }>();
    return checks.binance.circuit;
  };
  for (let time = 0; time < 30 && (await circuit()) !== 'open'; time += 1) continue;
  expect(await circuit()).toBe('open');
  rig.sandbox.control.resetLog();
  expect(await ask(app, `${BTC}&since=${since}&limit=25`)).toMatchObject({
    ...{ status: 200, cache: 'STORE', source: 'sandbox; via=store' },
  });
  const part = await ask(app, `${BTC}&since=${since}&limit=40`);
  expect(part).toMatchObject({ status: 200, cache: 'STORE' });
  expect(part.body.candles).toHaveLength(30);
  expect(rig.sandbox.control.requestLog()).toEqual([]);
});
