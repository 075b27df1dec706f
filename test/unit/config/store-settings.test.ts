import { describe, expect, test } from 'vitest';
import { loadConfig } from '../../../src/config/config.js';

describe('where candles are kept', () => {
  const location = (env: Record<string, string>) => loadConfig(env).store.location;

  test('by default in the data folder of the user, of a sandbox in a temporary one', () => {
    const file = '/home/u/.local/share/mcp-crypto-data-server/candles.db';
    expect(location({ HOME: '/home/u' })).toEqual({ kind: 'sqlite', file });
    expect(location({ HOME: '/home/u', XDG_DATA_HOME: '/data' })).toEqual({
      kind: 'sqlite',
      file: '/data/mcp-crypto-data-server/candles.db',
    });
    expect(location({ HOME: '/home/u', SANDBOX: 'true' })).toEqual({ kind: 'temporary' });
  });

  test('without a home nothing is kept of real exchanges; a sandbox needs none', () => {
    expect(location({})).toEqual({ kind: 'none' });
    expect(location({ SANDBOX: 'true' })).toEqual({ kind: 'temporary' });
    expect(location({ SANDBOX: 'http://127.0.0.1:9900' })).toEqual({ kind: 'temporary' });
  });

  test.each([
    ['none', { kind: 'none' }],
    ['NONE', { kind: 'none' }],
    ['sqlite:/data/candles.db', { kind: 'sqlite', file: '/data/candles.db' }],
    ['sqlite:candles.db', { kind: 'sqlite', file: `${process.cwd()}/candles.db` }],
    ['sqlite:C:\\candles.db', { kind: 'sqlite', file: 'C:\\candles.db' }],
    ['postgres://u@h/db', { kind: 'postgres', url: 'postgres://u@h/db' }],
    ['postgresql://u:p@h:5433/db', { kind: 'postgres', url: 'postgresql://u:p@h:5433/db' }],
  ])('STORE_URL=%s', (STORE_URL, expected) => {
    expect(location({ STORE_URL, HOME: '/home/u' })).toEqual(expected);
  });

  test.each([
    { STORE_URL: 'mysql://h/db' },
    { STORE_URL: 'sqlite:' },
    { STORE_URL: 'candles.db' },
    { STORE_URL: 'postgres://' },
    { BACKFILL_BUDGET_SHARE: '0' },
    { BACKFILL_BUDGET_SHARE: '1.1' },
    { BACKFILL: 'binance:BTC/USDT:1m' },
    { BACKFILL: 'binance:BTC/USDT:1m:soon' },
    { BACKFILL: 'binance:BTC/USDT:1m:2023-13-45' },
    { BACKFILL: 'binance:BTC/USDT:1m:2023-02-30' },
    { BACKFILL: 'binance:BTC/USDT:1m:2023-02-30T10:00:00Z' },
    { BACKFILL_API: 'maybe' },
    { STORE_MAX_GB: '0' },
  ])('%j is refused by its name', (env) => {
    expect(() => loadConfig(env)).toThrow(Object.keys(env)[0]);
  });

  test('a series of an exchange that does not exist is refused like any other name', () => {
    const known = new Set(['binance', 'kraken', 'coinbasepro']);
    expect(() => loadConfig({ BACKFILL: 'krakn:BTC/USD:1m:2023-01-01' }, known)).toThrow(
      'BACKFILL: krakn is not an exchange that CCXT knows; did you mean kraken?',
    );
    expect(loadConfig({ BACKFILL: 'Kraken:BTC/USD:1m:2023-01-01' }, known)).toMatchObject({
      backfill: { series: [{ exchange: 'kraken' }] },
    });
  });

  test('series that are kept complete', () => {
    const BACKFILL = 'binance:BTC/USDT:1m:2023-01-01, okx:BTC/USDT:USDT:1h:1700000000000';
    expect(loadConfig({ BACKFILL, STORE_MAX_GB: '0.5' })).toMatchObject({
      store: { maxBytes: 0.5 * 1024 ** 3 },
      backfill: {
        series: [
          { exchange: 'binance', symbol: 'BTC/USDT', interval: '1m', from: Date.UTC(2023, 0, 1) },
          { exchange: 'okx', symbol: 'BTC/USDT:USDT', interval: '1h', from: 1_700_000_000_000 },
        ],
      },
    });
  });
});
