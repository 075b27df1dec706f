import { expect, test } from 'vitest';
import { marketsQuery, ohlcvQuery, revisionsQuery, tickerQuery } from '../../../src/schemas/query.js';

const symbolOf = (symbol: string) => tickerQuery.safeParse({ exchange: 'binance', symbol }).data?.symbol;

test.each([
  'BTC/USDT',
  'btc-usdt',
  'BTCUSDT',
  'BTC/USD:BTC-261225-50000-C',
  'XYZ-TSLA/USDC:USDC',
  'Tokamak Network/KRW',
  'GAMECOM_BSC/USDT',
  "FTX Users' Debt/USDT",
  '币安人生/USDT',
  'ß/USDT',
  '😀/USDT',
  `${'A'.repeat(123)}/USDT`,
])('the symbol %j is left as it is, for the list of markets to judge', (written) => {
  expect(symbolOf(written)).toBe(written);
});

test.each(['', '   ', 'BTC/US\u0000DT', 'BTC/USDT\n', 'BTC\u2028/USDT', '\ud800/USDT', 'A'.repeat(129)])(
  'the symbol %j is refused',
  (written) => {
    expect(symbolOf(written)).toBeUndefined();
  },
);

test('markets are found by every code that a symbol may hold', () => {
  const found = marketsQuery.parse({ exchange: 'binance', base: '币安人生', quote: 'usd.m' });
  expect(found).toMatchObject({ base: '币安人生', quote: 'USD.M' });
});

test('a wrong interval is reported once, with the form that an interval has', () => {
  const { error } = ohlcvQuery.safeParse({
    exchange: 'binance',
    symbol: 'BTC/USDT',
    interval: 'constructor',
  });
  expect(error?.issues.map(({ message }) => message)).toEqual(['must look like 1m, 5m, 15m, 1h or 1d']);
});

test('revisions: a hundred unless it is said, a thousand at most', () => {
  const asked = { exchange: 'binance', symbol: 'BTC/USDT' };
  expect(revisionsQuery.parse(asked)).toMatchObject({ limit: 100 });
  expect(revisionsQuery.parse({ ...asked, limit: '1000' })).toMatchObject({ limit: 1000 });
  expect(revisionsQuery.safeParse({ ...asked, limit: '1001' }).success).toBe(false);
});
