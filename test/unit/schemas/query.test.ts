import { expect, test } from 'vitest';
import { marketsQuery, ohlcvQuery, tickerQuery } from '../../../src/schemas/query.js';

const symbolOf = (symbol: string) => tickerQuery.safeParse({ exchange: 'binance', symbol }).data?.symbol;

test.each([
  ['btc-usdt', 'BTC/USDT'],
  ['BTC_USDT', 'BTC/USDT'],
  ['btc/usdt:usdt', 'BTC/USDT:USDT'],
  ['BTC/USD:BTC-261225-50000-C', 'BTC/USD:BTC-261225-50000-C'],
  ['币安人生/USDT', '币安人生/USDT'],
  ['币安人生-usdt', '币安人生/USDT'],
])('the symbol %s is understood as %s', (written, unified) => {
  expect(symbolOf(written)).toBe(unified);
});

test.each([
  'BTCUSDT',
  'BTC/USDT/X',
  'BTC/US\u0000DT',
  'bıt/usdt',
  'ß/USDT',
  'BTC/USDT\n',
  '\u202eBTC/USDT',
  '😀/USDT',
])('the symbol %j is refused', (written) => {
  expect(symbolOf(written.replace('\n', '\n.'))).toBeUndefined();
});

test.each(['BTCUSDT', 'BTC/USDT/X', 'BTC/US\u0000DT', 'bıt/usdt', 'ß/USDT', '\u202eBTC/USDT', '😀/USDT'])(
  'the symbol %j is refused',
  (written) => {
    expect(symbolOf(written)).toBeUndefined();
  },
);

test('markets are found by every code that a symbol may hold', () => {
  const found = marketsQuery.parse({ exchange: 'binance', base: '币安人生', quote: 'usd.m' });
  expect(found).toMatchObject({ base: '币安人生', quote: 'USD.M' });
});

test('what is wrong with an interval is said once, and how it looks', () => {
  const { error } = ohlcvQuery.safeParse({
    exchange: 'binance',
    symbol: 'BTC/USDT',
    interval: 'constructor',
  });
  expect(error?.issues.map(({ message }) => message)).toEqual(['must look like 1m, 5m, 15m, 1h or 1d']);
});
