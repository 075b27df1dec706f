import { expect, test } from 'vitest';
import { formatAddress, parseAddress } from '../../../../web/dashboard/state/address.js';

test.each([
  ['#/binance/BTC%2FUSDT/1h', { exchange: 'binance', symbol: 'BTC/USDT', interval: '1h' }],
  ['#/binance/BTC-USDT/1h', { exchange: 'binance', symbol: 'BTC-USDT', interval: '1h' }],
  ['#/Kraken/BTC/USD/15m', { exchange: 'kraken', symbol: 'BTC/USD', interval: '15m' }],
  ['#/binance/BTC%2FUSDT', { exchange: 'binance', symbol: 'BTC/USDT', interval: '1m' }],
  ['#/gate/A%20B%2F%25%3AUSDT/1M', { exchange: 'gate', symbol: 'A B/%:USDT', interval: '1M' }],
  ['#/binance/%zz/1m', { exchange: 'binance', symbol: '%zz', interval: '1m' }],
])('%s is read', (hash, selection) => {
  expect(parseAddress(hash)).toEqual(selection);
  expect(parseAddress(formatAddress(selection))).toEqual(selection);
});

test.each(['', '#', '#/', '#/binance', '#/binance/', '#//x'])('%j selects nothing', (hash) => {
  expect(parseAddress(hash)).toBeNull();
});
