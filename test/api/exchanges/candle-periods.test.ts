// Periods are the venue's own, and a range ends where it was asked to: the venues' real oddities, through CCXT.
import { describe, expect, it } from 'vitest';
import { type Answer } from '../../support/fake-venue.js';
import { candleRig, DAY, M, MINUTE, range, seconds } from './candle-rig.js';

const rig = candleRig();

describe('periods', () => {
  const bitstamp: Answer = ({ query }) => {
    const start = Number(query.get('start') ?? 0) * 1000;
    const limit = Number(query.get('limit'));
    const t0 = Date.UTC(2026, 10, 24);
    const all = range(t0 - 99 * 3 * DAY, 100, 3 * DAY).filter((at) => at >= start);
    const ohlc = (query.has('start') ? all.slice(0, limit) : all.slice(-limit)).map((at) => ({
      timestamp: String(at / 1000),
      open: '1',
      high: '1',
      low: '1',
      close: '1',
      volume: '1',
    }));
    return { data: { pair: 'BTC/USD', ohlc } };
  };

  it.each([
    ['the latest', {}],
    ['those since', { since: Date.UTC(2026, 10, 18) }],
  ])('of Bitstamp’s 1w are three days: %s', async (_, bounds) => {
    const market = { id: 'btcusd', symbol: 'BTC/USD' };
    const { candles, gaps, starts } = await rig.candlesOf('bitstamp', market, {
      answer: bitstamp,
      interval: '1w',
      limit: 3,
      ...bounds,
    });
    expect(starts).toEqual([18, 21, 24].map((day) => Date.UTC(2026, 10, day)));
    expect(candles.map(({ closed }) => closed)).toEqual([true, true, false]);
    expect(gaps).toBeUndefined();
  });

  const htx =
    (starts: readonly number[]): Answer =>
    () => ({
      status: 'ok',
      data: starts.map((at) => ({ id: seconds(at), open: 1, close: 1, low: 1, high: 1, amount: 1, vol: 1 })),
    });
  it.each([
    [
      'months that begin in UTC+8',
      '1M',
      [7, 8, 9].map((month) => Date.UTC(2026, month, 31 - Number(month === 8), 16)),
    ],
    ['years that begin in UTC+8', '1y', [2023, 2024, 2025].map((year) => Date.UTC(year, 11, 31, 16))],
    ['months of thirty days', '1M', [70, 40, 10].map((days) => Date.UTC(2026, 10, 26) - days * DAY)],
    ['days from 16:00 UTC', '1d', [24, 23, 25].map((day) => Date.UTC(2026, 10, day, 16)).sort()],
    [
      'days of which one has 25 hours',
      '1d',
      [Date.UTC(2026, 10, 24, 11), Date.UTC(2026, 10, 25, 12), Date.UTC(2026, 10, 26, 12)],
    ],
  ])('are learnt from the rows: %s', async (_, interval, starts) => {
    const market = { id: 'btcusdt', symbol: 'BTC/USDT' };
    const found = await rig.candlesOf('htx', market, {
      answer: htx([...starts].reverse()),
      interval,
      limit: 3,
    });
    expect(found.starts).toEqual(starts);
    expect(found.candles.map(({ closed }) => closed)).toEqual([true, true, false]);
    expect(found.gaps).toBeUndefined();
  });
});

describe('until', () => {
  const binance: Answer = ({ query }) => {
    const limit = Number(query.get('limit'));
    const start = query.get('startTime');
    const first = start === null ? M - (limit - 1) * MINUTE : Math.ceil(Number(start) / MINUTE) * MINUTE;
    const rows = range(first, limit).filter((at) => at <= M);
    return rows.map((at) => [at, '1', '1', '1', '1', '1', at + MINUTE - 1, '1', 1, '1', '1', '0']);
  };
  const BTC = { id: 'BTCUSDT', symbol: 'BTC/USDT' };
  const until = M - 5 * DAY;

  it('alone gives the last candles before it', async () => {
    const { starts, gaps, answered } = await rig.candlesOf('binance', BTC, {
      answer: binance,
      interval: '1m',
      until,
      limit: 1500,
    });
    expect(starts).toEqual(range(until - 1500 * MINUTE, 1500));
    expect(gaps).toBeUndefined();
    expect(answered.closesAt).toBeNull();
  });

  it('with since ends the range, and says where to go on where the limit comes first', async () => {
    const since = until - 20 * MINUTE;
    const request = { answer: binance, interval: '1m', since, until };
    const whole = await rig.candlesOf('binance', BTC, { ...request, limit: 100 });
    expect(whole.starts).toEqual(range(since, 20));
    expect([whole.gaps, whole.next_since]).toEqual([undefined, undefined]);
    await rig.closeVenue();
    const part = await rig.candlesOf('binance', BTC, { ...request, limit: 7 });
    expect(part.starts).toEqual(range(since, 7));
    expect(part.next_since).toBe(since + 7 * MINUTE);
  });
});
