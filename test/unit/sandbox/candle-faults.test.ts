// Pages of candles with one thing wrong about them, on each venue in its own form.
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type CandleFault } from '../../../src/sandbox/candle-faults.js';
import { type Sandbox } from '../../../src/sandbox/sandbox.js';
import { NOON, sandboxAt } from './ccxt-clients.js';

const MINUTE = 60_000;
const DAY = 1440 * MINUTE;
/** Ten seconds into a minute. */
const NOW = Math.floor(NOON / MINUTE) * MINUTE + 10_000;
const M = NOW - 10_000;
const SINCE = M - 9 * MINUTE;

let sandbox: Sandbox;
beforeEach(async () => {
  ({ sandbox } = await sandboxAt(NOW));
});
afterEach(() => sandbox.close());

interface Row {
  readonly start: number;
  readonly volume: number;
}
const VENUES = {
  binance: {
    path: `api.binance.com/api/v3/klines?symbol=BTCUSDT&interval=1m&startTime=${SINCE}&limit=100`,
    rows: (body: unknown): Row[] =>
      (body as [number, string, string, string, string, string][]).map((row) => ({
        start: row[0],
        volume: Number(row[5]),
      })),
  },
  kraken: {
    path: `api.kraken.com/0/public/OHLC?pair=XBTUSD&interval=1&since=${SINCE / 1000 - 1}`,
    rows: (body: unknown): Row[] =>
      Object.values((body as { result: Record<string, unknown[]> }).result)
        .filter(Array.isArray)
        .flatMap((list) => list as unknown[][])
        .map((row) => ({ start: Number(row[0]) * 1000, volume: Number(row[6]) })),
  },
  coinbaseexchange: {
    path: `api.exchange.coinbase.com/products/BTC-USD/candles?granularity=60&start=${SINCE / 1000}&end=${NOW / 1000}`,
    rows: (body: unknown): Row[] =>
      (body as number[][]).map((row) => ({ start: (row[0] ?? 0) * 1000, volume: row[5] ?? 0 })).reverse(),
  },
} as const;
const NAMES = ['binance', 'kraken', 'coinbaseexchange'] as const;

const ask = async (name: (typeof NAMES)[number]): Promise<Row[]> => {
  const response = await fetch(`${sandbox.url}/${VENUES[name].path}`);
  expect(response.status).toBe(200);
  return VENUES[name].rows(await response.json());
};

describe.each(NAMES)('of %s', (name) => {
  const ten = Array.from({ length: 10 }, (_, index) => SINCE + index * MINUTE);
  const withFault = async (fault: CandleFault, times?: number): Promise<number[]> => {
    sandbox.control.setFault({ venue: name, fault, ...(times === undefined ? {} : { times }) });
    return (await ask(name)).map(({ start }) => start);
  };

  test('the latest, or the first, are all that a short page has', async () => {
    expect(await withFault({ type: 'candles_short', rows: 3 })).toEqual(ten.slice(-3));
    sandbox.control.clearFaults();
    expect(await withFault({ type: 'candles_short', rows: 4, keep: 'first' })).toEqual(ten.slice(0, 4));
  });

  test('none come once, and all of them when asked again', async () => {
    expect(await withFault({ type: 'candles_empty' }, 1)).toEqual([]);
    expect((await ask(name)).map(({ start }) => start)).toEqual(ten);
  });

  test('those of the last minutes are late', async () => {
    expect(await withFault({ type: 'candles_late', ms: 2 * MINUTE })).toEqual(ten.slice(0, -2));
  });

  test('some are missing in the midst of a page', async () => {
    const hole = { from: SINCE + 3 * MINUTE, to: SINCE + 5 * MINUTE };
    expect(await withFault({ type: 'candles_hole', ...hole })).toEqual([...ten.slice(0, 3), ...ten.slice(5)]);
  });

  test('one is corrected', async () => {
    const before = await ask(name);
    const at = SINCE + 2 * MINUTE;
    sandbox.control.setFault({ fault: { type: 'candles_corrected', from: at, to: at + 1 } });
    const after = await ask(name);
    expect(after.map(({ start }) => start)).toEqual(ten);
    after.forEach(({ volume }, index) =>
      expect(volume).toBeCloseTo((before[index]?.volume ?? 0) * (index === 2 ? 2 : 1), 6),
    );
  });

  test('periods begin elsewhere', async () => {
    expect(await withFault({ type: 'candles_moved', ms: -20_000 })).toEqual(ten.map((at) => at - 20_000));
  });

  test('a page that would begin too early is refused, a later one is not', async () => {
    const refusal = { type: 'candles_too_old', message: 'too long ago' } as const;
    sandbox.control.setFault({ venue: name, fault: { ...refusal, before: SINCE + 1 }, times: 1 });
    const response = await fetch(`${sandbox.url}/${VENUES[name].path}`);
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ message: 'too long ago' });
    expect(await withFault({ ...refusal, before: SINCE - DAY })).toEqual(ten);
  });

  test('requests for anything else meet no such fault', async () => {
    sandbox.control.setFault({ fault: { type: 'candles_empty' }, times: 1 });
    const time = { binance: '/api/v3/time', kraken: '/0/public/Time', coinbaseexchange: '/time' }[name];
    const host = VENUES[name].path.split('/')[0] ?? '';
    expect((await fetch(`${sandbox.url}/${host}${time}`)).status).toBe(200);
    expect(sandbox.control.faults()).toMatchObject([{ used: 0 }]);
  });
});

test('a candle of Coinbase is not there within a second of its start', async () => {
  await sandbox.close();
  ({ sandbox } = await sandboxAt(M + 999));
  expect((await ask('coinbaseexchange')).at(-1)?.start).toBe(M - MINUTE);
  await sandbox.close();
  ({ sandbox } = await sandboxAt(M + 1000));
  expect((await ask('coinbaseexchange')).at(-1)?.start).toBe(M);
});
