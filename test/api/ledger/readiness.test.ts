// How a store that can not keep what it should is told: in readiness and in the log, while answers go on.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import type { FastifyInstance } from 'fastify';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { recordingLog } from '../../support/recording-log.js';
import { LedgerRig, MINUTE, rangesOf, series } from './ledger-app.js';

let rig: LedgerRig;
let log: ReturnType<typeof recordingLog>;
beforeEach(async () => {
  rig = await LedgerRig.start();
  log = recordingLog();
});
afterEach(() => rig.close());

interface Ready {
  readonly status: string;
  readonly checks: {
    readonly store: { readonly state: string; readonly detail: string; readonly since: number };
  };
}
const readinessOf = async (app: FastifyInstance) => {
  const answer = await app.inject('/v1/health/ready');
  const { status, checks } = answer.json<Ready>();
  return { http: answer.statusCode, status, ...checks.store };
};
const CANDLES = `/v1/markets/ohlcv?${series('binance', 'BTC/USDT')}&limit=5`;
const logged = () => JSON.stringify(log.lines);

test.each([
  ['over its limit', { STORE_MAX_GB: '0.0001' }, /over its limit.*STORE_MAX_GB/],
  ['short of free disk', { STORE_MIN_FREE_MB: '1000000000' }, /nearly full.*STORE_MIN_FREE_MB/],
])(
  '%s: degraded with 200, the reason in the check and the log, and nothing is written',
  async (_name, env, reason) => {
    const before = await rig.app();
    await before.inject(`/v1/markets/ohlcv?${series('binance', 'BTC/USDT')}&limit=2000`);
    await rangesOf(before, series('binance', 'BTC/USDT'));
    await before.close();
    const app = await rig.app(env, { log });
    await expect
      .poll(() => readinessOf(app))
      .toMatchObject({
        http: 200,
        status: 'degraded',
        state: 'degraded',
        detail: expect.stringMatching(reason) as string,
      });
    const { since } = await readinessOf(app);
    await expect
      .poll(() => log.lines)
      .toContainEqual({
        level: 'warn',
        message: 'the candle store does not keep what it should',
        details: { reason: expect.stringMatching(reason) as string },
      });
    const ether = series('binance', 'ETH/USDT');
    expect((await app.inject(`/v1/markets/ohlcv?${ether}&limit=5`)).statusCode).toBe(200);
    expect(await rangesOf(app, ether)).toEqual([]);
    rig.ahead = MINUTE;
    expect((await readinessOf(app)).since).toBe(since);
  },
);

test('a folder that can not be made: degraded with the reason, and the exchange is asked', async () => {
  const file = `${rig.folder}/a-file`;
  writeFileSync(file, 'no folder');
  const app = await rig.app({ STORE_URL: `sqlite:${file}/candles.db` }, { log });
  expect(await readinessOf(app)).toMatchObject({
    http: 200,
    status: 'degraded',
    detail: 'The folder of the store can not be made.',
  });
  expect(logged()).toContain('The folder of the store can not be made.');
  expect((await app.inject(CANDLES)).headers['x-cache']).toBe('MISS');
});

test('a corrupt file is put aside whole, which the check and the log call corrupt; an empty store serves', async () => {
  const garbage = Buffer.alloc(8192, 'not a database ');
  writeFileSync(`${rig.folder}/candles.db`, garbage);
  const app = await rig.app({}, { log });
  expect(await readinessOf(app)).toMatchObject({
    http: 200,
    status: 'degraded',
    detail: expect.stringContaining('corrupt') as string,
  });
  expect(
    log.lines.filter(({ level, message }) => level === 'error' && message.includes('corrupt')),
  ).toHaveLength(1);
  const aside = readdirSync(rig.folder).filter((name) => /^candles\.db\.corrupt-\d{8}T\d{6}Z$/.test(name));
  expect(aside).toHaveLength(1);
  expect(readFileSync(`${rig.folder}/${aside[0] ?? ''}`)).toEqual(garbage);
  await app.inject(CANDLES);
  expect((await rangesOf(app, series('binance', 'BTC/USDT'))).map(({ state }) => state)).toEqual(['known']);
});

test('a second process on a file reads, stays ready, and says so in the check and the log', async () => {
  const owner = await rig.app();
  await owner.inject(CANDLES);
  await rangesOf(owner, series('binance', 'BTC/USDT'));
  const second = await rig.app({}, { log });
  expect(await readinessOf(owner)).toMatchObject({ status: 'ready', detail: 'SQLite file' });
  expect(await readinessOf(second)).toMatchObject({
    http: 200,
    status: 'ready',
    state: 'ok',
    detail: 'Another process owns this file: it is only read here.',
  });
  expect(logged()).toContain('Another process owns this file');
  expect((await rangesOf(second, series('binance', 'BTC/USDT'))).map(({ state }) => state)).toEqual([
    'known',
  ]);
  const { body } = await second.inject('/metrics');
  expect(body).toContain('crypto_data_ledger_store_up 1');
  expect(body).toContain('crypto_data_ledger_store_writable 0');
});
