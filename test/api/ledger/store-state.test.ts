// How a store is, as readiness tells it: full, in other hands, slow, of other data.
import { afterAll, afterEach, beforeEach, expect, test, vi } from 'vitest';
import { openSqliteStore } from '../../../src/ledger/sqlite/sqlite-store.js';
import { silentLog } from '../../../src/log/log.js';
import { startTcpProxy } from '../../support/tcp-proxy.js';
import { LedgerRig, MINUTE, rangesOf, series } from './ledger-app.js';
import { createTestDatabase } from './postgres.js';
import type { FastifyInstance } from 'fastify';

const found = await createTestDatabase();
if (found === null) throw new Error('These tests need a PostgreSQL (TEST_POSTGRES_URL).');
const database = found;
afterAll(() => database.drop());

let rig: LedgerRig;
beforeEach(async () => {
  rig = await LedgerRig.start();
});
afterEach(() => rig.close());

const BTC = series('binance', 'BTC/USDT');
const ask = async (app: FastifyInstance, since: number, limit = 30) => {
  const { statusCode, headers } = await app.inject(`/v1/markets/ohlcv?${BTC}&since=${since}&limit=${limit}`);
  return { status: statusCode, cache: headers['x-cache'], source: headers['data-source'] };
};
const readiness = async (app: FastifyInstance) => {
  const answer = await app.inject('/v1/health/ready');
  const { status, checks } = answer.json<{
    status: string;
    checks: { store: { state: string; detail: string } };
  }>();
  return { code: answer.statusCode, status, ...checks.store };
};
const hourAgo = (): number => {
  const at = rig.now() - 60 * MINUTE;
  return at - (at % MINUTE);
};

test.each([
  ['STORE_MAX_GB', { STORE_MAX_GB: '0.0001' }],
  ['STORE_MIN_FREE_MB', { STORE_MIN_FREE_MB: '999999999' }],
])(
  'beyond %s nothing is written, readiness is degraded and names it, and reading goes on',
  async (name, env) => {
    const since = hourAgo();
    const first = await rig.app();
    expect(await readiness(first)).toMatchObject({ code: 200, status: 'ready', state: 'ok' });
    await ask(first, since);
    expect(await ask(first, since - 2000 * MINUTE, 1900)).toMatchObject({ status: 200 });
    await rangesOf(first, BTC);
    await first.close();
    const full = await rig.app(env);
    await vi.waitFor(
      async () =>
        expect(await readiness(full)).toMatchObject({
          ...{ code: 200, status: 'degraded', state: 'degraded' },
          detail: expect.stringContaining(name) as string,
        }),
      10_000,
    );
    expect(await ask(full, since)).toMatchObject({ status: 200, cache: 'STORE' });
    expect(await ask(full, since - 50 * MINUTE)).toMatchObject({ status: 200, cache: 'MISS' });
    const [before] = await rangesOf(full, BTC, `&from=${since - 50 * MINUTE}&to=${since}`);
    expect(before).toMatchObject({ state: 'unknown' });
  },
);

test('a second server on one file reads, stays ready, says so, and takes over', async () => {
  const since = hourAgo();
  const owner = await rig.app();
  await ask(owner, since);
  await rangesOf(owner, BTC);
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
  const second = await rig.app();
  expect(await readiness(second)).toMatchObject({
    ...{ code: 200, status: 'ready', state: 'ok' },
    detail: expect.stringMatching(/another process/i) as string,
  });
  expect(await ask(second, since)).toMatchObject({ cache: 'STORE' });
  await owner.close();
  vi.advanceTimersByTime(60_000);
  vi.useRealTimers();
  await vi.waitFor(async () => expect((await readiness(second)).detail).toBe('SQLite file'), 10_000);
  await ask(second, since - 30 * MINUTE);
  expect(await rangesOf(second, BTC, `&from=${since - 30 * MINUTE}&to=${since + 30 * MINUTE}`)).toMatchObject(
    [{ state: 'known' }],
  );
});

test('a store of real candles is refused by a sandbox, as a setting that is wrong', async () => {
  const real = openSqliteStore({
    file: rig.storeUrl.replace('sqlite:', ''),
    marker: 'real',
    log: silentLog,
    now: Date.now,
  });
  await real.opened;
  await real.close();
  await expect(rig.app()).rejects.toMatchObject({
    name: 'ConfigError',
    message: expect.stringMatching(/STORE_URL.*sandbox/s) as string,
  });
});

test('a PostgreSQL that is slow or gone costs no answer: the exchange is asked', async () => {
  const url = new URL(database.url);
  const proxy = await startTcpProxy(Number(url.port));
  url.port = String(proxy.port);
  const slow = await LedgerRig.start(url.href);
  try {
    const since = hourAgo();
    const app = await slow.app({}, { storeReadMs: 250 });
    await ask(app, since);
    await rangesOf(app, BTC);
    expect(await ask(app, since, 20)).toMatchObject({ cache: 'STORE', source: 'sandbox; via=store' });
    proxy.delayMs = 10_000;
    const startedAt = performance.now();
    expect(await ask(app, since, 21)).toMatchObject({ cache: 'MISS', source: 'sandbox; via=rest' });
    expect(performance.now() - startedAt).toBeLessThan(10_000);
    proxy.delayMs = 0;
    await proxy.close();
    expect(await ask(app, since, 22)).toMatchObject({ status: 200, cache: 'MISS' });
    await vi.waitFor(
      async () =>
        expect(await readiness(app)).toMatchObject({ code: 200, status: 'degraded', state: 'degraded' }),
      10_000,
    );
    const coverage = await app.inject(`/v1/markets/ohlcv/coverage?${BTC}`);
    expect(coverage.json()).toMatchObject({ status: 503, code: 'upstream_unavailable' });
  } finally {
    await slow.close();
  }
});
