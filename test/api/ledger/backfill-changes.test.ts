// Backfills of what an exchange does not keep, and of series that it changes: the real CCXT over simulated venues.
import { afterEach, beforeEach, expect, test } from 'vitest';
import { backfill, done, jobOf, LedgerRig, MINUTE, rangesOf, series, until } from './ledger-app.js';
import { exported, minutes, startTimes, states, truth, type Asked } from './backfill-rig.js';

const HOUR = 60 * MINUTE;

let rig: LedgerRig;
beforeEach(async () => {
  rig = await LedgerRig.start();
});
afterEach(() => rig.close());

test.each([
  ['and says how far it goes back', (kept: number) => `Maximum ${kept} points ago are allowed`, 3],
  ['and says no more than that', () => 'Candlestick too long ago', 15],
])(
  'an exchange that refuses what is too old %s: the rest is there, and nothing is asked again',
  async (...row) => {
    const [, words, most] = row;
    const app = await rig.app();
    const asked = minutes(rig, 5_000);
    const kept = asked.from + 3_456 * MINUTE;
    const points = (Math.floor(rig.now() / MINUTE) * MINUTE - kept) / MINUTE + 1;
    rig.sandbox.control.setFault({
      match: 'ohlcv',
      fault: { type: 'candles_too_old', before: kept, message: words(points) },
    });
    const job = await backfill(app, asked);
    expect(await done(app, job.id)).toMatchObject({ state: 'done', percent: 100, error: null });
    // One finds out about the listing, and is refused; each page is asked for once.
    expect(rig.candleRequests()).toBeLessThanOrEqual(1 + 2 + most);
    expect(new Set(startTimes(rig)).size).toBe(rig.candleRequests());
    const [before, known, ...more] = await states(app, asked);
    expect(more).toEqual([]);
    expect(before).toEqual([0, known?.[0], 'unavailable', 'older_than_exchange_keeps']);
    expect(known).toEqual([expect.any(Number), 5_000, 'known']);
    // A minute may have begun meanwhile.
    expect([3_456, 3_457]).toContain(known?.[0]);
    expect(await exported(app, asked)).toEqual(
      truth(rig, { ...asked, from: asked.from + Number(known?.[0]) * MINUTE }),
    );
    const answer = await app.inject(
      `/v1/markets/ohlcv?${series('binance', 'BTC/USDT')}&since=${asked.from}&limit=5`,
    );
    expect(answer.json<{ gaps: object[] }>().gaps[0]).toMatchObject({
      reason: 'not_available_from_exchange',
    });
    rig.sandbox.control.resetLog();
    expect(await done(app, (await backfill(app, asked)).id)).toMatchObject({ state: 'done', pages: 0 });
    expect(rig.candleRequests()).toBe(0);
  },
);

test.each([1, 3])(
  'periods that begin elsewhere behind %i pages of a job: all of the range in the new periods, and none of the old ones',
  async (before) => {
    const app = await rig.app();
    const to = Math.floor(rig.now() / HOUR) * HOUR - 2 * HOUR;
    const asked = { exchange: 'binance', symbol: 'BTC/USDT', interval: '1h', from: to - 6_000 * HOUR, to };
    rig.sandbox.control.setFault({ match: 'ohlcv', fault: { type: 'delay', ms: 150 } });
    const job = await backfill(app, asked);
    await until(app, job.id, ({ pages }) => pages >= before);
    rig.sandbox.control.clearFaults();
    rig.sandbox.control.setFault({ match: 'ohlcv', fault: { type: 'candles_moved', ms: 30 * MINUTE } });
    expect(await done(app, job.id)).toMatchObject({ state: 'done', percent: 100 });
    const times = (await exported(app, asked)).map((line) => Number(line.split(',')[0]));
    expect(new Set(times.map((time) => time % HOUR))).toEqual(new Set([30 * MINUTE]));
    expect(times).toHaveLength(new Set(times).size);
    // The simulated exchange has no candle of the first half hour.
    expect(times.length).toBeGreaterThanOrEqual(5_999);
    const ranges = await rangesOf(app, series('binance', 'BTC/USDT', '1h'), `&from=${asked.from}&to=${to}`);
    expect(ranges.filter(({ state }) => state === 'unknown' || state === 'pending')).toEqual([]);
    expect((await jobOf(app, job.id)).candles).toBeGreaterThanOrEqual(5_999);
  },
);

/** The simulated Binance with another market under the name of BTC/USDT: these candles are all that it has. */
const relist = async (candles: readonly { readonly at: number; readonly close: number }[]): Promise<void> => {
  const { control, url } = rig.sandbox;
  const info = await (await fetch(`${url}/api.binance.com/api/v3/exchangeInfo`)).text();
  const body: unknown = JSON.parse(info.replaceAll('"symbol":"BTCUSDT"', '"symbol":"NEWBTCUSDT"'));
  control.setFault({ match: 'exchangeInfo', fault: { type: 'odd_json', body } });
  const rows = candles.map(({ at, close }) => {
    const price = close.toFixed(2);
    return [at, price, price, price, price, '1', at + MINUTE - 1, '1', 1, '0', '0', '0'];
  });
  control.setFault({ match: 'symbol=NEWBTCUSDT', fault: { type: 'odd_json', body: rows } });
};

test('a symbol that is another market now: a series of its own from its listing on, and no candle of the old market', async () => {
  const first = await rig.app();
  const asked: Asked = minutes(rig, 100);
  await done(first, (await backfill(first, asked)).id);
  await first.close();
  const until = asked.to + 60 * MINUTE;
  const candles = Array.from({ length: 60 }, (_, index) => ({
    at: asked.to + index * MINUTE,
    close: 7 + index,
  }));
  await relist(candles);
  const app = await rig.app();
  const wider = { ...asked, to: until };
  expect(await done(app, (await backfill(app, wider)).id)).toMatchObject({ state: 'done', percent: 100 });
  expect(await states(app, wider)).toEqual([
    [0, 100, 'unavailable', 'before_listing'],
    [100, 160, 'known'],
  ]);
  expect(await exported(app, wider)).toEqual(
    candles.map(({ at, close }) => [at, close, close, close, close, 1, true].join(',')),
  );
  const coverage = await app.inject(`/v1/markets/ohlcv/coverage?${series('binance', 'BTC/USDT')}`);
  expect(coverage.json<{ series: object }>().series).toMatchObject({
    generation: 2,
    candles: 60,
    first: asked.to,
  });
});
